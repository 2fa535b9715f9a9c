"""Several runs in one report: what later ones took over what the first one took."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from linbench import words
from linbench.report.content import NONE, Cell, Quantity, Section, Sentence, Table, whole
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.record import Header
from linbench.run.runs import Runs
from linbench.studies.compare import overlays
from linbench.studies.compare.cases import (
    SAME,
    UNCLEAR,
    CaseComparison,
    compare,
    directions,
    without_machine,
    workload,
)
from linbench.studies.conditions import machine
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import Answer, analyse
from linbench.studies.scaling.exponent import Exponent

_MOST = 3  # later runs that have a sentence each in the summary
_CAUTION = (
    "Intervals of ratios between runs do not cover what changes from one sitting at a machine to "
    "the next, and 1 in 20 excludes 1 by chance."
)
_NO_DIFFERENCE = "no clear difference"
_ONE_ROUND = "only one round, so no interval,"
_SOURCES = "from sources that do not compare"
_NO_RATIO = "without a ratio (not all values are positive)"


@dataclass(frozen=True)
class RunComparison:
    """A run beside the first one, with the cases that both measured."""

    run_id: str
    elsewhere: str | None
    """How its machine or device differs from the first run's."""
    cases: tuple[CaseComparison, ...]


def compared(runs: Runs) -> list[RunComparison]:
    """Compare each later run with the first; there are none where there is only one run."""
    first, *later = runs.runs
    return [
        RunComparison(
            run.run_id,
            _elsewhere(first.header, run.header),
            tuple(compare(first, run, machines=True)),
        )
        for run in later
    ]


def _elsewhere(first: Header, other: Header) -> str | None:
    if first.machine.fingerprint == other.machine.fingerprint and first.device == other.device:
        return None
    there, here = (
        f"{header.measured_on or header.device or 'an unnamed machine'} "
        f"({header.machine.fingerprint})"
        for header in (other, first)
    )
    return f"{there} against {here}"


def summary(runs: Runs) -> list[Sentence]:
    """Return who is better by what on which cases, for the latest run only if there are many."""
    base, later = runs.runs[0].run_id, runs.once(compared)
    said = [_sentence(base, run) for run in later]
    if len(said) > _MOST:
        many = f"{len(said)} later runs are compared with `{base}` in the table of cases."
        said = [f"{many} The latest: {said[-1]}"]
    if any(run.cases for run in later):
        said.append(_CAUTION)
    return [Sentence(text) for text in said]


def _sentence(base: str, run: RunComparison) -> str:
    if not run.cases:
        return f"`{run.run_id}` and `{base}` measured no case in common."
    where = "the same machine"
    if run.elsewhere:
        where = f"**different machines** ({run.elsewhere}; ratios of time compare the machines)"
    shared = words.plural(len({(case.key, case.n) for case in run.cases}), "case")
    head = f"`{run.run_id}` against `{base}`, {where}, {shared} in both."
    if {_kind(case) for case in run.cases} <= {SAME, _NO_DIFFERENCE}:
        return f"{head} Nothing differs beyond the intervals."
    metrics: dict[Metric, list[CaseComparison]] = defaultdict(list)
    for case in run.cases:
        metrics[case.metric].append(case)
    return " ".join([head, *(_tally(metric, own) for metric, own in metrics.items())])


def _tally(metric: Metric, cases: Sequence[CaseComparison]) -> str:
    """Say in how many cases a later run has less, more or the same, and how much."""
    less, more = directions(metric)
    order = (less, more) if metric.better == "less" else (more, less)
    parts = []
    for kind in (*order, SAME, _NO_DIFFERENCE, _ONE_ROUND, _SOURCES, _NO_RATIO):
        some = [case for case in cases if _kind(case) == kind]
        if some:
            far = f" ({_extremes(some)})" if kind in (*order, _ONE_ROUND) else ""
            parts.append(f"{kind} in {len(some)}{far}")
    return f"{wording(metric).title}: {', '.join(parts)}."


def _kind(case: CaseComparison) -> str:
    if case.ratio is None:
        return _NO_RATIO
    if case.incomparable:
        return _SOURCES
    if case.verdict != UNCLEAR:
        return case.verdict
    return _NO_DIFFERENCE if case.ratio.bounded else _ONE_ROUND


def _extremes(cases: Sequence[CaseComparison]) -> str:
    pairs = [(case.ratio, case.label) for case in cases if case.ratio]
    pairs.sort(key=lambda pair: pair[0].value)
    if len(pairs) > 1 and len({words.ratio(ratio) for ratio, _ in pairs}) == 1:
        return f"ratio {words.ratio(pairs[0][0])} in all"
    said = [f"{words.ratio(ratio)} of {label}" for ratio, label in pairs]
    return f"ratio {f'{said[0]} to {said[-1]}' if len(said) > 2 else ', '.join(said)}"


