"""The figures of a panel, as data: which lines stand together, and what the captions say."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Figure, Line, Plot, View
from linbench.run.case import Case
from linbench.run.metrics import MEMORY, Metric
from linbench.run.runs import Series
from linbench.run.shape import matrices_bytes
from linbench.stats.interval import Interval
from linbench.studies.crossover import Basis, Ratio, bases_of, ratios
from linbench.studies.labels import EACH_N, VARIANTS, capital, label_of, wording
from linbench.studies.scaling.analyse import PerMetric

MAX_LINES = 8
_EACH_K = "projected dimension k"


def figures_of(panel: PerMetric, stem: str, views: tuple[View, ...] = ()) -> list[Figure]:
    """Return the figures of one panel.

    Args:
        panel: Its series by metric.
        stem: What file names start with.
        views: The costs in all ways to look at them, see `linbench.studies.scaling.views`.
    """
    shown: PerMetric = {metric: main_lines(series) for metric, series in panel.items()}
    keys = [one.key for series in panel.values() for one in series]
    names = dict.fromkeys(label_of(one.key, keys) for own in shown.values() for one in own)
    gain = _gain(shown, stem)
    found = [
        replace(_cost(shown, stem), views=views, shown=tuple(names)),
        gain and replace(gain, covered=bool(views)),
        _gain_by_k(shown, stem),
        *(_variants(panel, field, stem) for field in VARIANTS),
    ]
    return [figure for figure in found if figure is not None]


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


def line_of(series: Series, label: str, x: Iterable[int], y: Iterable[Interval]) -> Line:
    """Return points of one series as a line; a baseline is drawn wider."""
    return Line(
        label,
        tuple(map(float, x)),
        tuple(y),
        key=series.key,
        run_id=series.run_id,
        wide=series.is_exact_attention,
    )


def cost_plot(metric: Metric, series: Sequence[Series], among: Iterable[Case]) -> Plot:
    """Return the plot of one metric against n, a line per series.

    Args:
        metric: The metric.
        series: Its series.
        among: The keys of all series that their labels must tell them from.
    """
    keys = list(among)
    lines = tuple(
        line_of(one, label_of(one.key, keys), one.sizes, (point.value for point in one.points()))
        for one in series
    )
    guides = (1.0, 2.0) if metric.scale == "log" else ()
    title = capital(wording(metric).of_a_call)
    return Plot(title, EACH_N, "", metric.unit, lines, metric.scale, guides)


def _cost(shown: PerMetric, stem: str) -> Figure:
    plots = (
        cost_plot(metric, series, [one.key for one in series]) for metric, series in shown.items()
    )
    linear = [wording(metric).noun for metric in shown if metric.scale == "linear"]
    but_for = f" but for {words.listed(linear)}" if linear else ""
    return Figure(
        f"{stem}cost",
        "Cost against sequence length",
        "Medians over rounds with 95 % intervals (rounds as independent units), both axes "
        f"logarithmic{but_for}; the thin dashes rise with slope 1 and 2. Only what was measured is "
        f"drawn. {weights_note(shown)}",
        (tuple(plots),),
    )


def weights_note(panel: PerMetric) -> str:
    """Say what Linformer holds besides: E and F are weights, and a call's peak is above weights."""
    held = {
        (n, one.key.k_text): matrices
        for one in panel.get(MEMORY, ())
        for n in one.sizes[-1:]
        if one.key.k_text and (matrices := matrices_bytes(one.key.at(n)))
    }
    if not held:
        return ""
    n, k = max(held, key=lambda key: held[key])
    return (
        "Peak memory is what a call needs above weights and inputs. Linformer's E and F are "
        f"weights, held all the time: {words.quantity(held[n, k], MEMORY.unit)} at n = {n} and "
        f"k = {k}."
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


def _gain(shown: PerMetric, stem: str) -> Figure | None:
    rows = _gain_rows(shown, _gain_lines, EACH_N)
    if not rows:
        return None
    return Figure(
        f"{stem}gain",
        f"{gains_title(shown)} against sequence length",
        f"{how_gains_count(shown)} at the same n, compared within rounds, with 95 % intervals; "
        "above 1 (the thin line) the implementation wins. The best exact implementation is the "
        "cheapest of those measured at that n.",
        rows,
    )


def _gain_by_k(shown: PerMetric, stem: str) -> Figure | None:
    rows = _gain_rows(shown, _gain_lines_by_k, _EACH_K)
    if not rows:
        return None
    return Figure(
        f"{stem}gain-by-k",
        f"{gains_title(shown)} against k",
        f"{how_gains_count(shown)}, over the projected dimension k of Linformer, with 95 % "
        "intervals; a line per sequence length.",
        rows,
    )


def _gain_rows(
    shown: PerMetric, make: Callable[[Basis], tuple[Line, ...]], x_label: str
) -> tuple[tuple[Plot, ...], ...]:
    """Return a row of plots for each basis, a plot per metric."""
    rows: dict[bool, list[Plot]] = {False: [], True: []}
    for metric, series in shown.items():
        for basis in bases_of(series):
            if lines := make(basis):
                title = capital(f"{wording(metric).gain} over {basis.name}")
                rows[basis.best].append(Plot(title, x_label, "", words.RATIO, lines))
    return tuple(tuple(row) for row in rows.values() if row)


def _gain_lines(basis: Basis) -> tuple[Line, ...]:
    keys = [one.key for one in basis.candidates]
    found = ((one, basis.ratios(one)) for one in basis.candidates)
    return tuple(
        line_of(one, label_of(one.key, keys), (r.n for r in own), (r.gain for r in own))
        for one, own in found
        if own
    )


def _gain_lines_by_k(basis: Basis) -> tuple[Line, ...]:
    """One line per n, over the k of Linformer's plainest variant."""
    by_n: dict[int, dict[int, Interval]] = {}
    for one in sorted(basis.candidates, key=_plainness):
        if isinstance(one.key.k, int):
            for ratio in basis.ratios(one):
                by_n.setdefault(ratio.n, {}).setdefault(one.key.k, ratio.gain)
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


def _variants(panel: PerMetric, field: str, stem: str) -> Figure | None:
    """Compare the variants of one field (sharing modes, projections, orders) at equal k."""
    rows: dict[tuple[str | None, ...], list[Plot]] = {}
    references: dict[str, None] = {}
    for metric, series in panel.items():
        if metric.scale == "linear":
            continue
        for group, members in _groups(series, field).items():
            first = min(members, key=_plainness)
            reference = str(getattr(first.key, field))
            references[reference] = None
            lines = _relative_lines(first, [one for one in members if one is not first], field)
            if lines:
                title = f"{wording(metric).of_a_call}, {label_of(first.key, [first.key])}"
                y_label = f"relative to {reference}"
                plot = Plot(capital(title), EACH_N, y_label, words.RATIO, lines)
                rows.setdefault(group, []).append(plot)
    if not rows:
        return None
    more = any(metric.better == "more" for metric in panel)
    return Figure(
        f"{stem}{field}",
        f"{capital(field)}{' modes' if field == 'sharing' else 's'} side by side",
        f"Cost relative to {' or '.join(references)} at the same n and k, compared within rounds, "
        "with 95 % intervals; below 1 (the thin line) a variant costs less"
        f"{', or has less where more is better' if more else ''}.",
        tuple(map(tuple, rows.values())),
    )


def _groups(series: Sequence[Series], field: str) -> dict[tuple[str | None, ...], list[Series]]:
    """Group series that differ in one field only; groups of one are left out."""
    groups: dict[tuple[str | None, ...], list[Series]] = {}
    fixed = [name for name in VARIANTS if name != field]
    for one in series:
        if getattr(one.key, field) is not None:
            others = (getattr(one.key, name) for name in fixed)
            groups.setdefault((one.key.impl, one.key.k_text, *others), []).append(one)
    return {group: members for group, members in groups.items() if len(members) > 1}


def _relative_lines(first: Series, others: Sequence[Series], field: str) -> tuple[Line, ...]:
    found: list[tuple[Series, list[Ratio]]] = [(one, ratios(first, one)) for one in others]
    return tuple(
        Line(
            str(getattr(one.key, field)),
            tuple(float(ratio.n) for ratio in own),
            tuple(ratio.value for ratio in own),
            level=i / max(1, len(others) - 1),
        )
        for i, (one, own) in enumerate(found)
        if own
    )
