"""Charts of several runs overlaid: values as they are, and ratios to the first run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Figure, Line, Plot, View
from linbench.run.case import Case
from linbench.run.runs import Series
from linbench.studies.compare.cases import CaseComparison
from linbench.studies.labels import EACH_N, label_of, wording
from linbench.studies.scaling.charts import cost_plot, line_of, main_lines
from linbench.studies.scaling.views import ABSOLUTE

MAX_RUNS = 4  # as many as there are dashes
_NOTE = (
    "Values over those of the first run, with 95 % intervals of two independent groups of rounds; "
    "below 1 (the thin line) the later run has less."
)

Place = tuple[str, Case]
"""A run, and a configuration in it: what a line of a chart stands for."""


def workload(key: Case) -> Case:
    """Return what was measured, whoever solved it and on whatever device."""
    return key.problem.key("device")


def figures(base: str, cases: Sequence[CaseComparison], series: Sequence[Series]) -> list[Figure]:
    """Return a figure for each problem that several runs measured.

    Args:
        base: The first run.
        cases: What later runs took over it.
        series: Every series of every run.
    """
    problems: dict[Case, list[Series]] = {}
    for one in series:
        problems.setdefault(workload(one.key), []).append(one)
    shared = {what: own for what, own in problems.items() if len(_runs(own)) > 1}
    return [
        _figure(
            f"runs-{i + 1}" if i else "runs",
            f"Runs overlaid{f', {what.problem_label}' if len(shared) > 1 else ''}",
            base,
            [case for case in cases if workload(case.key) == what],
            own,
        )
        for i, (what, own) in enumerate(shared.items())
    ]


def _runs(series: Iterable[Series]) -> list[str]:
    return list(dict.fromkeys(one.run_id for one in series))


def _figure(
    name: str, title: str, base: str, cases: Sequence[CaseComparison], series: Sequence[Series]
) -> Figure:
    runs = _runs(series)
    drawn = runs if len(runs) <= MAX_RUNS else [runs[0], runs[-1]]
    series = [one for one in series if one.run_id in drawn]
    keys = list(dict.fromkeys(one.key for one in series))
    main = _main(series)
    costs, ratios = [], []
    views: list[View] = []
    for metric in dict.fromkeys(one.metric for one in series):
        own = [one for one in series if one.metric == metric]
        noun = wording(metric).title
        plot = _of_runs(cost_plot(metric, own, keys), own, keys)
        views.append(View(noun, ABSOLUTE, plot))
        costs.append(_only(plot, main))
        found = [case for case in cases if case.metric == metric]
        if lines := tuple(_ratio_lines(found, own, keys)):
            plot = Plot(f"{noun} over that of {base}", EACH_N, "", words.RATIO, lines)
            views.append(View(noun, base, plot, _NOTE))
            ratios.append(_only(plot, main))
    some = f" Drawn are the first and the last of {len(runs)} runs." if drawn != runs else ""
    return Figure(
        name,
        title,
        f"A colour per implementation, a dash per run: unbroken and filled is {runs[0]}. Medians "
        f"over rounds with 95 % intervals; ratios are those of the table of cases.{some}",
        tuple(tuple(row) for row in (costs, ratios) if row),
        tuple(views),
        tuple(_name(place, keys) for place in main),
    )


def _main(series: Sequence[Series]) -> list[Place]:
    """Return what stands in the main figures, run by run."""
    groups: dict[tuple[str, str], list[Series]] = {}
    for run_id in _runs(series):
        for one in series:
            if one.run_id == run_id:
                groups.setdefault((run_id, one.metric.name), []).append(one)
    return [(one.run_id, one.key) for own in groups.values() for one in main_lines(own)]


def _only(plot: Plot, places: Sequence[Place]) -> Plot:
    lines = (line for line in plot.lines if (line.run_id, line.key) in places)
    return replace(plot, lines=tuple(lines))


def _name(place: Place, among: Sequence[Case]) -> str:
    run_id, key = place
    return f"{label_of(key, among)} \N{MIDDLE DOT} {run_id}"


def _of_runs(plot: Plot, series: Sequence[Series], among: Sequence[Case]) -> Plot:
    """Return a plot of series, in their order, with the run in the name of each line."""
    lines = (
        replace(line, label=_name((one.run_id, one.key), among))
        for line, one in zip(plot.lines, series, strict=True)
    )
    return replace(plot, lines=tuple(lines))


def _ratio_lines(
    cases: Sequence[CaseComparison], series: Sequence[Series], among: Sequence[Case]
) -> Iterator[Line]:
    """Give a line for each series of each later run: its ratios to the first run, over n."""
    for one in series:
        own = [case for case in cases if (case.run_id, case.key) == (one.run_id, one.key)]
        ratios = {case.n: case.ratio for case in own if case.ratio is not None}
        if ratios:
            sizes = sorted(ratios)
            name = _name((one.run_id, one.key), among)
            yield line_of(one, name, sizes, (ratios[n] for n in sizes))
