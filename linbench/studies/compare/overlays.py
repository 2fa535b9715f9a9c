"""Charts of several runs overlaid: values as they are, and ratios to the first run."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from linbench import words
from linbench.report.content import Figure, Line, Plot, View
from linbench.run.case import Case
from linbench.run.runs import Series
from linbench.studies.compare.cases import CaseComparison, workload
from linbench.studies.labels import EACH_N, label_of, wording
from linbench.studies.scaling.charts import cost_plot, line_of, main_lines
from linbench.studies.scaling.views import ABSOLUTE

MAX_RUNS = 4  # as many as there are dashes
_NOTE = (
    "Values over those of the first run, with 95 % intervals of two independent groups of rounds; "
    "below 1 (the thin line) the later run has less."
)


def figures(base: str, cases: Sequence[CaseComparison], series: Sequence[Series]) -> list[Figure]:
    """Return a figure for each problem that several runs measured; base is the first run."""
    problems: dict[Case, list[Series]] = defaultdict(list)
    for one in series:
        problems[workload(one.key)].append(one)
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
    main = _main_labels(series, keys)
    values, ratios = [], []
    views: list[View] = []
    for metric in dict.fromkeys(one.metric for one in series):
        own = [one for one in series if one.metric == metric]
        noun = wording(metric).title
        plot = cost_plot(metric, own, keys)
        plot = replace(plot, lines=tuple(map(_with_run, plot.lines)))
        views.append(View(noun, ABSOLUTE, plot))
        values.append(_only(plot, main))
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
        tuple(tuple(row) for row in (values, ratios) if row),
        tuple(views),
        tuple(main),
    )


def _main_labels(series: Sequence[Series], keys: Sequence[Case]) -> list[str]:
    """Return the labels of what stands in the main figures, run by run."""
    groups: dict[tuple[int, str], list[Series]] = defaultdict(list)
    runs = _runs(series)
    for one in series:
        groups[runs.index(one.run_id), one.metric.name].append(one)
    main = (one for _, own in sorted(groups.items()) for one in main_lines(own))
    return list(dict.fromkeys(_label(label_of(one.key, keys), one.run_id) for one in main))


def _label(label: str, run_id: str) -> str:
    return f"{label} \N{MIDDLE DOT} {run_id}"


def _with_run(line: Line) -> Line:
    return replace(line, label=_label(line.label, line.run_id))


def _only(plot: Plot, labels: Sequence[str]) -> Plot:
    return replace(plot, lines=tuple(line for line in plot.lines if line.label in labels))


def _ratio_lines(
    cases: Sequence[CaseComparison], series: Sequence[Series], keys: Sequence[Case]
) -> Iterator[Line]:
    """Give a line for each series of each later run: its ratios to the first run, over n."""
    for later in series:
        own = [case for case in cases if (case.run_id, case.key) == (later.run_id, later.key)]
        ratios = {case.n: case.ratio for case in sorted(own, key=lambda case: case.n) if case.ratio}
        if ratios:
            yield _with_run(line_of(later, label_of(later.key, keys), ratios))
