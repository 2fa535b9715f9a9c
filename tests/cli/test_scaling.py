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
    """Time, a rate that falls as 1/n, and an accuracy on a linear scale."""
    metrics = [Metric("rate", better="more"), Metric("accuracy", scale="linear", better="more")]
    head = synthetic.header().model_copy(update={"metrics": metrics})
    records = []
    for record in synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n):
        own = {"rate": Measurement(1e9 / record.case.seq), "accuracy": Measurement(0.5)}
        records.append(record.model_copy(update={"metrics": {**record.metrics, **own}}))
    return str(synthetic.write(tmp_path_factory.mktemp("runs") / "demo.jsonl", records, head))


def _series(*words):
    return json.loads(CliRunner().invoke(app, [*words, "--json"]).stdout)["series"]


def test_all_metrics_with_an_exponent_are_fitted_unless_one_is_named(run):
    """Those on a linear scale have none."""
    assert [one["metric"] for one in _series(run)] == ["time", "rate"]
    (rate,) = _series(run, "--metric", "rate")
    assert rate["exponent"] == pytest.approx(-1)
    claimed = _series(run, "--metric", "rate", "--assert", "vanilla:time<=1.1")
    assert [one["metric"] for one in claimed] == ["rate", "time"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("rat", "expected one of time, rate; did you mean 'rate'?"),
        ("accuracy", "'accuracy' is no metric of these runs on a logarithmic scale"),
        ("memory", "expected one of time, rate"),
    ],
)
def test_a_metric_without_exponents_is_refused_with_those_that_have_them(run, asked, said):
    """What cannot be answered is not answered with nothing."""
    error = CliRunner().invoke(app, [run, "--metric", asked]).exception
    assert isinstance(error, UsageError)
    assert said in str(error)