def sections(runs: Runs) -> list[Section]:
    """Return the section of several runs: notes, charts of them overlaid, and tables."""
    if len(runs.runs) < 2:
        return []
    base, later, answer = runs.runs[0].run_id, runs.once(compared), runs.once(analyse)
    cases = [case for run in later for case in run.cases]
    said = [sentence.text for sentence in summary(runs)]
    if cases:
        said.append(
            f"Ratios are a later run's values over those of `{base}`; below 1 it has less. Runs "
            "were not made at the same time, so that their rounds are no pairs: intervals are "
            "those of two independent groups of rounds."
        )
    if cases and any(run.elsewhere for run in later):
        said.append(
            "Times of different machines say which machine is faster at this, not whether code got "
            "better or worse. Each run was fitted on its own."
        )
    given = [run.run_id for run in runs.runs]
    series = sorted(answer.series, key=lambda one: given.index(one.run_id))
    tables = (_cases(base, later, answer), _exponents(runs, answer), _differences(runs.headers))
    return [
        Section(
            title="Runs compared",
            sentences=tuple(said),
            figures=tuple(overlays.figures(base, cases, series)),
            tables=tuple(table for table in tables if table.rows),
        )
    ]


def _cases(base: str, later: Sequence[RunComparison], answer: Answer) -> Table:
    order = {(one.run_id, one.metric.name, one.key): i for i, one in enumerate(answer.series)}

    def place(case: CaseComparison) -> tuple[int, int]:
        series = (case.run_id, case.metric.name, case.key)
        return order.get(series, len(order)), case.n  # cases without n are in no series along it

    found = [(run, case) for run in later for case in sorted(run.cases, key=place)]
    keys = [case.key for _, case in found]
    several, shapes = len(later) > 1, _shapes(keys)
    rows = tuple(
        (
            *([run.run_id] if several else []),
            label_of(case.key, keys),
            *shapes.get(case.key, ()),
            whole(case.n),
            case.metric.name,
            Quantity.of(case.first, case.metric.unit),
            Quantity.of(case.second, case.metric.unit),
            Quantity.of(case.ratio, words.RATIO),
            case.verdict
            + (" (another machine)" if run.elsewhere and case.metric.machine_bound else "")
            + (f" ({case.incomparable})" if case.incomparable else ""),
        )
        for run, case in found
    )
    first, second = (["run"], "later run") if several else ([], later[0].run_id)
    columns = (
        *first,
        "series",
        *(["at"] if shapes else []),
        "n",
        "metric",
        base,
        second,
        "ratio",
        "verdict",
    )
    return Table(
        "Cases of the first and a later run" if several else "Cases of both runs",
        columns,
        rows,
        "Verdicts rest on the interval of the ratio alone: unclear where it includes 1 or there is "
        "none, same where it is 1 exactly.",
        folded=len(rows) > 12,
    )


def _shapes(keys: Sequence[Case]) -> dict[Case, list[str]]:
    """Return the cell that tells the problem of each configuration; nothing where there is one."""
    shapes = {key: workload(key).problem_label for key in keys}
    several = len(set(shapes.values())) > 1
    return {key: [shape] for key, shape in shapes.items()} if several else {}


def _exponents(runs: Runs, answer: Answer) -> Table:
    """Return the exponents of each series side by side, a column per run."""
    found: dict[tuple[Case, Metric], dict[str, Cell]] = defaultdict(dict)
    for scaling in answer.scalings:
        place = without_machine(scaling.series.key), scaling.series.metric
        found[place][scaling.series.run_id] = _exponent(scaling.exponent)
    shared = {place: own for place, own in found.items() if len(own) > 1}
    keys = [key for key, _ in shared]
    shapes, names = _shapes(keys), [run.run_id for run in runs.runs]
    return Table(
        "Exponents side by side",
        ("series", *(["at"] if shapes else []), "metric", *names),
        tuple(
            (
                label_of(key, keys),
                *shapes.get(key, ()),
                metric.name,
                *(own.get(name, NONE) for name in names),
            )
            for (key, metric), own in shared.items()
        ),
        "Each run is fitted on its own, over its own tail (in brackets): exponents over different "
        "n need not agree.",
    )


def _exponent(found: Exponent) -> Cell:
    if found.slope is None:
        return NONE
    return Quantity.of(found.slope, words.EXPONENT, f"(n = {words.span(found.sizes)})")


def _differences(headers: Sequence[Header]) -> Table:
    """Return what the headers of the runs say differently: machine, code, settings, warnings."""
    said = [_facts(header) for header in headers]
    names = dict.fromkeys(name for own in said for name in own if name != "run")
    return Table(
        "What differs between the runs",
        ("what", *(header.run_id for header in headers)),
        tuple(
            (name, *(own.get(name, NONE) for own in said))
            for name in names
            if len({own.get(name) for own in said}) > 1
        ),
        "All else that the first lines of the run files say of machine, code, settings and "
        "warnings is the same.",
    )


def _facts(header: Header) -> dict[str, Cell]:
    found = {str(name): value for name, value in machine(header).rows}
    for name, value in header.suite.items():
        if name != "description" and value is not None:
            text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            found[f"setting {name.replace('_', ' ')}"] = text
    if header.warnings:
        found["warnings"] = "; ".join(header.warnings)
    return found
