"""Histories as people see them: sentences, figures, the section of a report, the command."""

import json
import subprocess
from dataclasses import replace

import histories
import numpy as np
import pytest
import synthetic
import typer
from typer.testing import CliRunner

from linbench.cli.history import history
from linbench.errors import UsageError
from linbench.report import markdown, scales
from linbench.report.content import Report
from linbench.report.figures import png
from linbench.run.metrics import Measurement, Metric
from linbench.run.runs import Runs
from linbench.studies.history.history import histories_of
from linbench.studies.history.section import _title, section_of, sections, summary
from linbench.studies.history.sentences import sentences
from linbench.studies.history.visits import Commit, commits_of

app = typer.Typer()
app.command()(history)
app.command("other")(lambda: None)  # with one command alone typer asks for no verb

RUNS = 30
QUANTITIES = ("time", "memory", "exponent")


def _story():
    """30 runs: all slower at the 11th, one run very slow, sdpa at its largest n failing at last."""
    rng = np.random.default_rng(1)
    runs = []
    for i in range(RUNS):
        slow = (1.3 if i >= 10 else 1.0) * (2.5 if i == 20 else 1.0)
        head = histories.head(i, torch="2.14" if i >= 10 else "2.13", git={"dirty": i == 5})
        head = head.model_copy(update={"warnings": ["a busy machine"] if i == 7 else []})
        own = histories.records(rng, slower=slow)
        own += histories.records(rng, slower=slow, impl="vanilla", bigger=2 if i >= 25 else 1)
        if i == RUNS - 1:
            own = [one for one in own if (one.case.impl, one.case.seq) != ("sdpa", 4096)]
            own.append(synthetic.failed("oom", "killed at 8 GiB", 4096, impl="sdpa"))
        runs.append((head, own))
    return runs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    histories.write(folder, _story())
    return folder


@pytest.fixture(scope="module")
def told(folder):
    (found,) = histories_of(Runs.read(sorted(folder.glob("*.jsonl"))))
    return found


def _call(*words):
    return CliRunner().invoke(app, ["history", *(str(word) for word in words)])


def test_sentences_tell_steps_newest_and_worst_first(told):
    """What a reader must know comes first: when, what, by how much, and what else changed."""
    bytes_, times, *rest = sentences(told)
    assert bytes_.startswith(f"**{histories.commit(25)[:8]}** (2026-01-26): memory of vanilla")
    assert "n=1024 2.00×, from 1.00 MiB to 2.00 MiB" in bytes_
    assert "It begins after 00000000 (run `night-24`); it has lasted 5 runs." in bytes_
    assert "(2026-01-11): time of" in times
    assert "torch went from 2.13 to 2.14" in times
    assert "All 6 series of time moved the same way, those of sdpa and vanilla" in times
    assert "; 2 more. It begins" in times
    text = " ".join(rest)
    assert "out of line" in text
    assert "(run `night-20`)" in text
    assert "No value in the latest run: sdpa n=4096, oom: killed at 8 GiB" in text
    assert "1 of 30 runs began with a warning" in text
    assert "(run `night-7`): a busy machine." in text


def test_no_step_says_what_would_have_been_one(tmp_path):
    """Nothing found is worth what could have been found; too few runs say so instead."""
    rng = np.random.default_rng(2)
    runs = [(histories.head(i), histories.records(rng)) for i in range(12)]
    (quiet,) = histories_of(histories.load(tmp_path, runs))
    said = sentences(quiet)
    assert said[0] == "None of the 8 series that could be judged changed its level."
    assert "95 times in 100 if larger than" in said[1]
    (few,) = histories_of(Runs.read(sorted(tmp_path.glob("*.jsonl"))[:4]))
    said = sentences(replace(few, shown=("time",)))
    assert said == ["Time, 3 of 3 series undecided: it takes 8 runs to detect a step, there are 4."]


def test_figures_are_drawn(told):
    """Every figure of a history becomes a picture, with a mark per step and a place per run."""
    section = section_of(told)
    assert [figure.name.rpartition("-")[2] for figure in section.figures] == list(QUANTITIES)
    for figure in section.figures:
        assert png(figure).startswith(b"\x89PNG")
        for plot in (plot for row in figure.rows for plot in row):
            assert len(plot.x_labels) == RUNS
            assert plot.x_labels[5].endswith("*")
            assert all(len(line.fit) == len(line.x) == len(line.y) for line in plot.lines)
    time, memory, _ = section.figures
    assert [[mark.x for mark in plot.marks] for plot in time.rows[0]] == [[10.0], [10.0]]
    assert [plot.title for plot in memory.rows[0]] == ["vanilla"]  # sdpa's never changed


