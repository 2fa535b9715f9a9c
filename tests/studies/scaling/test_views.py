"""What an interactive figure can show: the analysis' own ratios, for every baseline."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import synthetic

from linbench.analysis.crossover import ratios, ratios_to_best
from linbench.analysis.series import METRICS, series_of
from linbench.record import load
from linbench.report import views
from linbench.report.charts import label_of

BEST = views.BEST


def _panel(path, records):
    _, frame = load(synthetic.write(path / "run.jsonl", records))
    return {metric: found for metric in METRICS if (found := series_of(frame, metric))}


@pytest.fixture(scope="module")
def panel(tmp_path_factory):
    records = synthetic.default_sweep(np.random.default_rng(1))
    return _panel(tmp_path_factory.mktemp("run"), records)


def _view(panel, metric, basis):
    return next(v for v in views.views_of(panel) if (v.metric, v.basis) == (metric, basis))


def test_ratios_are_those_of_the_analysis(panel):
    """Any series over any other is paired within rounds, with its interval."""
    setups = [one.setup for one in panel["time"]]
    for baseline, other in itertools.permutations(panel["time"], 2):
        plot = _view(panel, "Time", label_of(baseline.setup, setups)).plot
        (line,) = [line for line in plot.lines if line.setup == other.setup]
        expected = ratios(baseline, other)
        assert line.x == tuple(ratio.n for ratio in expected)
        for shown, ratio in zip(line.y, expected, strict=True):
            assert (shown.value, shown.low, shown.high) == pytest.approx(
                (ratio.value.value, ratio.value.low, ratio.value.high)
            )


def test_the_best_exact_implementation_is_a_baseline(panel):
    """It is the cheapest of each n; only what is not exact stands against it."""
    exact = [one for one in panel["time"] if one.setup.impl != "linformer"]
    plot = _view(panel, "Time", BEST).plot
    assert {line.setup.impl for line in plot.lines} == {"linformer"}
    linformer = next(one for one in panel["time"] if one.setup == plot.lines[0].setup)
    assert plot.lines[0].y == tuple(ratio.value for ratio in ratios_to_best(exact, linformer))


def test_tokens_per_second_are_the_tokens_over_the_time(panel):
    """Batch times n over the time of a call; its interval turns round, ratios are speed-ups."""
    absolute = _view(panel, views.TOKENS, views.ABSOLUTE).plot
    for line, series in zip(absolute.lines, panel["time"], strict=True):
        for n, rate, point in zip(line.x, line.y, series.points(), strict=True):
            assert rate.value == pytest.approx(n / point.value.value)
            assert rate.low == pytest.approx(n / point.value.high)
    time, tokens = (_view(panel, metric, "sdpa").plot for metric in ("Time", views.TOKENS))
    for costing, faster in zip(time.lines, tokens.lines, strict=True):
        assert [one.value for one in faster.y] == pytest.approx([1 / y.value for y in costing.y])


@pytest.mark.parametrize(
    ("tokens", "batch", "n", "expected"),
    [(None, 4, 512, 2048), (4096, None, 1024, 4096), (5000, None, 1024, 4096)],
)
def test_tokens_of_a_call_come_from_batch_or_the_given_tokens(tokens, batch, n, expected):
    """A batch that follows from tokens holds as many whole sequences as fit."""
    setup = replace(synthetic.PLUGIN, tokens=tokens, batch=batch)
    assert setup.batch_at(n) * n == expected


def test_only_measured_metrics_have_views(tmp_path):
    """Without memory there is time and what follows from it; with energy there is energy too."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=3)
    assert {view.metric for view in views.views_of(_panel(tmp_path, records))} == {
        "Time",
        views.TOKENS,
    }
    records = [one.model_copy(update={"energy_j": 5.0 * one.case.seq}) for one in records]
    assert "Energy" in {view.metric for view in views.views_of(_panel(tmp_path, records))}


def test_a_large_panel_offers_fewer_baselines_but_all_series(tmp_path):
    """Beyond twelve series only exact ones and those of the main figures are baselines."""
    rng = np.random.default_rng(0)
    of = {"sizes": (512, 1024), "rounds": 2, "calls": 2}
    records = synthetic.measured(rng, lambda n: 1e-6 * n, impl="sdpa", **of)
    for k, sharing in itertools.product((64, 128, 256, 512), ("none", "headwise", "kv")):
        records += synthetic.measured(rng, lambda n: 1e-6 * n, impl="linformer", k=k,
                                      sharing=sharing, projection="linear", **of)  # fmt: skip
    panel = _panel(tmp_path, records)
    assert len(panel["time"]) == 13
    names = {label_of(one.setup, [s.setup for s in panel["time"]]) for one in panel["time"]}
    found = views.views_of(panel)
    assert {line.label for view in found for line in view.plot.lines} == names
    assert {view.basis for view in found} - {views.ABSOLUTE, BEST} == {
        "sdpa",
        *(f"linformer k={k} headwise" for k in (64, 128, 256, 512)),
    }
