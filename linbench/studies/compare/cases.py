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
NO_RATIO = "not all values are positive"
"""Why there is no ratio."""


@dataclass(frozen=True)
class CaseComparison:
    """One metric of one case in two runs.

    Attributes:
        case_id: The case, the same in both (that of the first run, where machines are compared).
        run_id: The second run.
        key: The configuration there.
        n: The sequence length.
        metric: What was measured.
        ratio: Second over first, with a 95 % interval that takes rounds as independent units; None
            where not all values are positive.
        verdict: See `directions` where the interval excludes 1, `same` where both ends are exactly
            1, else `unclear`.
        incomparable: Why the two values do not compare, so that there is no interval; else None.
        first: Typical value in the first run, with its interval.
        second: Typical value in the second run, with its interval.
        disturbed: Rounds so slow that they have no weight (see `mark_disturbed`).
    """

    case_id: str
    run_id: str
    key: Case
    n: int
    metric: Metric
    ratio: Interval | None
    verdict: str
    incomparable: str | None
    first: Interval
    second: Interval
    disturbed: int

    @property
    def label(self) -> str:
        """Its configuration in words, n included."""
        return self.key.at(self.n).title


def without_machine(key: Case) -> Case:
    """Return a configuration whatever device it ran on."""
    return key.key("device")


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
    metrics = [one for one in Runs((first, second)).metrics if every or not one.machine_bound]

    def place(case_id: str, series: Series) -> Hashable:
        return (without_machine(series.key), *series.sizes) if machines else case_id

    found = []
    for metric in metrics:
        theirs = {place(*case): case[1] for case in series_by_case(second, metric.name).items()}
        for case_id, series in series_by_case(first, metric.name).items():
            if other := theirs.get(place(case_id, series)):
                found.append(_compared(case_id, series, other))
    return found


def _compared(case_id: str, series: Series, other: Series) -> CaseComparison:
    (n,), metric, readings = series.sizes, other.metric, (*series.readings, *other.readings)
    ratio: Interval | None = None
    incomparable: str | None = NO_RATIO
    if all(one.value > 0 for one in readings):
        # other keys than the first's: rounds of two runs are no pairs
        after = {-1 - index: value for index, value in other.logs(n).items()}
        ratio, incomparable = intervals.difference(series.logs(n), after).exp(), None
        sources = sorted({str(one.source) for one in readings})
        # an allocator's count and the resident set are not the same quantity
        if metric.noise == "exact" and len(sources) > 1:
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
        disturbed=sum(one.disturbed for one in readings),
    )


def directions(metric: Metric) -> tuple[str, str]:
    """Return the words for a second run that has less of a metric, and for one that has more."""
    return ("faster", "slower") if metric.unit == "s" else ("less", "more")


def _verdict(ratio: Interval | None, metric: Metric) -> str:
    less, more = directions(metric)
    if ratio is None or not ratio.bounded:
        return UNCLEAR
    if ratio.low == ratio.high == 1.0:
        return SAME
    return more if ratio.above(1) else less if ratio.below(1) else UNCLEAR


def to_json(found: list[CaseComparison]) -> list[dict[str, Any]]:
    """Return comparisons in the form of `linbench compare --json`."""
    return [
        {
            "case_id": one.case_id,
            "metric": one.metric.name,
            "ratio": one.ratio.value if one.ratio else None,
            "ci_low": one.ratio.low if one.ratio else None,
            "ci_high": one.ratio.high if one.ratio else None,
            "verdict": one.verdict,
        }
        for one in found
    ]
