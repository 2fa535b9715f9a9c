"""The figures of a panel, as data: which lines stand together, and what the captions say."""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from linbench.analysis.counts import matrices_bytes
from linbench.analysis.crossover import Ratio, ratios, ratios_to_best
from linbench.analysis.series import EXACT, Metric, Series, Setup
from linbench.analysis.stats import Interval
from linbench.report import words
from linbench.report.content import Figure, Line, Plot, View

MAX_LINES = 8
_VARIANT_FIELDS = ("sharing", "projection", "order")
EACH_N = "sequence length n"
_COST: dict[Metric, str] = {
    "time": "time of one call",
    "memory": "peak memory of one call",
    "energy": "energy of one call",
}
_GAIN: dict[Metric, str] = {
    "time": "speed-up",
    "memory": "memory saved",
    "energy": "energy saved",
}

PerMetric = dict[Metric, list[Series]]


def figures_of(panel: PerMetric, stem: str, views: tuple[View, ...] = ()) -> list[Figure]:
    """Return the figures of one panel.

    Args:
        panel: Its series by metric.
        stem: What file names start with.
        views: The costs in all ways to look at them, see `linbench.report.views`.
    """
    shown: PerMetric = {metric: main_lines(series) for metric, series in panel.items()}
    setups = [one.setup for series in panel.values() for one in series]
    names = dict.fromkeys(label_of(one.setup, setups) for of in shown.values() for one in of)
    cost, gain = _cost(shown, stem), _gain(shown, stem)
    found = [
        cost and replace(cost, views=views, shown=tuple(names)),
        gain and replace(gain, covered=bool(views)),
        _gain_by_k(shown, stem),
    ]
    found += [_variants(panel, field, stem) for field in _VARIANT_FIELDS]
    return [figure for figure in found if figure is not None]


def main_lines(series: Sequence[Series]) -> list[Series]:
    """Return the series that stand in the main figures: all, or one variant per k if too many."""
    if len(series) <= MAX_LINES:
        return list(series)
    kept: dict[tuple[str, object], Series] = {}
    for one in sorted(series, key=lambda one: _plainness(one.setup)):
        kept.setdefault((one.setup.impl, one.setup.k), one)
    return [one for one in series if one in kept.values()]


def _plainness(setup: Setup) -> int:
    usual = (setup.sharing in (None, "headwise"), setup.projection in (None, "linear"))
    return -sum((*usual, setup.order in (None, "auto")))


def label_of(setup: Setup, among: Iterable[Setup]) -> str:
    """Name a setup by what tells it from the others, always with its implementation and k."""
    others = list(among)
    words_ = [setup.impl]
    if setup.k is not None:
        words_.append(f"k={setup.k}")
    for field in _VARIANT_FIELDS:
        value = getattr(setup, field)
        same_impl = {getattr(other, field) for other in others if other.impl == setup.impl}
        if value is not None and len(same_impl) > 1:
            words_.append(str(value))
    return " ".join(words_)


def cost_plot(metric: Metric, series: Sequence[Series], among: Iterable[Setup]) -> Plot:
    """Return the plot of one metric against n, a line per series."""
    setups = list(among)
    lines = tuple(
        Line(
            label_of(one.setup, setups),
            tuple(float(n) for n in one.sizes),
            tuple(point.value for point in one.points()),
            one.setup,
        )
        for one in series
    )
    return Plot(_COST[metric].capitalize(), EACH_N, "", metric, lines, guides=(1.0, 2.0))


def _cost(shown: PerMetric, stem: str) -> Figure | None:
    plots = [
        cost_plot(metric, series, [one.setup for one in series])
        for metric, series in shown.items()
        if series
    ]
    if not plots:
        return None
    return Figure(
        f"{stem}cost",
        "Cost against sequence length",
        "Medians over rounds with 95 % intervals (rounds as independent units), both axes "
        "logarithmic; the thin dashes rise with slope 1 and 2. Only what was measured is drawn. "
        + weights_note(shown),
        (tuple(plots),),
    )


def weights_note(shown: PerMetric) -> str:
    """Say what Linformer holds besides: E and F are weights, and a call's peak is above weights."""
    held = {
        (n, one.setup.k): matrices
        for one in shown.get("memory", ())
        for n in one.sizes[-1:]
        if one.setup.impl == "linformer" and (matrices := matrices_bytes(one.setup, n))
    }
    if not held:
        return ""
    n, k = max(held, key=lambda key: held[key])
    return (
        "Peak memory is what a call needs above weights and inputs. Linformer's E and F are "
        f"weights, held all the time: {words.size(held[n, k])} at n = {n} and k = {k}."
    )


def _gain(shown: PerMetric, stem: str) -> Figure | None:
    rows = _gain_rows(shown, _gain_lines)
    if not rows:
        return None
    return Figure(
        f"{stem}gain",
        "Speed-up and memory saved against sequence length",
        "How many times as much the baseline costs at the same n, compared within rounds, with "
        "95 % intervals; above 1 (the thin line) the implementation wins. The best exact "
        "implementation is the cheapest of those measured at that n.",
        rows,
    )


