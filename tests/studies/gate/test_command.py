"""`linbench gate` and `linbench baseline` as CI meets them: files, exit codes, what is written."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import synthetic
from synthetic import header, twelve, write
from typer.testing import CliRunner

from linbench.cli import app
from linbench.errors import LinbenchError
from linbench.plan.suite import expand
from linbench.plan.suite import load as load_suite
from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Runs
from linbench.studies.gate import Limits, judge

BIN = Path(sys.executable).parent / "linbench"
PAIRS = 20


def call(*words, **env):
    return CliRunner().invoke(app, [*map(str, words)], env={"COLUMNS": "200", **env})


def run(path, name, seed, fingerprint="machine-a", **how):
    records = twelve(np.random.default_rng(seed), **how)
    return write(path / f"{name}.jsonl", records, header(name, fingerprint))


def only(path):
    (found,) = Runs.read([path]).runs
    return found


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a baseline, the same again, and one that is worse in each way."""
    path = tmp_path_factory.mktemp("runs")
    run(path, "base", 1, rounds=8)
    run(path, "same", 2, rounds=8)
    run(path, "slow", 3, rounds=8, slower={("sdpa", 2048): 1.25})
    run(path, "fat", 4, memory=1.3)
    run(path, "far", 5, "machine-b", factor=1.6)
    run(path, "once", 6, rounds=1, calls=1)
    return path


@pytest.mark.parametrize(
    ("name", "code", "verdict"),
    [("same", 0, "pass"), ("slow", 1, "regression"), ("fat", 1, "regression"), ("far", 0, "pass"),
     ("once", 3, "inconclusive")],
)  # fmt: skip
def test_the_verdict_reaches_the_exit_code(runs, name, code, verdict):
    """0 passes, 1 is a regression, 3 is undecided; words and JSON agree."""
    words = ("gate", runs / f"{name}.jsonl", "--baseline", runs / "base.jsonl")
    shown = call(*words)
    assert shown.exit_code == code
    assert shown.stdout.lower().startswith(verdict)
    told = call(*words, "--json")
    assert told.exit_code == code
    assert json.loads(told.stdout)["verdict"] == verdict


def test_known_error_rates(tmp_path):
    """20 A/A pairs give no alarm and nearly all pass; of 20 with 25 % in one case all are found."""
    codes = {"same": [], "slow": []}
    for seed in range(PAIRS):
        base = run(tmp_path, "base", 3 * seed, rounds=8)
        run(tmp_path, "same", 3 * seed + 1, rounds=8)
        run(tmp_path, "slow", 3 * seed + 2, rounds=8, slower={("linformer", 1024): 1.25})
        for name, found in codes.items():
            found.append(call("gate", tmp_path / f"{name}.jsonl", "--baseline", base).exit_code)
    assert codes["same"].count(1) == 0
    assert codes["same"].count(0) >= 0.9 * PAIRS
    assert codes["slow"].count(1) >= 0.95 * PAIRS


@pytest.mark.slow
def test_known_error_rates_closely(tmp_path):
    """The same with 300 pairs: at most 1 % false alarms, at least 95 % found."""
    alarms = found = 0
    for seed in range(300):
        base = run(tmp_path, "base", 3 * seed, rounds=8)
        same = run(tmp_path, "same", 3 * seed + 1, rounds=8)
        slow = run(tmp_path, "slow", 3 * seed + 2, rounds=8, slower={("vanilla", 512): 1.25})
        alarms += call("gate", same, "--baseline", base).exit_code == 1
        found += call("gate", slow, "--baseline", base).exit_code == 1
    assert alarms <= 3
    assert found >= 285


@pytest.mark.parametrize(("choice", "code"), [("pass", 0), ("fail", 1)])
def test_who_must_choose_can(runs, choice, code):
    """--inconclusive makes it a pass or a failure; the verdict stays what it is."""
    words = ("--baseline", runs / "base.jsonl", "--inconclusive", choice, "--json")
    told = call("gate", runs / "once.jsonl", *words)
    assert told.exit_code == code
    assert json.loads(told.stdout)["verdict"] == "inconclusive"


