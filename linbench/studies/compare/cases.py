"""Two runs, case by case: what the second took over what the first took."""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Run, Runs, Series, series_by_case
from linbench.stats import intervals
from linbench.stats.interval import Interval

UNCLEAR = "unclear"
SAME = "same"


@dataclass(frozen=True)
class CaseComparison:
    """One metric of one case in two runs."""

    case_id: str
    """The case, the same in both (that of the first run, where machines are compared)."""
    run_id: str
    """The second run."""
    key: Case
    """The configuration there."""
    n: int
    metric: Metric
    ratio: Interval | None
    """Second over first, with rounds as independent units; None where not all are positive."""
    verdict: str
    """One of `directions` where the interval excludes 1, `same` where both ends are exactly 1, else
    `unclear`."""
    incomparable: str | None
    """Why the two values do not compare, so that there is no interval."""
    first: Interval
    """Typical value in the first run."""
    second: Interval
    """Typical value in the second run."""
    disturbed: int
    """Rounds so slow that they have no weight (see `mark_disturbed`)."""

    @property
    def label(self) -> str:
        """Its configuration in words, n included."""
        return self.key.at(self.n).title


def without_machine(key: Case) -> Case:
    """Return a configuration whatever device it ran on."""
    return key.key("device")


def workload(key: Case) -> Case:
    """Return what was measured, whoever solved it and on whatever device."""
    return without_machine(key.problem)


def compare(first: Run, second: Run, *, machines: bool = False) -> list[CaseComparison]:
    """Compare the cases that two runs share; only what was measured counts.

    The runs were made at different times, so that their rounds are not pairs: the interval is that
    of two independent groups (Welch's would be alike; see `intervals.difference`).

    Args:
        first: A run.
        second: The other run. What tells of the machine (time, energy) is left out where the
            machines differ.
        machines: Whether to compare machines: then nothing is left out, and cases are the same
            whatever device they ran on.
    """
    every = machines or first.fingerprint == second.fingerprint

    def place(case_id: str, series: Series) -> Hashable:
        return (without_machine(series.key), *series.sizes) if machines else case_id

    found = []
    for metric in Runs((first, second)).metrics:
        if metric.machine_bound and not every:
            continue
        theirs = {place(*case): case[1] for case in series_by_case(second, metric.name).items()}
        for case_id, series in series_by_case(first, metric.name).items():
            if other := theirs.get(place(case_id, series)):
                found.append(_compared(case_id, series, other))
    return found


def _unit(metric: Metric) -> str:
    return f"{metric.unit} (better {metric.better})".strip()


def _compared(case_id: str, series: Series, other: Series) -> CaseComparison:
    (n,), metric, readings = series.sizes, other.metric, (*series.readings, *other.readings)
    ratio: Interval | None = None
    incomparable: str | None = "not all values are positive"
    if all(reading.value > 0 for reading in readings):
        # other keys than the first's: rounds of two runs are no pairs
        after = {-1 - index: value for index, value in other.logs(n).items()}
        ratio, incomparable = intervals.difference(series.logs(n), after).exp(), None
        if series.noiseless and other.noiseless:
            ratio = ratio.exact()  # counted: one round says it all
        sources = sorted(map(str, series.sources | other.sources))
        # an allocator's count and the resident set are not the same quantity
        if (units := {_unit(series.metric), _unit(metric)}) and len(units) > 1:
            ratio, incomparable = None, f"{' and '.join(sorted(units))} do not compare"
        elif metric.noise == "exact" and len(sources) > 1:
            ratio, incomparable = Interval(ratio.value), f"{' and '.join(sources)} do not compare"
    return CaseComparison(
        case_id=case_id,
        run_id=other.run_id,
        key=other.key,
        n=n,
        metric=metric,
        ratio=ratio,
        verdict=_verdict(ratio, metric),
        incomparable=incomparable,
        first=series.point(n).value,
        second=other.point(n).value,
        disturbed=sum(reading.disturbed for reading in readings),
    )


def directions(metric: Metric) -> tuple[str, str]:
    """Return the words for a second run that has less of a metric, and for one that has more."""
    return ("faster", "slower") if metric.unit == "s" else ("less", "more")


def _verdict(ratio: Interval | None, metric: Metric) -> str:
    less, more = directions(metric)
    if ratio is None:
        return UNCLEAR
    if ratio.low == ratio.high == 1.0:
        return SAME
    return more if ratio.above(1) else less if ratio.below(1) else UNCLEAR


def to_json(found: list[CaseComparison]) -> list[dict[str, Any]]:
    """Return comparisons in the form of `linbench compare --json`."""
    return [
        {
            "case_id": case.case_id,
            "metric": case.metric.name,
            "ratio": case.ratio and case.ratio.value,
            "ci_low": case.ratio and case.ratio.low,
            "ci_high": case.ratio and case.ratio.high,
            "verdict": case.verdict,
        }
        for case in found
    ]
