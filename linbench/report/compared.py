"""Several runs in one report: what later ones took over what the first one took."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linbench.analysis import numbers
from linbench.analysis.compare import Comparison, compare
from linbench.analysis.scaling import Scaling
from linbench.analysis.series import METRICS, Metric, Setup
from linbench.record import measured_on
from linbench.report import overlays, words
from linbench.report.charts import label_of
from linbench.report.content import Section, Table
from linbench.report.overlays import anywhere, problem
from linbench.report.tables import machine
from linbench.report.views import NAMES

if TYPE_CHECKING:
    import pandas as pd

_NONE = "\N{EN DASH}"
_MOST = 3  # later runs that have a sentence each in the summary
_CAUTION = (
    "Intervals of ratios between runs do not cover what changes from one sitting at a machine to "
    "the next, and 1 in 20 leaves out 1 by chance."
)
_UNCLEAR = "no clear difference"
_ONE_ROUND = "told by no interval"
_SOURCES = "from sources that do not compare"
_LESS: dict[Metric, tuple[str, str]] = {
    "time": ("faster", "slower"),
    "memory": ("less", "more"),
    "energy": ("less", "more"),
}


@dataclass(frozen=True)
class Later:
    """A run beside the first one.

    Attributes:
        run_id: Its name.
        elsewhere: How its machine or device differs from the first run's; None where neither does.
        found: The cases that both measured.
    """

    run_id: str
    elsewhere: str | None
    found: tuple[Comparison, ...]


@dataclass(frozen=True)
class Compared:
    """The runs of a report: the first, which is the base, and each later one beside it."""

    base: str
    later: tuple[Later, ...]


def compared(headers: Sequence[Mapping[str, Any]], frame: "pd.DataFrame") -> Compared | None:
    """Hold each later run against the first; None where there is only one.

    Args:
        headers: The header of each run.
        frame: Their records in one table.
    """
    if len(headers) < 2:
        return None
    first, *others = headers
    tables = {
        str(header["run_id"]): frame[frame["run_id"] == header["run_id"]] for header in headers
    }
    base = str(first["run_id"])
    later = [
        Later(
            run_id := str(header["run_id"]),
            _elsewhere(first, header),
            tuple(compare(tables[base], tables[run_id], machines=True)),
        )
        for header in others
    ]
    return Compared(base, tuple(later))


def _elsewhere(first: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    same_machine = first["machine"]["fingerprint"] == other["machine"]["fingerprint"]
    if same_machine and first.get("device") == other.get("device"):
        return None
    return f"{_where(other)} against {_where(first)}"


def _where(header: Mapping[str, Any]) -> str:
    name = measured_on(header) or header.get("device") or "an unnamed machine"
    return f"{name} ({header['machine']['fingerprint']})"


def sentences(runs: Compared) -> list[str]:
    """Return who is faster by what on which cases, for the latest run only if there are many."""
    said = [_sentence(runs.base, one) for one in runs.later]
    if len(said) > _MOST:
        many = f"{len(said)} later runs are held against `{runs.base}` in the table of cases."
        said = [f"{many} The latest: {said[-1]}"]
    return [*said, _CAUTION] if _found(runs) else said


def _sentence(base: str, one: Later) -> str:
    if not one.found:
        return f"`{one.run_id}` and `{base}` measured no case in common."
    where = (
        f"**different machines** ({one.elsewhere}; ratios of time compare the machines)"
        if one.elsewhere
        else "the same machine"
    )
    cases = {(each.setup, each.n) for each in one.found}
    head = f"`{one.run_id}` against `{base}`, {where}, {words.plural(len(cases), 'case')} in both."
    kinds = {_kind(each) for each in one.found}
    if kinds <= {"same", _UNCLEAR}:
        return f"{head} Nothing differs beyond the intervals."
    parts = [
        _told([each for each in one.found if each.metric == metric], metric) for metric in METRICS
    ]
    return " ".join([head, *(part for part in parts if part)])


def _told(found: Sequence[Comparison], metric: Metric) -> str:
    """Say in how many cases a later run costs less, more or the same, and how much."""
    if not found:
        return ""
    less, more = _LESS[metric]
    parts = []
    for kind in (less, more, "same", _UNCLEAR, _ONE_ROUND, _SOURCES):
        some = [one for one in found if _kind(one) == kind]
        if some:
            far = f" ({_extremes(some)})" if kind in (less, more) else ""
            if kind == _ONE_ROUND:
                far = f" that were measured in one round each ({_extremes(some)})"
            parts.append(f"{kind} in {len(some)}{far}")
    return f"{NAMES[metric]}: {', '.join(parts)}."


def _kind(one: Comparison) -> str:
    if one.incomparable:
        return _SOURCES
    if one.verdict != "unclear":
        return one.verdict
    return _UNCLEAR if one.ratio.bounded else _ONE_ROUND


def _extremes(some: Sequence[Comparison]) -> str:
    ordered = sorted(some, key=lambda one: one.ratio.value)
    if len(ordered) > 1 and len({numbers.ratio(one.ratio) for one in ordered}) == 1:
        return f"ratio {numbers.ratio(ordered[0].ratio)} in all"
    ends = ordered if len(ordered) < 3 else [ordered[0], ordered[-1]]
    said = [f"{numbers.ratio(one.ratio)} of {one.label}" for one in ends]
    return f"ratio {(' to ' if len(ordered) > 2 else ', ').join(said)}"


def section(
    runs: Compared, headers: Sequence[Mapping[str, Any]], scalings: Sequence[Scaling]
) -> Section:
    """Return the section of several runs: notes, charts of them overlaid, and tables.

    Args:
        runs: The runs.
        headers: The header of each run.
        scalings: Every series of every run, fitted on its own.
    """
    tables = [_cases(runs, scalings), _exponents(headers, scalings), _differences(headers)]
    series = [one.series for one in scalings]
    return Section(
        title="Runs compared",
        sentences=(*sentences(runs), *_notes(runs)),
        figures=tuple(overlays.figures(runs.base, _found(runs), series)),
        tables=tuple(table for table in tables if table is not None),
    )


def _found(runs: Compared) -> list[Comparison]:
    return [one for later in runs.later for one in later.found]


def _notes(runs: Compared) -> list[str]:
    if not _found(runs):
        return []
    independent = (
        f"Ratios are a later run's cost over that of `{runs.base}`; below 1 it costs less. Runs "
        "were not made at the same time, so that their rounds are no pairs: intervals are those of "
        "two independent groups of rounds."
    )
    machines = (
        "Times of different machines say which machine is faster at this, not whether code got "
        "better or worse. Each run was fitted on its own."
    )
    return [independent, machines] if any(one.elsewhere for one in runs.later) else [independent]


def _cases(runs: Compared, scalings: Sequence[Scaling]) -> Table | None:
    order = {one.series.setup: i for i, one in enumerate(scalings)}
    found = [
        (later, one)
        for later in runs.later
        for one in sorted(
            later.found, key=lambda one: (METRICS.index(one.metric), order[one.setup], one.n)
        )
    ]
    if not found:
        return None
    setups = [one.setup for _, one in found]
    shapes = {problem(setup) for setup in setups}
    rows = [
        (
            *((later.run_id,) if len(runs.later) > 1 else ()),
            label_of(one.setup, setups),
            *((one.at,) if len(shapes) > 1 else ()),
            str(one.n),
            one.metric,
            words.with_interval(one.first, one.metric),
            words.with_interval(one.second, one.metric),
            numbers.ratio(one.ratio),
            one.verdict
            + (" (another machine)" if later.elsewhere and one.metric != "memory" else "")
            + (f" ({one.incomparable})" if one.incomparable else ""),
        )
        for later, one in found
    ]
    second = "later run" if len(runs.later) > 1 else runs.later[0].run_id
    return Table(
        "Cases of both runs" if len(runs.later) == 1 else "Cases of the first and a later run",
        (
            *(("run",) if len(runs.later) > 1 else ()),
            "series",
            *(("at",) if len(shapes) > 1 else ()),
            "n",
            "metric",
            runs.base,
            second,
            "ratio",
            "verdict",
        ),
        tuple(rows),
        "Verdicts rest on the interval of the ratio alone: unclear where it holds 1 or there is "
        "none, same where it is 1 exactly.",
        folded=len(rows) > 12,
    )


def _exponents(headers: Sequence[Mapping[str, Any]], scalings: Sequence[Scaling]) -> Table | None:
    """Return the exponents of each series side by side, a column per run."""
    runs = [str(header["run_id"]) for header in headers]
    found: dict[tuple[Setup, Metric], dict[str, Scaling]] = {}
    for one in scalings:
        setup = one.series.setup
        found.setdefault((anywhere(setup), one.series.metric), {})[setup.run_id] = one
    shared = {key: of for key, of in found.items() if len(of) > 1}
    if not shared:
        return None
    setups = [setup for setup, _ in shared]
    shapes = {problem(setup) for setup in setups}
    rows = [
        (
            label_of(setup, setups),
            *((problem(setup).label,) if len(shapes) > 1 else ()),
            metric,
            *(_exponent(of.get(run)) for run in runs),
        )
        for (setup, metric), of in shared.items()
    ]
    return Table(
        "Exponents side by side",
        ("series", *(("at",) if len(shapes) > 1 else ()), "metric", *runs),
        tuple(rows),
        "Each run is fitted on its own, over its own tail (in brackets): exponents over different "
        "n need not agree.",
    )


def _exponent(one: Scaling | None) -> str:
    if one is None or one.exponent.slope is None:
        return _NONE
    sizes = one.exponent.sizes
    over = f"n = {words.tokens(sizes[0])} to {words.tokens(sizes[-1])}"
    return f"{numbers.slope(one.exponent.slope)} ({over})"


def _differences(headers: Sequence[Mapping[str, Any]]) -> Table | None:
    """Return what the headers of the runs say differently: machine, code, settings, warnings."""
    said = [_said(header) for header in headers]
    names = dict.fromkeys(name for own in said for name in own if name != "run")
    rows = [
        (name, *(own.get(name, _NONE) for own in said))
        for name in names
        if len({own.get(name) for own in said}) > 1
    ]
    if not rows:
        return None
    return Table(
        "What differs between the runs",
        ("what", *(str(header["run_id"]) for header in headers)),
        tuple(rows),
        "All else that the first lines of the run files say of machine, code, settings and "
        "warnings is the same.",
    )


def _said(header: Mapping[str, Any]) -> dict[str, str]:
    settings = {
        f"setting {name.replace('_', ' ')}": _listed(value)
        for name, value in (header.get("suite") or {}).items()
        if name != "description" and value is not None
    }
    warnings = header.get("warnings")
    found = {row[0]: row[1] for row in machine(header).rows} | settings
    return found | ({"warnings": "; ".join(map(str, warnings))} if warnings else {})


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
