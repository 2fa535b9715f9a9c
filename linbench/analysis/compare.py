"""Two runs, case by case: what the second took over what the first took."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from linbench.analysis import stats
from linbench.analysis.series import METRICS, Metric, Series, Setup, rows_of, series_of_rows
from linbench.analysis.stats import Interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """One metric of one case in two runs.

    Attributes:
        case_id: The case, the same in both (that of the first run, where machines are compared).
        setup: Its configuration in the second run.
        n: Its sequence length.
        label: Its configuration in words, n included.
        at: Scope, mode and shape.
        disturbed: Rounds so slow that they have no weight (see `series.mark_disturbed`).
        metric: time (seconds), memory (bytes) or energy (joules).
        ratio: Second over first, with a 95 % interval that takes rounds as independent units.
        verdict: `slower`, `faster` (or `more`, `less`) where the interval excludes 1, `same` where
            both ends are exactly 1, else `unclear`.
        incomparable: Why the two values do not compare, so that there is no interval; else None.
        first: Typical value in the first run, with its interval.
        second: Typical value in the second run, with its interval.
    """

    case_id: str
    setup: Setup
    n: int
    label: str
    at: str
    disturbed: int
    metric: Metric
    ratio: Interval
    verdict: str
    incomparable: str | None
    first: Interval
    second: Interval


def compare(
    first: "pd.DataFrame", second: "pd.DataFrame", *, machines: bool = False
) -> list[Comparison]:
    """Compare the cases that two runs share; only what was measured counts.

    The runs were made at different times, so that their rounds are not pairs: the interval is that
    of two independent groups (Welch's would be alike; see `stats.difference`).

    Args:
        first: The table of a run (`linbench.record.load`).
        second: The table of the other run. Times are left out where the machines differ.
        machines: Whether to compare machines: then times are not left out, and cases are the same
            whatever device they ran on.
    """
    same_machine = set(first["fingerprint"]) == set(second["fingerprint"])
    metrics = [m for m in METRICS if machines or same_machine or m == "memory"]
    key = _problem if machines else _case_id
    found = []
    for metric in metrics:
        theirs = {key(*case): case[1] for case in by_case(second, metric).items()}
        for case_id, series in by_case(first, metric).items():
            if other := theirs.get(key(case_id, series)):
                found.append(_one(case_id, metric, series, other))
    return found


def _case_id(case_id: str, series: Series) -> Hashable:
    del series
    return case_id


def _problem(case_id: str, series: Series) -> Hashable:
    """Return what a case is about, but for the run, the machine and the device."""
    del case_id
    return replace(series.setup, run_id="", fingerprint="", device=""), *series.sizes


def by_case(frame: "pd.DataFrame", metric: Metric) -> dict[str, Series]:
    """Return the series of each measured case: of one size, so that only its own rounds count."""
    return {
        case_id: series
        for case_id, rows in rows_by_case(frame).items()
        for series in series_of_rows(rows, metric)
    }


def rows_by_case(frame: "pd.DataFrame") -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each case, cases in the order of the run."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(frame):
        found.setdefault(str(row["case_id"]), []).append(row)
    return found


def _one(case_id: str, metric: Metric, series: Series, other: Series) -> Comparison:
    (n,) = series.sizes
    before = series.logs(n)
    # other keys than before's: rounds of two runs are no pairs
    after = {-1 - round_: value for round_, value in other.logs(n).items()}
    ratio = stats.difference(before, after).exp()
    sources = sorted({str(cell.source) for cell in (*series.cells, *other.cells)})
    if len(sources) > 1:  # an allocator's count and the resident set are not the same quantity
        ratio = Interval(ratio.value)
    return Comparison(
        case_id=case_id,
        setup=other.setup,
        n=n,
        label=f"{series.setup.label} n={n}",
        at=series.setup.panel.label,
        disturbed=sum(cell.disturbed for cell in (*series.cells, *other.cells)),
        metric=metric,
        ratio=ratio,
        verdict=_verdict(ratio, metric),
        incomparable=f"{' and '.join(sources)} do not compare" if len(sources) > 1 else None,
        first=series.point(n).value,
        second=other.point(n).value,
    )


def _verdict(ratio: Interval, metric: Metric) -> str:
    up, down = ("slower", "faster") if metric == "time" else ("more", "less")
    if ratio.low is None or ratio.high is None:
        return "unclear"
    if ratio.low == ratio.high == 1.0:
        return "same"
    return up if ratio.low > 1 else down if ratio.high < 1 else "unclear"


def to_json(found: list[Comparison]) -> list[dict[str, Any]]:
    """Return comparisons in the form of `linbench compare --json`."""
    return [
        {
            "case_id": one.case_id,
            "metric": one.metric,
            "ratio": one.ratio.value,
            "ci_low": one.ratio.low,
            "ci_high": one.ratio.high,
            "verdict": one.verdict,
        }
        for one in found
    ]
