"""Several runs in one report: what later ones took over what the first one took."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from linbench import words
from linbench.report.content import NONE, Cell, Quantity, Section, Sentence, Table
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
)
from linbench.studies.conditions import machine
from linbench.studies.labels import label_of, wording
from linbench.studies.scaling.analyse import Answer, Scaling, analyse

_MOST = 3  # later runs that have a sentence each in the summary
_CAUTION = (
    "Intervals of ratios between runs do not cover what changes from one sitting at a machine to "
    "the next, and 1 in 20 leaves out 1 by chance."
)
_NO_DIFFERENCE = "no clear difference"
_ONE_ROUND = "only one round, so no interval,"
_SOURCES = "from sources that do not compare"
_NO_RATIO = "without a ratio (not all values are positive)"


@dataclass(frozen=True)
class RunComparison:
    """A run beside the first one.

    Attributes:
        run_id: Its name.
        elsewhere: How its machine or device differs from the first run's; None where neither does.
        cases: The cases that both measured.
    """

    run_id: str
    elsewhere: str | None
    cases: tuple[CaseComparison, ...]


def compared(runs: Runs) -> list[RunComparison]:
    """Hold each later run against the first; there are none where there is only one run."""
    first = runs.runs[0]
    return [
        RunComparison(
            run.run_id,
            _elsewhere(first.header, run.header),
            tuple(compare(first, run, machines=True)),
        )
        for run in runs.runs[1:]
    ]


def _elsewhere(first: Header, other: Header) -> str | None:
    if first.machine.fingerprint == other.machine.fingerprint and first.device == other.device:
        return None
    return f"{_where(other)} against {_where(first)}"


def _where(header: Header) -> str:
    name = header.measured_on or header.device or "an unnamed machine"
    return f"{name} ({header.machine.fingerprint})"


def summary(runs: Runs) -> list[Sentence]:
    """Return who is better by what on which cases, for the latest run only if there are many."""
    base, later = runs.runs[0].run_id, runs.once(compared)
    said = [_sentence(base, one) for one in later]
    if len(said) > _MOST:
        many = f"{len(said)} later runs are held against `{base}` in the table of cases."
        said = [f"{many} The latest: {said[-1]}"]
    if any(one.cases for one in later):
        said.append(_CAUTION)
    return [Sentence(text) for text in said]


def _sentence(base: str, one: RunComparison) -> str:
    if not one.cases:
        return f"`{one.run_id}` and `{base}` measured no case in common."
    where = (
        f"**different machines** ({one.elsewhere}; ratios of time compare the machines)"
        if one.elsewhere
        else "the same machine"
    )
    shared = {(case.key, case.n) for case in one.cases}
    head = f"`{one.run_id}` against `{base}`, {where}, {words.plural(len(shared), 'case')} in both."
    if {_kind(case) for case in one.cases} <= {SAME, _NO_DIFFERENCE}:
        return f"{head} Nothing differs beyond the intervals."
    metrics: dict[Metric, list[CaseComparison]] = {}
    for case in one.cases:
        metrics.setdefault(case.metric, []).append(case)
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


def _extremes(some: Sequence[CaseComparison]) -> str:
    pairs = sorted(
        ((case.ratio, case.label) for case in some if case.ratio), key=lambda pair: pair[0].value
    )
    written = [words.ratio(ratio) for ratio, _ in pairs]
    if len(pairs) > 1 and len(set(written)) == 1:
        return f"ratio {written[0]} in all"
    said = [f"{text} of {label}" for text, (_, label) in zip(written, pairs, strict=True)]
    return f"ratio {' to '.join([said[0], said[-1]]) if len(said) > 2 else ', '.join(said)}"


def sections(runs: Runs) -> list[Section]:
    """Return the section of several runs: notes, charts of them overlaid, and tables."""
    if len(runs.runs) < 2:
        return []
    base, later, answer = runs.runs[0].run_id, runs.once(compared), runs.once(analyse)
    cases = [case for one in later for case in one.cases]
    tables = (_cases(base, later, answer), _exponents(runs, answer), _differences(runs.headers))
    said = [sentence.text for sentence in summary(runs)]
    return [
        Section(
            title="Runs compared",
            sentences=(*said, *(_notes(base, later) if cases else ())),
            figures=tuple(overlays.figures(base, cases, answer.series)),
            tables=tuple(table for table in tables if table.rows),
        )
    ]


def _notes(base: str, later: Sequence[RunComparison]) -> Iterator[str]:
    yield (
        f"Ratios are a later run's values over those of `{base}`; below 1 it has less. Runs were "
        "not made at the same time, so that their rounds are no pairs: intervals are those of two "
        "independent groups of rounds."
    )
    if any(one.elsewhere for one in later):
        yield (
            "Times of different machines say which machine is faster at this, not whether code got "
            "better or worse. Each run was fitted on its own."
        )


def _cases(base: str, later: Sequence[RunComparison], answer: Answer) -> Table:
    order = {(one.run_id, one.metric.name, one.key): i for i, one in enumerate(answer.series)}
    found = [
        (one, case)
        for one in later
        for case in sorted(
            one.cases, key=lambda case: (order[case.run_id, case.metric.name, case.key], case.n)
        )
    ]
    keys = [case.key for _, case in found]
    several, shapes = len(later) > 1, _shapes(keys)
    rows = tuple(
        (
            *((one.run_id,) if several else ()),
            label_of(case.key, keys),
            *shapes.get(case.key, ()),
            Quantity(case.n, text=str(case.n)),
            case.metric.name,
            Quantity.of(case.first, case.metric.unit),
            Quantity.of(case.second, case.metric.unit),
            Quantity.of(case.ratio, words.RATIO),
            case.verdict
            + (" (another machine)" if one.elsewhere and case.metric.machine_bound else "")
            + (f" ({case.incomparable})" if case.incomparable else ""),
        )
        for one, case in found
    )
    return Table(
        "Cases of the first and a later run" if several else "Cases of both runs",
        (
            *(("run",) if several else ()),
            "series",
            *(("at",) if shapes else ()),
            "n",
            "metric",
            base,
            "later run" if several else later[0].run_id,
            "ratio",
            "verdict",
        ),
        rows,
        "Verdicts rest on the interval of the ratio alone: unclear where it holds 1 or there is "
        "none, same where it is 1 exactly.",
        folded=len(rows) > 12,
    )


def _shapes(keys: Sequence[Case]) -> dict[Case, tuple[str, ...]]:
    """Return the cell that tells the problem of each configuration; nothing where there is one."""
    shapes = {key: overlays.workload(key).problem_label for key in keys}
    several = len(set(shapes.values())) > 1
    return {key: (shape,) for key, shape in shapes.items()} if several else {}


def _exponents(runs: Runs, answer: Answer) -> Table:
    """Return the exponents of each series side by side, a column per run."""
    found: dict[tuple[Case, Metric], dict[str, Scaling]] = {}
    for one in answer.scalings:
        place = without_machine(one.series.key), one.series.metric
        found.setdefault(place, {})[one.series.run_id] = one
    shared = {place: own for place, own in found.items() if len(own) > 1}
    keys = [key for key, _ in shared]
    shapes, names = _shapes(keys), [run.run_id for run in runs.runs]
    return Table(
        "Exponents side by side",
        ("series", *(("at",) if shapes else ()), "metric", *names),
        tuple(
            (
                label_of(key, keys),
                *shapes.get(key, ()),
                metric.name,
                *(_exponent(own.get(name)) for name in names),
            )
            for (key, metric), own in shared.items()
        ),
        "Each run is fitted on its own, over its own tail (in brackets): exponents over different "
        "n need not agree.",
    )


def _exponent(one: Scaling | None) -> Cell:
    if one is None or one.exponent.slope is None:
        return NONE
    first, last = (words.tokens(n) for n in (one.exponent.sizes[0], one.exponent.sizes[-1]))
    return Quantity.of(one.exponent.slope, words.EXPONENT, f"(n = {first} to {last})")


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