LineMaker = Callable[[Sequence[Series], Callable[[Series], list[Ratio]]], tuple[Line, ...]]


def _gain_rows(shown: PerMetric, make: LineMaker) -> tuple[tuple[Plot, ...], ...]:
    over_vanilla, over_best = [], []
    x_label = EACH_N if make is _gain_lines else "projected dimension k"
    for metric, series in shown.items():
        exact = [one for one in series if one.setup.impl in EXACT]
        vanilla = [one for one in exact if one.setup.impl == "vanilla"]
        name = _GAIN[metric]
        if vanilla:
            others = [one for one in series if one not in vanilla]
            lines = make(others, functools.partial(ratios, vanilla[0]))
            if lines:
                title = f"{name} over vanilla".capitalize()
                over_vanilla.append(Plot(title, x_label, "", "ratio", lines))
        if len(exact) > len(vanilla):
            others = [one for one in series if one not in exact]
            lines = make(others, functools.partial(ratios_to_best, exact))
            if lines:
                title = f"{name} over the best exact implementation".capitalize()
                over_best.append(Plot(title, x_label, "", "ratio", lines))
    return tuple(tuple(row) for row in (over_vanilla, over_best) if row)


def _gain_lines(
    series: Sequence[Series], compare: Callable[[Series], list[Ratio]]
) -> tuple[Line, ...]:
    setups = [one.setup for one in series]
    lines = []
    for one in series:
        found = compare(one)
        if found:
            x, y = tuple(float(r.n) for r in found), tuple(r.gain for r in found)
            lines.append(Line(label_of(one.setup, setups), x, y, one.setup))
    return tuple(lines)


def _gain_lines_by_k(
    series: Sequence[Series], compare: Callable[[Series], list[Ratio]]
) -> tuple[Line, ...]:
    """One line per n, over the k of Linformer's plainest variant."""
    by_n: dict[int, dict[int, Interval]] = {}
    plain = sorted(series, key=lambda one: _plainness(one.setup))
    for one in plain:
        if isinstance(one.setup.k, int):
            for ratio in compare(one):
                by_n.setdefault(ratio.n, {}).setdefault(one.setup.k, ratio.gain)
    kept = {n: gains for n, gains in sorted(by_n.items()) if len(gains) > 1}
    return tuple(
        Line(
            f"n = {words.tokens(n)}",
            tuple(float(k) for k in sorted(gains)),
            tuple(gains[k] for k in sorted(gains)),
            level=i / max(1, len(kept) - 1),
        )
        for i, (n, gains) in enumerate(kept.items())
    )


def _gain_by_k(shown: PerMetric, stem: str) -> Figure | None:
    rows = _gain_rows(shown, _gain_lines_by_k)
    if not rows:
        return None
    return Figure(
        f"{stem}gain-by-k",
        "Speed-up and memory saved against k",
        "How many times as much the baseline costs, over the projected dimension k of Linformer, "
        "with 95 % intervals; a line per sequence length.",
        rows,
    )


def _variants(panel: PerMetric, field: str, stem: str) -> Figure | None:
    """Compare the variants of one field (sharing modes, projections, orders) at equal k."""
    rows: dict[tuple[object, ...], list[Plot]] = {}
    references: dict[str, None] = {}
    for metric, series in panel.items():
        for key, members in _groups(series, field).items():
            first = min(members, key=lambda one: _plainness(one.setup))
            references[str(getattr(first.setup, field))] = None
            lines = _relative_lines(first, [one for one in members if one is not first], field)
            if lines:
                title = f"{_COST[metric]}, {label_of(first.setup, [first.setup])}".capitalize()
                y_label = f"relative to {getattr(first.setup, field)}"
                plot = Plot(title, EACH_N, y_label, "ratio", lines)
                rows.setdefault(key, []).append(plot)
    if not rows:
        return None
    return Figure(
        f"{stem}{field}",
        {"sharing": "Sharing modes", "projection": "Projections", "order": "Orders"}[field]
        + " side by side",
        f"Cost relative to {' or '.join(references)} at the same n and k, compared within rounds, "
        "with 95 % intervals; below 1 (the thin line) a variant costs less.",
        tuple(map(tuple, rows.values())),
    )


def _groups(series: Sequence[Series], field: str) -> dict[tuple[object, ...], list[Series]]:
    """Group series that differ in one field only; groups of one are left out."""
    groups: dict[tuple[object, ...], list[Series]] = {}
    fixed = [name for name in _VARIANT_FIELDS if name != field]
    for one in series:
        if getattr(one.setup, field) is not None:
            key = (one.setup.impl, one.setup.k, *(getattr(one.setup, name) for name in fixed))
            groups.setdefault(key, []).append(one)
    return {key: members for key, members in groups.items() if len(members) > 1}


def _relative_lines(first: Series, others: Sequence[Series], field: str) -> tuple[Line, ...]:
    lines = []
    for i, one in enumerate(others):
        found = ratios(first, one)
        if found:
            x, y = tuple(float(r.n) for r in found), tuple(r.value for r in found)
            level = i / max(1, len(others) - 1)
            lines.append(Line(str(getattr(one.setup, field)), x, y, level=level))
    return tuple(lines)
