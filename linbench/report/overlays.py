"""Charts of several runs overlaid: costs as they are, and ratios to the first run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from linbench.analysis.compare import Comparison
from linbench.analysis.series import METRICS, Panel, Series, Setup
from linbench.report.charts import EACH_N, cost_plot, label_of, main_lines
from linbench.report.content import Figure, Line, Plot, View
from linbench.report.views import ABSOLUTE, NAMES

MAX_RUNS = 4  # as many as there are dashes
_NOTE = (
    "Cost over that of the first run, with 95 % intervals of two independent groups of rounds; "
    "below 1 (the thin line) the later run costs less."
)


def problem(setup: Setup) -> Panel:
    """Return what was measured, without run, machine and device."""
    return replace(setup.panel, run_id="", fingerprint="", device="")


def anywhere(setup: Setup) -> Setup:
    """Return a setup without run, machine and device."""
    return replace(setup, run_id="", fingerprint="", device="")


def figures(base: str, found: Sequence[Comparison], series: Sequence[Series]) -> list[Figure]:
    """Return a figure for each problem that several runs measured.

    Args:
        base: The first run.
        found: What later runs took over it.
        series: Every series of every run.
    """
    by_problem: dict[Panel, list[Series]] = {}
    for one in series:
        by_problem.setdefault(problem(one.setup), []).append(one)
    shared = {what: own for what, own in by_problem.items() if len(_runs(own)) > 1}
    return [
        _figure(
            f"runs-{i + 1}" if i else "runs",
            f"Runs overlaid{f', {what.label}' if len(shared) > 1 else ''}",
            base,
            [one for one in found if problem(one.setup) == what],
            own,
        )
        for i, (what, own) in enumerate(shared.items())
    ]


def _runs(series: Iterable[Series]) -> list[str]:
    return list(dict.fromkeys(one.setup.run_id for one in series))


def _figure(
    name: str, title: str, base: str, found: Sequence[Comparison], series: Sequence[Series]
) -> Figure:
    runs = _runs(series)
    drawn = runs if len(runs) <= MAX_RUNS else [runs[0], runs[-1]]
    series = [one for one in series if one.setup.run_id in drawn]
    setups = list(dict.fromkeys(one.setup for one in series))
    main = _main(series)
    costs, ratios = [], []
    views: list[View] = []
    for metric in METRICS:
        own = [one for one in series if one.metric == metric]
        if not own:
            continue
        plot = _named(cost_plot(metric, own, setups), setups)
        views.append(View(NAMES[metric], ABSOLUTE, plot))
        costs.append(_only(plot, main))
        lines = _ratio_lines([one for one in found if one.metric == metric], setups)
        if lines:
            plot = Plot(f"{NAMES[metric]} over that of {base}", EACH_N, "", "ratio", lines)
            views.append(View(NAMES[metric], base, plot, _NOTE))
            ratios.append(_only(plot, main))
    some = f" Drawn are the first and the last of {len(runs)} runs." if drawn != runs else ""
    return Figure(
        name,
        title,
        f"A colour per implementation, a dash per run: unbroken and filled is {runs[0]}. Medians "
        f"over rounds with 95 % intervals; ratios are those of the table of cases.{some}",
        tuple(tuple(row) for row in (costs, ratios) if row),
        tuple(views),
        tuple(_name(one, setups) for one in main),
    )


def _main(series: Sequence[Series]) -> list[Setup]:
    """Return the setups of the main figures, run by run."""
    return [
        one.setup
        for run_id in _runs(series)
        for metric in METRICS
        for one in main_lines(
            [one for one in series if (one.setup.run_id, one.metric) == (run_id, metric)]
        )
    ]


def _only(plot: Plot, setups: Sequence[Setup]) -> Plot:
    return replace(plot, lines=tuple(line for line in plot.lines if line.setup in setups))


def _name(setup: Setup, among: Iterable[Setup]) -> str:
    return f"{label_of(setup, among)} \N{MIDDLE DOT} {setup.run_id}"


def _named(plot: Plot, among: Sequence[Setup]) -> Plot:
    lines = [replace(line, label=_name(line.setup, among)) for line in plot.lines if line.setup]
    return replace(plot, lines=tuple(lines))


def _ratio_lines(found: Sequence[Comparison], among: Sequence[Setup]) -> tuple[Line, ...]:
    """Return a line for each series of each later run: its ratios to the first run, over n."""
    own: dict[Setup, list[Comparison]] = {}
    for one in sorted(found, key=lambda one: one.n):
        if one.setup in among:
            own.setdefault(one.setup, []).append(one)
    return tuple(
        Line(
            _name(setup, among),
            tuple(float(one.n) for one in some),
            tuple(one.ratio for one in some),
            setup,
        )
        for setup, some in own.items()
    )
