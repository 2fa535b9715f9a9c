"""Two runs, case by case: what the second took over what the first took."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linbench.analysis import stats
from linbench.analysis.series import METRICS, Metric, Series, series_of
from linbench.analysis.stats import Interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Comparison:
    """One metric of one case in two runs.

    Attributes:
        case_id: The case, the same in both.
        label: Its configuration in words, n included.
        at: Scope, mode and shape.
        disturbed: Rounds so slow that they have no weight (see `series.mark_disturbed`).
        metric: time (seconds), memory (bytes) or energy (joules).
        ratio: Second over first, with a 95 % interval that takes rounds as independent units.
        verdict: `slower`, `faster` (or `more`, `less`) where the interval excludes 1, `same` where
            both ends are exactly 1, else `unclear`.
        first: Typical value in the first run.
        second: Typical value in the second run.
    """

    case_id: str
    label: str
    at: str
    disturbed: int
    metric: Metric
    ratio: Interval
    verdict: str
    first: float
    second: float


def compare(first: "pd.DataFrame", second: "pd.DataFrame") -> list[Comparison]:
    """Compare the cases that two runs share; only what was measured counts.

    The runs were made at different times, so that their rounds are not pairs: the interval is that
    of two independent groups (Welch's would be alike; see `stats.difference`).

    Args:
        first: The table of a run (`linbench.record.load`).
        second: The table of the other run. Times are left out where the machines differ.
    """
    same_machine = set(first["fingerprint"]) == set(second["fingerprint"])
    metrics = [m for m in METRICS if same_machine or m == "memory"]
    found = []
    for metric in metrics:
        ours, theirs = _by_case(first, metric), _by_case(second, metric)
        for case_id, (series, n) in ours.items():
            if case_id in theirs:
                other, _ = theirs[case_id]
                found.append(_one(case_id, metric, n, series, other))
    return found


def _by_case(frame: "pd.DataFrame", metric: Metric) -> dict[str, tuple[Series, int]]:
    """Return the series of each measured case, and its n."""
    ok = frame[frame["status"] == "ok"]
    return {
        str(case_id): (series, series.sizes[0])
        for case_id, group in ok.groupby("case_id", sort=False)
        for series in series_of(group, metric)
    }


def _one(case_id: str, metric: Metric, n: int, series: Series, other: Series) -> Comparison:
    before = series.logs(n)
    # other keys than before's: rounds of two runs are no pairs
    after = {-1 - round_: value for round_, value in other.logs(n).items()}
    ratio = stats.difference(before, after).exp()
    return Comparison(
        case_id=case_id,
        label=f"{series.setup.label} n={n}",
        at=series.setup.panel.label,
        disturbed=sum(cell.disturbed for cell in (*series.cells, *other.cells)),
        metric=metric,
        ratio=ratio,
        verdict=_verdict(ratio, metric),
        first=series.point(n).value.value,
        second=other.point(n).value.value,
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
