"""What an interactive figure can show: the analysis' own ratios, for every baseline."""

import itertools

import numpy as np
import pytest
import synthetic

from linbench.run.metrics import MEMORY, TIME, Measurement, Metric
from linbench.studies.crossover import BEST, ratios, ratios_to_best
from linbench.studies.labels import label_of
from linbench.studies.scaling import views
from linbench.studies.scaling.analyse import analyse


def _panel(records):
    (own,) = analyse(synthetic.runs(records)).by_panel().values()
    return own.per_metric


@pytest.fixture(scope="module")
def panel():
    return _panel(synthetic.default_sweep(np.random.default_rng(1)))


def _view(panel, metric, basis):
    return next(v for v in views.views_of(panel) if (v.metric, v.basis) == (metric, basis))


def test_ratios_are_those_of_the_analysis(panel):
    """Any series over any other is paired within rounds, with its interval."""
    keys = [one.key for one in panel[TIME]]
    for baseline, other in itertools.permutations(panel[TIME], 2):
        plot = _view(panel, "Time", label_of(baseline.key, keys)).plot
        (line,) = [line for line in plot.lines if line.key == other.key]
        expected = ratios(baseline, other)
        assert line.x == tuple(ratio.n for ratio in expected)
        for shown, ratio in zip(line.y, expected, strict=True):
            assert (shown.value, shown.low, shown.high) == pytest.approx(
                (ratio.value.value, ratio.value.low, ratio.value.high)
            )


def test_the_best_exact_implementation_is_a_baseline(panel):
    """It is the cheapest of each n; only what is not exact stands against it."""
    exact = [one for one in panel[TIME] if one.is_exact_attention]
    plot = _view(panel, "Time", BEST).plot
    assert {line.key.impl for line in plot.lines} == {"linformer"}
    linformer = next(one for one in panel[TIME] if one.key == plot.lines[0].key)
    assert plot.lines[0].y == tuple(ratio.value for ratio in ratios_to_best(exact, linformer))


def test_baselines_are_drawn_wider(panel):
    """A line that coincides with that of exact attention is seen beside it."""
    plot = _view(panel, "Peak memory", views.ABSOLUTE).plot
    assert {line.key.impl: line.wide for line in plot.lines} == {
        "vanilla": True,
        "sdpa": True,
        "linformer": False,
    }


def test_tokens_per_second_are_the_tokens_over_the_time(panel):
    """Batch times n over the time of a call; its interval turns round, ratios are speed-ups."""
    absolute = _view(panel, views.TOKENS, views.ABSOLUTE).plot
    for line, series in zip(absolute.lines, panel[TIME], strict=True):
        for n, rate, point in zip(line.x, line.y, series.points(), strict=True):
            assert rate.value == pytest.approx(n / point.value.value)
            assert rate.low == pytest.approx(n / point.value.high)
    time, tokens = (_view(panel, metric, "sdpa").plot for metric in ("Time", views.TOKENS))
    for costing, faster in zip(time.lines, tokens.lines, strict=True):
        assert [one.value for one in faster.y] == pytest.approx([1 / y.value for y in costing.y])


@pytest.mark.parametrize(
    ("tokens", "batch", "n", "expected"),
    [(None, 4, 512, 2048), (4096, 8, 512, 4096), (5000, 9, 512, 4608)],
)
def test_tokens_of_a_call_come_from_batch_or_the_given_tokens(tokens, batch, n, expected):
    """A batch that follows from tokens holds as many whole sequences as fit."""
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "sizes": (n,), "rounds": 2}
    rng = np.random.default_rng(0)
    panel = _panel(synthetic.measured(rng, lambda _: 1.0, tokens=tokens, batch=batch, **quiet))
    (line,) = _view(panel, views.TOKENS, views.ABSOLUTE).plot.lines
    assert [rate.value for rate in line.y] == [expected]


def test_only_measured_metrics_have_views():
    """Without memory there is time and what follows from it; with energy there is energy too."""
    records = synthetic.measured(np.random.default_rng(0), lambda n: 1e-6 * n, rounds=3)
    assert {view.metric for view in views.views_of(_panel(records))} == {"Time", views.TOKENS}
    records = synthetic.measured(
        np.random.default_rng(0), lambda n: 1e-6 * n, lambda n: 4 * n, rounds=3
    )
    for record in records:
        record.metrics["energy"] = Measurement(5.0 * record.case.seq)
    panel = _panel(records)
    assert [view.metric for view in views.views_of(panel)] == [
        "Time",
        views.TOKENS,
        "Peak memory",
        "Energy",
    ]
    assert panel[MEMORY][0].noiseless


def test_a_metric_on_a_linear_scale_is_drawn_as_it_is():
    """It has no ratios, and an axis of its own kind; it is named after itself."""
    accuracy = Metric("top_accuracy", scale="linear", better="more")
    head = synthetic.header().model_copy(update={"metrics": [accuracy]})
    rng = np.random.default_rng(0)
    records = [
        record.model_copy(update={"metrics": {"top_accuracy": Measurement(0.5)}})
        for impl in ("vanilla", "sdpa")
        for record in synthetic.measured(rng, lambda _: 1.0, rounds=2, impl=impl)
    ]
    (own,) = analyse(synthetic.runs(records, head)).by_panel().values()
    (view,) = views.views_of(own.per_metric)
    assert (view.metric, view.basis) == ("Top accuracy", views.ABSOLUTE)
    assert (view.plot.scale, view.plot.guides) == ("linear", ())


def test_a_large_panel_offers_fewer_baselines_but_all_series():
    """Beyond twelve series only exact ones and those of the main figures are baselines."""
    rng = np.random.default_rng(0)
    of = {"sizes": (512, 1024), "rounds": 2, "calls": 2}
    records = synthetic.measured(rng, lambda n: 1e-6 * n, impl="sdpa", **of)
    for k, sharing in itertools.product((64, 128, 256, 512), ("none", "headwise", "kv")):
        records += synthetic.measured(rng, lambda n: 1e-6 * n, impl="linformer", k=k,
                                      sharing=sharing, projection="linear", **of)  # fmt: skip
    panel = _panel(records)
    assert len(panel[TIME]) == 13
    names = {label_of(one.key, [s.key for s in panel[TIME]]) for one in panel[TIME]}
    found = views.views_of(panel)
    assert {line.label for view in found for line in view.plot.lines} == names
    assert {view.basis for view in found} - {views.ABSOLUTE, BEST} == {
        "sdpa",
        *(f"linformer k={k} headwise" for k in (64, 128, 256, 512)),
    }