def test_the_table_names_what_changed(runs):
    """The case, its times, ratio and limit stand first; what passed is counted."""
    shown = call("gate", runs / "slow.jsonl", "--baseline", runs / "base.jsonl").stdout
    first, _, row, *rest = shown.splitlines()
    assert first.startswith(
        "Regression: 1 of 30 checks worse than allowed; the worst: time of sdpa"
    )
    assert row.split()[:3] == ["sdpa", "n=2048", "time"]
    assert rest[0].startswith("29 passed (")
    assert len(shown.splitlines()) < 24


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("same.jsonl", "--baseline", "nope"), "linbench baseline update"),
        (("same.jsonl", "--baseline", "broken.jsonl"), "line 1 is not JSON"),
        (("nope", "--baseline", "base.jsonl"), "no run"),
        (("same.jsonl", "--baseline", "other.jsonl"), "share no case"),
        (("same.jsonl", "--baseline", "base.jsonl", "--metric", "tme"), "did you mean 'time'"),
        (("same.jsonl", "--baseline", "base.jsonl", "--max-memory", "0.5"), "at least 1"),
        (("same.jsonl", "--baseline", "base.jsonl", "--max", "memry=2"), "did you mean 'memory'"),
        (("same.jsonl", "--baseline", "base.jsonl", "--max", "memory"), "expected NAME=RATIO"),
        (("same.jsonl", "--baseline", "base.jsonl", "--max", "memory=0.5"), "at least 1"),
        (("same.jsonl", "--baseline", "base.jsonl", "--seq", "512"), "drop it"),
        (("same.jsonl", "--baseline", "base.jsonl", "--assert", "x"), "is not an assertion"),
        (("same.jsonl", "--baseline", "base.jsonl", "--summary", "."), "cannot write"),
    ],
)
def test_what_cannot_be_used_is_an_error_of_one_line(runs, monkeypatch, words, said):
    """Never a silent pass: main turns a LinbenchError into one line and exit code 2."""
    monkeypatch.chdir(runs)
    (runs / "broken.jsonl").write_text("no run\n")
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1.0 * n, impl="mine")
    write(runs / "other.jsonl", records)
    error = call("gate", *words).exception
    assert isinstance(error, LinbenchError)
    assert said in str(error)
    assert "\n" not in str(error)


def test_the_baseline_itself_is_not_judged_as_the_latest_run(runs, tmp_path):
    """A sweep that failed, or wrote elsewhere, must not leave the baseline to pass by itself."""
    (tmp_path / "base.jsonl").write_bytes((runs / "base.jsonl").read_bytes())
    error = call("gate", "--baseline", "base", "--results", tmp_path).exception
    assert isinstance(error, LinbenchError)
    assert "is the baseline itself" in str(error)


def test_a_committed_baseline_goes_by_its_name(runs, tmp_path):
    """--baseline NAME is results/baselines/NAME.jsonl."""
    (tmp_path / "baselines").mkdir()
    (tmp_path / "baselines" / "ci.jsonl").write_bytes((runs / "base.jsonl").read_bytes())
    words = ("gate", runs / "same.jsonl", "--baseline", "ci", "--results", tmp_path)
    assert call(*words).exit_code == 0


@pytest.mark.parametrize(
    ("claim", "code"),
    [("linformer:memory<=1.1", 0), ("vanilla:time<=1.5", 1), ("linformer:time<=1.0", 3)],
)
def test_claims_about_the_candidate_decide_too(runs, claim, code):
    """One that fails is a regression, one that is undecided leaves it inconclusive."""
    words = ("gate", runs / "same.jsonl", "--baseline", runs / "base.jsonl", "--assert", claim)
    told = call(*words, "--json")
    assert told.exit_code == code
    assert json.loads(told.stdout)["assertions"][0]["assertion"] == claim
    assert claim in call(*words).stdout


def test_only_what_is_asked_for_is_compared(runs):
    """A slower run passes where only memory counts."""
    words = ("--baseline", runs / "base.jsonl", "--metric", "memory,operations", "--json")
    told = json.loads(call("gate", runs / "slow.jsonl", *words).stdout)
    assert told["verdict"] == "pass"
    assert {one["metric"] for one in told["comparisons"]} == {"memory"}


def test_a_metric_of_ones_own_is_gated(tmp_path):
    """Its values, ratio and limit stand in the table, and --max moves the limit."""
    metric = Metric("accuracy", better="more", scale="linear")
    for name, mean in (("base", 0.8), ("worse", 0.64)):
        random = np.random.default_rng(len(name))
        records = [
            one.model_copy(update={"metrics": {"accuracy": Measurement(random.normal(mean, 0.01))}})
            for one in twelve(random, impls=("sdpa",))
        ]
        head = header(name).model_copy(update={"metrics": [metric]})
        write(tmp_path / f"{name}.jsonl", records, head)
    words = ("gate", tmp_path / "worse.jsonl", "--baseline", tmp_path / "base.jsonl")
    shown = call(*words)
    assert shown.exit_code == 1
    assert "Regression: 4 of 4 checks worse than allowed" in shown.stdout
    assert "≥ 0.91" in shown.stdout
    assert call(*words, "--max", "accuracy=1.5").exit_code == 0
    assert call(*words, "--metric", "accuracy").exit_code == 1
    target = tmp_path / "merged.jsonl"
    merged = call("baseline", "update", *words[1::2], "--baseline", target, "--yes")
    assert "accuracy" in merged.stdout
    assert only(target).header.metric("accuracy") == metric


