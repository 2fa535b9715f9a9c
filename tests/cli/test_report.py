"""The commands `scaling` and `report`: output for people, JSON for machines, exit codes."""

import json

import numpy as np
import pytest
import synthetic
import typer
from typer.testing import CliRunner

from linbench.cli.report import report
from linbench.cli.scaling import scaling
from linbench.errors import LinbenchError

SERIES_KEYS = {
    "impl", "k", "sharing", "projection", "scope", "mode", "metric", "points", "n_min", "n_max",
    "exponent", "ci_low", "ci_high", "expected_exponent", "model", "verdict",
}  # fmt: skip
CROSSOVER_KEYS = {
    "baseline", "candidate", "k", "sharing", "metric", "n_star", "ci_low", "ci_high", "status",
}  # fmt: skip

app = typer.Typer()
app.command()(scaling)
app.command()(report)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("results") / "demo.jsonl"
    return str(synthetic.write(path, synthetic.default_sweep(np.random.default_rng(1))))


def _call(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_scaling_json_keeps_its_contract(run):
    """Every promised key is there, with the exponents of the laws the run was made from."""
    answer = json.loads(_call("scaling", run, "--json").stdout)
    assert all(set(one) >= SERIES_KEYS for one in answer["series"])
    assert all(set(one) >= CROSSOVER_KEYS for one in answer["crossovers"])
    found = {(s["impl"], s["k"], s["metric"]): s for s in answer["series"]}
    assert len(found) == 8
    for (impl, _, metric), one in found.items():
        if metric == "time":
            assert one["ci_low"] <= one["exponent"] <= one["ci_high"]
            truth = 1 if impl == "linformer" else 2
            assert one["expected_exponent"] == truth
            assert abs(one["exponent"] - truth) < 0.1
            assert one["verdict"] == {1: "linear", 2: "quadratic"}[truth]
    vanilla = found["vanilla", None, "time"]
    assert (vanilla["points"], vanilla["n_min"], vanilla["n_max"]) == (5, 512, 8192)
    crossed = [c for c in answer["crossovers"] if c["status"] == "crossed"]
    assert {(c["baseline"], c["k"], c["metric"]) for c in crossed} == {
        ("sdpa", 128, "time"),
        ("sdpa", 256, "time"),
    }


def test_scaling_prints_exponents_verdicts_and_crossovers(run):
    """A person gets the same in tables, with the grounds of what is inconclusive."""
    text = _call("scaling", run, "--metric", "time").stdout
    assert "linformer k=128" in text
    assert "quadratic" in text
    assert "memory" not in text
    assert "crossed" in text


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        (["linformer:time<=1.15", "vanilla:time>=1.8", "linformer/sdpa:time@8192<0.5"], 0),
        (["linformer:time<=1.15", "vanilla:time<=1.8"], 1),
        (["vanilla:time<=2.0"], 3),
        (["vanilla:time<=2.0", "sdpa:time<=1.5"], 1),
    ],
)
def test_claims_decide_the_exit_code(run, claims, code):
    """All hold 0, one fails 1, else one that cannot be told 3; each outcome is printed."""
    words = [word for claim in claims for word in ("--assert", claim)]
    for form in ([], ["--json"]):
        result = _call("scaling", run, *words, *form)
        assert result.exit_code == code
        assert all(claim in result.stdout for claim in claims)


def test_a_run_without_measurements_answers_empty(tmp_path):
    """Nothing measured is no error and no invention."""
    path = synthetic.write(tmp_path / "none.jsonl", [synthetic.failed("skipped", "no", 512)])
    assert json.loads(_call("scaling", path, "--json").stdout) == {"series": [], "crossovers": []}
    assert "nothing was measured" in _call("scaling", path).stdout


def test_few_sizes_give_null_with_a_reason(tmp_path):
    """Two sizes have no exponent; JSON says null and why."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1.0 * n, sizes=(512, 1024))
    path = synthetic.write(tmp_path / "two.jsonl", records)
    (one,) = json.loads(_call("scaling", path, "--json").stdout)["series"]
    assert (one["exponent"], one["ci_low"], one["model"]) == (None, None, None)
    assert one["verdict"] == "inconclusive"
    assert "needs 3" in one["grounds"]


def test_unknown_values_name_the_nearest(run):
    """A metric or format that does not exist is refused in one line."""
    for words, near in (
        (("scaling", run, "--metric", "tme"), "'time'"),
        (("report", run, "--format", "markdown"), "md"),
        (("report", run, "--format", "md,pdf"), "'pdf' is not available, expected md or html"),
    ):
        error = _call(*words).exception
        assert isinstance(error, LinbenchError)
        assert near in str(error)
        assert "\n" not in str(error)


PICTURES = {"core-cost.png", "core-gain.png", "core-gain-by-k.png"}


@pytest.mark.parametrize(
    ("flags", "pages", "beside"),
    [
        ([], ["report.md", "report.html"], PICTURES),
        (["--format", "md"], ["report.md"], PICTURES),
        (["--format", "html"], ["report.html"], set()),
        (["--format", "html, md,html"], ["report.html", "report.md"], PICTURES),
    ],
)
def test_report_writes_what_is_asked_for_and_prints_the_paths(run, tmp_path, flags, pages, beside):
    """The report of run demo lies in OUT/demo; Markdown has its figures beside it."""
    result = _call("report", run, "--out", tmp_path, *flags)
    folder = tmp_path / "demo"
    assert result.stdout.splitlines() == [str(folder / page) for page in pages]
    assert {path.name for path in folder.iterdir()} == {*pages, *beside}


def test_a_folder_that_cannot_be_written_is_an_error(run, tmp_path):
    """The error names the folder and the remedy."""
    (tmp_path / "file").write_text("in the way")
    for name in ("md", "html"):
        error = _call("report", run, "--out", tmp_path / "file", "--format", name).exception
        assert isinstance(error, LinbenchError)
        assert "--out" in str(error)
        assert "\n" not in str(error)
