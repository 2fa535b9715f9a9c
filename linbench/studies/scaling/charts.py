"""The figures of a panel, as data: which lines stand together, and what the captions say."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Figure, Line, Plot, View
from linbench.run.case import Case
from linbench.run.metrics import MEMORY, Metric
from linbench.run.runs import Series
from linbench.run.shape import matrices_bytes
from linbench.stats.interval import Interval
from linbench.studies.crossover import Basis, bases_of, ratios
from linbench.studies.labels import EACH_N, VARIANTS, capital, label_of, wording
from linbench.studies.scaling.analyse import PerMetric

MAX_LINES = 8


def figures_of(panel: PerMetric, stem: str, views: tuple[View, ...]) -> Iterator[Figure]:
    """Give the figures of one panel, the first with all ways to look at it (`views_of`)."""
    shown: PerMetric = {metric: main_lines(series) for metric, series in panel.items()}
    keys = [one.key for series in panel.values() for one in series]
    names = dict.fromkeys(label_of(one.key, keys) for own in shown.values() for one in own)
    yield replace(_values(shown, stem), views=views, shown=tuple(names))
    yield from _gains(shown, stem)
    for field in VARIANTS:
        yield from _variants(panel, field, stem)


def main_lines(series: Sequence[Series]) -> list[Series]:
    """Return the series that stand in the main figures: all, or one variant per k if too many."""
    if len(series) <= MAX_LINES:
        return list(series)
    kept: dict[tuple[str | None, str | None], Series] = {}
    for one in sorted(series, key=_plainness):
        kept.setdefault((one.key.impl, one.key.k_text), one)
    return [one for one in series if one in kept.values()]


def _plainness(series: Series) -> int:
    key = series.key
    usual = (key.sharing in (None, "headwise"), key.projection in (None, "linear"))
    return -sum((*usual, key.order in (None, "auto")))


def line_of(series: Series, label: str, points: Mapping[int, Interval]) -> Line:
    """Return points over n of one series as a line; a baseline is drawn wider."""
    return Line(
        label,
        tuple(map(float, points)),
        tuple(points.values()),
        key=series.key,
        run_id=series.run_id,
        wide=series.is_exact_attention,
    )


def cost_plot(metric: Metric, series: Iterable[Series], among: Sequence[Case]) -> Plot:
    """Return the plot of one metric against n, a line per series, labelled among those keys."""
    lines = tuple(
        line_of(one, label_of(one.key, among), {point.n: point.value for point in one.points()})
        for one in series
    )
    guides = (1.0, 2.0) if metric.is_cost else ()
    title = capital(wording(metric).of_a_call)
    return Plot(title, EACH_N, "", metric.unit, lines, metric.scale, guides)


def _values(shown: PerMetric, stem: str) -> Figure:
    costs = any(metric.is_cost for metric in shown)
    linear = [wording(metric).noun for metric in shown if metric.scale == "linear"]
    what = "Cost" if costs else capital(words.listed(wording(metric).noun for metric in shown))
    logs = ["n", *(wording(metric).noun for metric in shown if metric.scale == "log")]
    axes = "both axes logarithmic"
    if linear:
        on = "logarithmic axes" if len(logs) > 1 else "a logarithmic axis"
        axes = f"{words.listed(logs)} on {on}, {words.listed(linear)} on a linear one"
    guides = "; the thin dashes rise with slope 1 and 2" if costs else ""
    return Figure(
        f"{stem}cost",
        f"{what} against sequence length",
        "Medians over rounds with 95 % intervals (rounds as independent units), "
        f"{axes}{guides}. Only what was measured is drawn. {weights_note(shown)}".strip(),
        (tuple(cost_plot(metric, own, [one.key for one in own]) for metric, own in shown.items()),),
    )


def weights_note(panel: PerMetric) -> str:
    """Say what Linformer holds besides: E and F are weights, and a call's peak is above weights."""
    held = [
        (matrices, one.sizes[-1], one.key.k_text)
        for one in panel.get(MEMORY, ())
        if one.key.k_text and (matrices := matrices_bytes(one.key.at(one.sizes[-1])))
    ]
    if not held:
        return ""
    most, n, k = max(held)
    return (
        "Peak memory is what a call needs above weights and inputs. Linformer's E and F are "
        f"weights, held all the time: {words.quantity(most, MEMORY.unit)} at n = {n} and k = {k}."
    )


def gains_title(panel: PerMetric) -> str:
    """Return what there is to win of the metrics of a panel: `Speed-up and memory saved`."""
    gains = (wording(metric).gain for metric in panel if metric.scale == "log")
    return capital(words.listed(gains))


def how_gains_count(panel: PerMetric) -> str:
    """Say what a gain is."""
    more = any(metric.better == "more" for metric in panel)
    or_has = " (where more is better: the implementation has)" if more else ""
    return f"How many times as much the baseline costs{or_has}"


