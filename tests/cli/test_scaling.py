"""`linbench scaling` of metrics that only the run knows."""

import json

import numpy as np
import pytest
import synthetic
import typer
from typer.testing import CliRunner

from linbench.cli.scaling import scaling
from linbench.errors import UsageError
from linbench.run.metrics import Measurement, Metric

app = typer.Typer()
app.command()(scaling)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Time, misses that fall as 1/n, a rate that is no cost, an accuracy on a linear scale."""
    metrics = [
        Metric("misses"),
        Metric("rate", better="more"),
        Metric("accuracy", scale="linear", better="more"),
    ]
    head = synthetic.header().model_copy(update={"metrics": metrics})
    records = []
    for record in synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n):
        own = {"misses": 1e9 / record.case.seq, "rate": 1e9, "accuracy": 0.5}
        own = {name: Measurement(value) for name, value in own.items()}
        records.append(record.model_copy(update={"metrics": {**record.metrics, **own}}))
    return str(synthetic.write(tmp_path_factory.mktemp("runs") / "demo.jsonl", records, head))


def _series(*words):
    return json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["series"]


def test_all_metrics_with_an_exponent_are_fitted_unless_one_is_named(run):
    """Those on a linear scale have none, nor has what is the better the more there is."""
    assert [one["metric"] for one in _series(run)] == ["time", "misses"]
    (misses,) = _series(run, "--metric", "misses")
    assert misses["exponent"] == pytest.approx(-1)
    claimed = _series(run, "--metric", "misses", "--assert", "vanilla:time<=1.1")
    assert [one["metric"] for one in claimed] == ["misses", "time"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("misse", "expected one of time, misses; did you mean 'misses'?"),
        ("rate", "'rate' is no metric of these runs on a logarithmic scale with less the better"),
        ("accuracy", "'accuracy' is no metric of these runs on a logarithmic scale"),
        ("memory", "expected one of time, misses"),
    ],
)
def test_a_metric_without_exponents_is_refused_with_those_that_have_them(run, asked, said):
    """What cannot be answered is not answered with nothing."""
    error = CliRunner().invoke(app, [run, "--metric", asked]).exception
    assert isinstance(error, UsageError)
    assert said in str(error)


def test_a_run_of_other_metrics_says_that_they_have_no_exponents(tmp_path):
    """Something was measured, and it does not grow by a law."""
    records = [synthetic.largest(n, 4096 // n) for n in (512, 1024, 2048)]
    head = synthetic.header().model_copy(
        update={"metrics": [Metric("max_batch", better="more", noise="exact")]}
    )
    path = str(synthetic.write(tmp_path / "run.jsonl", records, head))
    result = CliRunner().invoke(app, [path])
    assert result.exit_code == 0
    assert result.stdout.startswith("these runs measured max_batch; exponents are of metrics on a")
    assert _series(path) == []
    nothing = synthetic.write(tmp_path / "none.jsonl", [synthetic.failed("oom", "full", 512)])
    assert "nothing was measured" in CliRunner().invoke(app, [str(nothing)]).stdout