def test_one_slow_run_does_not_flatten_the_others(told):
    """The axis reaches around the levels, whatever a single run did."""
    plot = section_of(told).figures[0].rows[0][0]
    values = [one.value for line in plot.lines for one in line.y]
    low, high = scales.limits(plot)
    assert low < 0.95
    assert 1.3 < high < 2 < max(values)


def test_tables_hold_levels_steps_gaps_and_runs(told):
    """A row per series with its steps; where the step lies, why values are missing, all runs."""
    tables = {table.title: table for table in section_of(told).tables}
    assert list(tables) == [
        "Time of one call", "Peak memory of one call", "Exponent", "Steps", "Gaps", "Runs",
    ]  # fmt: skip
    for row in tables["Time of one call"].rows:
        assert "2026-01-11 +" in row[-1]
    assert tuple(map(str, tables["Gaps"].rows[0])) == (
        "sdpa n=4096", histories.commit(RUNS - 1)[:8], "1", "oom: killed at 8 GiB",
    )  # fmt: skip
    assert len(tables["Runs"].rows) == RUNS
    assert len(tables["Steps"].rows) == 9


def test_a_report_of_three_revisions_has_a_history(tmp_path, folder):
    """Two revisions make none, and neither do runs of one commit."""
    paths = sorted(folder.glob("*.jsonl"))
    assert not sections(Runs.read(paths[:2]))
    (section,) = sections(Runs.read(paths[:3]))
    assert not summary(Runs.read(paths[:3]))
    assert section.sentences[0].startswith("3 runs of 3 revisions on Example CPU")
    report = Report("History", (), (section,))
    assert "## History on Example CPU" in markdown.write(report, tmp_path).read_text()
    rng = np.random.default_rng(3)
    same = [(histories.head(i, git={"commit": "ab" * 20}), histories.records(rng))
            for i in range(3)]  # fmt: skip
    assert not sections(histories.load(tmp_path, same))


def test_the_command_prints_tables_lines_and_sentences(folder):
    """Per metric a row per series with its line of runs, then what to know; it fails nothing."""
    done = _call(*sorted(folder.glob("*.jsonl")), "--metric", "time")
    assert done.exit_code == 0
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("vanilla n=1024")]
    assert len([c for c in row if c in "▁▂▃▄▅▆▇█"]) == RUNS - 1
    assert row.count("!") == 1
    assert "memory" not in done.stdout
    assert "in the order they were made" in done.stdout


def test_the_command_answers_machines(folder):
    """With --json there is nothing but JSON: a history per machine."""
    done = _call(*sorted(folder.glob("*.jsonl")), "--json")
    (one,) = json.loads(done.stdout)["histories"]
    assert {series["metric"] for series in one["series"]} == set(QUANTITIES)
    assert sum(len(series["steps"]) for series in one["series"]) == 9


def test_the_command_writes_a_report(folder, tmp_path):
    """With --out figures, tables and method are in one folder, as Markdown and HTML."""
    done = _call(*sorted(folder.glob("*.jsonl"))[:9], "--out", tmp_path)
    assert done.exit_code == 0
    text = (tmp_path / "history" / "report.md").read_text()
    assert "doi:10.2307/2998540" in text
    assert (tmp_path / "history" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "history" / "history-machine-a-time.png").is_file()


def test_many_runs_share_the_characters_of_a_line(tmp_path):
    """A hundred runs are drawn in forty characters, a gap stays a gap."""
    rng = np.random.default_rng(4)
    runs = [
        (histories.head(i), histories.records(rng, impl="vanilla" if 40 <= i < 60 else "sdpa"))
        for i in range(100)
    ]
    text = _call(*histories.write(tmp_path, runs), "--metric", "memory").stdout
    (row,) = [line for line in text.splitlines() if line.startswith("sdpa n=1024")]
    assert "·" * 8 in row
    assert "·" * 9 not in row
    assert len([c for c in row if c in "▁▂▃▄▅▆▇█"]) == 32


def _git(folder, *words):
    done = subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *words],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def _of(*commits):
    """Runs of some commits, and one that does not say."""
    heads = [histories.head(i, git={"commit": commit}) for i, commit in enumerate(commits)]
    heads.append(histories.head(len(heads)).model_copy(update={"git": None}))
    return Runs(tuple(Runs.of(head, []).runs[0] for head in heads))