def _gains(shown: PerMetric, stem: str) -> Iterator[Figure]:
    """Give the figures of what is won over each baseline: against n, and against k."""
    title, caption = gains_title(shown), how_gains_count(shown)
    if rows := _gain_rows(shown, Plot("", EACH_N, "", words.RATIO, ()), _over_n):
        yield Figure(
            f"{stem}gain",
            f"{title} against sequence length",
            f"{caption} at the same n, compared within rounds, with 95 % intervals; above 1 (the "
            "thin line) the implementation wins. The best exact implementation is the cheapest of "
            "those measured at that n.",
            rows,
            covered=True,
        )
    plot = Plot("", "projected dimension k", "", words.RATIO, (), x_name="k")
    if rows := _gain_rows(shown, plot, _over_k):
        yield Figure(
            f"{stem}gain-by-k",
            f"{title} against k",
            f"{caption}, over the projected dimension k of Linformer, with 95 % intervals; a line "
            "per sequence length.",
            rows,
        )


def _gain_rows(
    shown: PerMetric, axes: Plot, make: Callable[[Basis], tuple[Line, ...]]
) -> tuple[tuple[Plot, ...], ...]:
    """Return a row of plots for each basis, a plot per metric."""
    rows: dict[bool, list[Plot]] = {False: [], True: []}
    for metric, series in shown.items():
        for basis in bases_of(series):
            if lines := make(basis):
                title = capital(f"{wording(metric).gain} over {basis.name}")
                rows[basis.best].append(replace(axes, title=title, lines=lines))
    return tuple(tuple(row) for row in rows.values() if row)


def _over_n(basis: Basis) -> tuple[Line, ...]:
    keys = [one.key for one in basis.candidates]
    gains = ((one, {r.n: r.gain for r in basis.ratios(one)}) for one in basis.candidates)
    return tuple(line_of(one, label_of(one.key, keys), own) for one, own in gains if own)


def _over_k(basis: Basis) -> tuple[Line, ...]:
    """Return a line per n, over the k of Linformer's plainest variant."""
    by_n: dict[int, dict[int, Interval]] = {}
    for one in sorted(basis.candidates, key=_plainness):
        if isinstance(one.key.k, int):
            for ratio in basis.ratios(one):
                by_n.setdefault(ratio.n, {}).setdefault(one.key.k, ratio.gain)
    kept = {f"n = {n}": by_n[n] for n in sorted(by_n) if len(by_n[n]) > 1}
    return _shaded({label: dict(sorted(gains.items())) for label, gains in kept.items()})


def _shaded(lines: Mapping[str, Mapping[int, Interval]]) -> tuple[Line, ...]:
    """Return lines without a series of their own, by label; those without points are left out."""
    return tuple(
        Line(
            label,
            tuple(map(float, points)),
            tuple(points.values()),
            level=i / max(1, len(lines) - 1),
        )
        for i, (label, points) in enumerate(lines.items())
        if points
    )


def _variants(panel: PerMetric, field: str, stem: str) -> Iterator[Figure]:
    """Compare the variants of one field (sharing modes, projections, orders) at equal k."""
    rows: dict[tuple[str | None, ...], list[Plot]] = {}
    references: dict[str, None] = {}
    for metric, series in panel.items():
        groups = _groups(series, field) if metric.scale == "log" else {}
        for group, members in groups.items():
            first = min(members, key=_plainness)
            reference = str(getattr(first.key, field))
            references[reference] = None
            over_first = {
                str(getattr(one.key, field)): {r.n: r.value for r in ratios(first, one)}
                for one in members
                if one is not first
            }
            if lines := _shaded(over_first):
                title = f"{wording(metric).of_a_call}, {label_of(first.key, [first.key])}"
                y_label = f"relative to {reference}"
                plot = Plot(capital(title), EACH_N, y_label, words.RATIO, lines)
                rows.setdefault(group, []).append(plot)
    if rows:
        more = any(metric.better == "more" for metric in panel)
        yield Figure(
            f"{stem}{field}",
            f"{capital(field)}{' modes' if field == 'sharing' else 's'} side by side",
            f"Cost relative to {' or '.join(references)} at the same n and k, compared within "
            "rounds, with 95 % intervals; below 1 (the thin line) a variant costs less"
            f"{', or has less where more is better' if more else ''}.",
            tuple(map(tuple, rows.values())),
        )


def _groups(series: Sequence[Series], field: str) -> dict[tuple[str | None, ...], list[Series]]:
    """Group series that differ in one field only; groups of one are left out."""
    groups: dict[tuple[str | None, ...], list[Series]] = {}
    for one in series:
        if getattr(one.key, field) is not None:
            others = (getattr(one.key, name) for name in VARIANTS if name != field)
            groups.setdefault((one.key.impl, one.key.k_text, *others), []).append(one)
    return {group: members for group, members in groups.items() if len(members) > 1}
