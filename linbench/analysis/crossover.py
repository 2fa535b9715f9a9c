"""Ratios between two series at equal n, and the n from which one of them costs less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from linbench.analysis import numbers
from linbench.analysis.series import Series, Setup
from linbench.analysis.stats import Interval, difference

_TINY = 1e-300  # stands for the end of an interval that reaches to zero
Status = Literal["crossed", "not reached below n_max", "always below n_min", "inconclusive"]


@dataclass(frozen=True)
class Ratio:
    """The cost of a candidate over that of a baseline at one n; below 1 the candidate wins.

    `pairs` counts the rounds that hold both.
    """

    n: int
    value: Interval
    pairs: int
    baseline: Setup

    @property
    def gain(self) -> Interval:
        """How many times as much the baseline costs: the speed-up, the memory saved."""
        return self.value.under(1.0)


@dataclass(frozen=True)
class Crossover:
    """The n from which on a candidate costs less than a baseline, up to the largest n of both.

    Attributes:
        n_star: Where the ratio falls through 1, with its interval (open ends are None).
        status: `crossed`; `not reached below n_max`: the candidate still costs more at the largest
            common n; `always below n_min`: it costs less at every common n, so the crossing lies
            below the smallest; `inconclusive`: the intervals do not tell.
        reason: The grounds, in one sentence.
    """

    baseline: Setup
    candidate: Setup
    metric: str
    n_star: Interval | None
    status: Status
    reason: str
    ratios: tuple[Ratio, ...]


def ratios(baseline: Series, candidate: Series) -> list[Ratio]:
    """Return candidate over baseline at every n that both measured, paired within rounds."""
    found = []
    for n in sorted(set(baseline.sizes) & set(candidate.sizes)):
        first, second = baseline.logs(n), candidate.logs(n)
        pairs = len(first.keys() & second.keys())
        found.append(Ratio(n, difference(first, second).exp(), pairs, baseline.setup))
    return found


def ratios_to_best(baselines: Sequence[Series], candidate: Series) -> list[Ratio]:
    """Return candidate over the cheapest baseline of each n (by median), paired within rounds."""
    found = []
    for n in candidate.sizes:
        measured = [series for series in baselines if n in series.sizes]
        if measured:
            best = min(measured, key=lambda series: series.point(n).value.value)
            found += [ratio for ratio in ratios(best, candidate) if ratio.n == n]
    return found


def crossover(baseline: Series, candidate: Series) -> Crossover | None:
    """Find the n from which on a candidate costs less than a baseline; None without a common n.

    Between neighbouring sizes the log ratio, and each end of its 95 % interval, is taken as
    straight in log n. The interval of n* runs from where the candidate last surely costs more to
    where it surely costs less from then on.
    """
    found = ratios(baseline, candidate)
    if not found:
        return None
    n_star, status, reason = crossing(found)
    return Crossover(
        baseline.setup, candidate.setup, baseline.metric, n_star, status, reason, tuple(found)
    )


def crossing(found: Sequence[Ratio]) -> tuple[Interval | None, Status, str]:
    """Find where a ratio over ascending n falls through 1 for good.

    Ratios without an interval (measured in one round) are passed over.

    Returns:
        n* with its interval (None unless crossed), the status and its grounds.
    """
    found = [ratio for ratio in found if ratio.value.bounded]
    if not found:
        return None, "inconclusive", "measured in one round: no interval; raise --rounds"
    first, last = found[0], found[-1]
    if last.value.above(1.0):
        ahead = [r.n for r in found if r.value.below(1.0)]
        earlier = f", though less at n = {', '.join(map(str, ahead))}" if ahead else ""
        ratio = numbers.ratio(last.value)
        reason = f"costs more at the largest common n = {last.n}, ratio {ratio}{earlier}"
        return None, "not reached below n_max", reason
    if all(ratio.value.below(1.0) for ratio in found):
        reason = (
            f"costs less at every common n, ratio {numbers.ratio(first.value)} at n = {first.n}"
        )
        return None, "always below n_min", reason
    if last.value.within(1.0, 1.0):
        reason = f"costs the same at n = {last.n}, the largest common n"
        return None, "not reached below n_max", reason
    if not last.value.below(1.0):
        reason = f"ratio {numbers.ratio(last.value)} at n = {last.n} holds 1"
        return None, "inconclusive", f"{reason}; measure larger n or more rounds"
    value = _falls_through(found, [r.value.value for r in found])
    low = _falls_through(found, [r.value.low or _TINY for r in found])
    high = _falls_through(found, [r.value.high or _TINY for r in found])
    if value is None:  # below 1 everywhere, but not surely so at the smallest n
        reason = f"ratio {numbers.ratio(first.value)} at the smallest n = {first.n} holds 1"
        return None, "inconclusive", f"{reason}; measure smaller n or more rounds"
    reason = f"ratio {numbers.ratio(last.value)} at n = {last.n}"
    return Interval(value, low, high), "crossed", reason


def _falls_through(found: Sequence[Ratio], values: Sequence[float]) -> float | None:
    """Return the last n at which a piecewise straight log ratio falls through 1, None if never."""
    for i in range(len(values) - 1, 0, -1):
        if values[i] < 1.0 <= values[i - 1]:
            here, there = math.log(values[i - 1]), math.log(values[i])
            part = here / (here - there)
            x = math.log(found[i - 1].n) + part * math.log(found[i].n / found[i - 1].n)
            return math.exp(x)
    return None