def test_commits_come_from_the_repository_at_hand(tmp_path, monkeypatch):
    """Place, date and subject of known commits; unknown ones are left out without a word."""
    _git(tmp_path, "init", "-q")
    hashes = []
    for subject in ("First", "Second\tone", "Third"):
        _git(tmp_path, "commit", "--allow-empty", "-qm", subject)
        hashes.append(_git(tmp_path, "rev-parse", "HEAD"))
    monkeypatch.chdir(tmp_path)
    known = commits_of(_of(hashes[2], hashes[0], "ab" * 20, None))
    assert set(known) == {hashes[0], hashes[2]}
    assert known[hashes[0]].place < known[hashes[2]].place
    assert (known[hashes[0]].subject, known[hashes[2]].subject) == ("First", "Third")
    assert isinstance(known[hashes[0]], Commit)
    assert commits_of(_of(hashes[1]))[hashes[1]].subject == "Second\tone"


def test_a_commit_that_is_none_never_reaches_git(tmp_path, monkeypatch):
    """A run file from elsewhere cannot pass options to git."""
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "commit", "--allow-empty", "-qm", "First")
    monkeypatch.chdir(tmp_path)
    assert commits_of(_of(f"--output={tmp_path}/taken")) == {}
    assert not (tmp_path / "taken").exists()


def test_outside_a_repository_nothing_is_known(tmp_path, monkeypatch):
    """No repository, no commits: runs then stand in the order they were made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert commits_of(_of("ab" * 20)) == {}


@pytest.mark.parametrize("words", [["nope"], ["--metric", "energy", "x"], []])
def test_wrong_usage_is_refused(words, tmp_path):
    """A run that is not there, a metric that has no history, and no run at all."""
    done = _call(*words, "--results", tmp_path)
    assert done.exit_code != 0


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """Twelve run files with an accuracy, of which more is better, falling at the seventh."""
    rng = np.random.default_rng(6)
    metric = Metric("top_accuracy", better="more", scale="linear")
    runs = []
    for i in range(12):
        own = histories.records(rng)
        for record in own:
            value = (0.9 if i < 6 else 0.8) + rng.normal(0, 0.002)
            record.metrics["top_accuracy"] = Measurement(float(value))
        runs.append((histories.head(i).model_copy(update={"metrics": [metric]}), own))
    return histories.write(tmp_path_factory.mktemp("graded"), runs)


def test_any_metric_is_drawn_and_told(graded):
    """On a linear scale, as it is; the change is a difference, and its name is in words."""
    (told,) = histories_of(Runs.read(graded))
    section = section_of(told)
    (figure,) = [one for one in section.figures if one.name.endswith("top-accuracy")]
    assert figure.title == "Top accuracy, against commits"
    assert "relative to the first level" not in figure.caption
    (plot,) = figure.rows[0]
    assert (plot.scale, plot.unit, plot.y_label) == ("linear", "", "")
    assert plot.lines[0].y[0].value == pytest.approx(0.9, abs=0.01)
    assert png(figure).startswith(b"\x89PNG")
    (table,) = [one for one in section.tables if one.title == "Top accuracy"]
    assert table.rows[0][3].value == pytest.approx(-0.1, abs=0.01)
    assert str(table.rows[0][3]).startswith("-0.")


def test_the_command_follows_any_metric_of_the_runs(graded):
    """Named as in the run file; a name that no run has is refused, and what there is is said."""
    done = _call(*graded, "--metric", "top_accuracy", "--json")
    (one,) = json.loads(done.stdout)["histories"]
    assert {series["metric"] for series in one["series"]} == {"top_accuracy"}
    assert "top accuracy of sdpa" in _call(*graded, "--metric", "top_accuracy").stdout
    refused = _call(*graded, "--metric", "top-accuracy").exception
    assert isinstance(refused, UsageError)
    assert "expected one of time, memory, energy, top_accuracy, exponent" in str(refused)


def test_a_task_named_as_its_metric_is_named_once(told):
    """A title repeats nothing."""
    track = told.tracks[0]
    key = track.key.model_copy(update={"task": "similarity"})
    track = replace(track, key=key, metric=Metric("similarity"), case_id="a")
    assert _title(track, several=True).startswith("Similarity, core, forward, ")
    assert _title(track, several=False) == "Similarity"