def test_summaries_are_appended_and_junit_is_not(runs, tmp_path):
    """A step summary keeps what other steps wrote; a JUnit file is one document."""
    summary, junit = tmp_path / "summary.md", tmp_path / "gate.xml"
    summary.write_text("before\n")
    words = ("--baseline", runs / "base.jsonl", "--summary", summary, "--junit", junit)
    for name in ("slow", "slow"):
        call("gate", runs / f"{name}.jsonl", *words)
    text = summary.read_text()
    assert text.startswith("before\n## linbench gate\n\n**Regression: 1 of 30")
    assert text.count("## linbench gate") == 2
    suite = ET.parse(junit).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("30", "1", "0")


def test_annotations_only_where_github_asks_for_them(runs):
    """With GITHUB_ACTIONS=true, and never within JSON."""
    words = ("gate", runs / "slow.jsonl", "--baseline", runs / "base.jsonl")
    assert "::error title=" in call(*words, GITHUB_ACTIONS="true").stdout
    assert "::error" not in call(*words, GITHUB_ACTIONS="").stdout
    json.loads(call(*words, "--json", GITHUB_ACTIONS="true").stdout)


class TestBaseline:
    """`linbench baseline update`."""

    def test_shows_what_changes_and_writes(self, runs, tmp_path):
        """Old → new for each case; the file is a run like any other."""
        target = tmp_path / "b.jsonl"
        words = ("baseline", "update", runs / "base.jsonl", runs / "same.jsonl")
        first = call(*words, "--baseline", target, "--yes")
        assert first.exit_code == 0
        assert "new: the median of 2 runs" in first.stdout
        again = call(*words, runs / "fat.jsonl", "--baseline", target, "--yes")
        assert "replaced by the median of 3 runs" in again.stdout
        assert " → " in again.stdout
        assert {record.round for record in only(target).records} == {0, 1, 2}
        assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]
        assert call("gate", runs / "same.jsonl", "--baseline", target).exit_code == 0

    def test_needs_a_yes(self, runs, tmp_path):
        """Without a terminal and without --yes nothing is written, in one line."""
        target = tmp_path / "b.jsonl"
        done = call("baseline", "update", runs / "base.jsonl", "--baseline", target)
        assert isinstance(done.exception, LinbenchError)
        assert "--yes" in str(done.exception)
        assert not target.exists()

    @pytest.mark.parametrize(("answer", "written"), [("y", True), ("n", False)])
    def test_asks_on_a_terminal(self, runs, tmp_path, answer, written):
        """A no leaves everything as it was."""
        target = tmp_path / "b.jsonl"
        words = ("baseline", "update", runs / "base.jsonl", "--baseline", target)
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode() + b"\n")
        done = subprocess.run([BIN, *words], stdin=theirs, capture_output=True, text=True)
        os.close(ours)
        os.close(theirs)
        assert done.returncode == 0, done.stderr
        assert target.exists() == written
        assert ("nothing written" in done.stdout) != written

    def test_a_name_is_one_in_results(self, runs, tmp_path):
        """NAME is RESULTS/baselines/NAME.jsonl, whose folder is made."""
        words = ("baseline", "update", runs / "base.jsonl", "--baseline", "ci", "--yes")
        assert call(*words, "--results", tmp_path).exit_code == 0
        assert only(tmp_path / "baselines" / "ci.jsonl").run_id == "ci"

    def test_refuses_runs_of_different_machines(self, runs, tmp_path):
        """And leaves the baseline that is there."""
        target = tmp_path / "b.jsonl"
        target.write_bytes((runs / "base.jsonl").read_bytes())
        words = (runs / "base.jsonl", runs / "far.jsonl", "--baseline", target, "--yes")
        done = call("baseline", "update", *words)
        assert isinstance(done.exception, LinbenchError)
        assert target.read_bytes() == (runs / "base.jsonl").read_bytes()

    def test_a_folder_that_cannot_be_written_is_an_error(self, runs, tmp_path):
        """The message names the file."""
        (tmp_path / "file").write_text("in the way")
        words = (runs / "base.jsonl", "--baseline", tmp_path / "file" / "b.jsonl", "--yes")
        done = call("baseline", "update", *words)
        assert isinstance(done.exception, LinbenchError)
        assert "cannot write" in str(done.exception)


def test_the_committed_baseline_is_of_the_suite_it_is_for():
    """Who changes suites/ci.toml makes its baseline anew, or every gate ends as a regression."""
    cases, _ = expand(load_suite("ci", {}), "cpu")
    records = only(Path("results/baselines/ci.jsonl")).records
    assert {record.case_id for record in records} == {case.id for case in cases}
    assert {record.status for record in records} == {"ok"}


def test_the_committed_baseline_gates():
    """It is of an earlier schema and of one round: what is counted passes against itself."""
    baseline = only(Path("results/baselines/ci.jsonl"))
    found = judge(baseline, baseline, Limits(metrics=("memory", "operations")))
    assert found.verdict == "pass"
    assert {one.metric for one in found.findings} == {"memory", "weights", "operations"}
