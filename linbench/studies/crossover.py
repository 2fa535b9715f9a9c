"""Ratios between two series at equal n, and the n from which one of them costs less."""

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from linbench import attention, words
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Series
from linbench.stats.interval import Interval
from linbench.stats.intervals import difference

_TINY = 1e-300  # stands for the end of an interval that reaches to zero
BEST = "the best exact implementation"
Status = Literal["crossed", "not reached below n_max", "always below n_min", "inconclusive"]


@dataclass(frozen=True)
class Ratio:
    """The value of a candidate over that of a baseline at one n.

    `pairs` counts the rounds that hold both.
    """

    n: int
    value: Interval
    pairs: int
    baseline: Case
    metric: Metric

    @property
    def cost(self) -> Interval:
        """How many times as bad the candidate is: below 1 it wins, whichever way is better."""
        return self.value if self.metric.better == "less" else self.value.under(1.0)

    @property
    def gain(self) -> Interval:
        """How many times as good the candidate is: the speed-up, the memory saved."""
        return self.value.under(1.0) if self.metric.better == "less" else self.value


@dataclass(frozen=True)
class Crossover:
    """The n from which on a candidate costs less than a baseline, up to the largest n of both.

    Attributes:
        baseline: The series of the baseline.
        candidate: That of the candidate, of the same panel and metric.
        n_star: Where the cost ratio falls through 1, with its interval (open ends are None).
        status: `crossed`; `not reached below n_max`: the candidate still costs more at the largest
            common n; `always below n_min`: it costs less at every common n, so the crossing lies
            below the smallest; `inconclusive`: the intervals do not tell.
        reason: The grounds, in one sentence.
    """

    baseline: Series
    candidate: Series
    n_star: Interval | None
    status: Status
    reason: str


def ratios(baseline: Series, candidate: Series) -> list[Ratio]:
    """Return candidate over baseline at every n that both measured, paired within rounds.

    An n where a value is not positive has no ratio. That of counted values is exact, were it of one
    round.
    """
    found, exact = [], baseline.noiseless and candidate.noiseless
    for n in sorted(set(baseline.sizes) & set(candidate.sizes)):
        if all(one.value > 0 for one in (*baseline.readings, *candidate.readings) if one.n == n):
            first, second = baseline.logs(n), candidate.logs(n)
            pairs, value = len(first.keys() & second.keys()), difference(first, second).exp()
            value = value.exact() if exact else value
            found.append(Ratio(n, value, pairs, baseline.key, baseline.metric))
    return found


def ratios_to_best(baselines: Sequence[Series], candidate: Series) -> list[Ratio]:
    """Return candidate over the best baseline of each n (by median), paired within rounds."""
    found = []
    for n in candidate.sizes:
        measured = [series for series in baselines if n in series.sizes]
        if measured:
            pick = min if candidate.metric.better == "less" else max
            best = pick(measured, key=lambda series: series.point(n).value.value)
            found += ratios(best.over([n]), candidate)
    return found


@dataclass(frozen=True)
class Basis:
    """What some series are compared with: attention written out, or the `best` exact of each n.

    `ratios` gives those of one of the `candidates` over it.
    """

    best: bool
    candidates: tuple[Series, ...]
    ratios: Callable[[Series], list[Ratio]]

    @property
    def name(self) -> str:
        """What it is called."""
        return BEST if self.best else attention.WRITTEN_OUT


def bases_of(series: Sequence[Series]) -> list[Basis]:
    """Return what series of one panel and metric are compared with, as far as it was measured.

    All stand against attention written out, and what is not exact against the best that is. Values
    on a linear scale have no ratios.
    """
    if any(one.metric.scale == "linear" for one in series):
        return []
    found = []
    exact = [one for one in series if one.is_exact_attention]
    written_out = [one for one in exact if one.key.impl == attention.WRITTEN_OUT]
    if written_out:
        others = tuple(one for one in series if one not in written_out)
        found.append(Basis(False, others, functools.partial(ratios, written_out[0])))
    if len(exact) > len(written_out):
        others = tuple(one for one in series if one not in exact)
        found.append(Basis(True, others, functools.partial(ratios_to_best, exact)))
    return found


def crossover(baseline: Series, candidate: Series) -> Crossover | None:
    """Find the n from which on a candidate costs less than a baseline; None without a common n.

    Between neighbouring sizes the log ratio, and each end of its 95 % interval, is taken as
    straight in log n. The interval of n* runs from where the candidate last surely costs more to
    where it surely costs less from then on.
    """
    found = ratios(baseline, candidate)
    return Crossover(baseline, candidate, *crossing(found)) if found else None


def crossing(found: Sequence[Ratio]) -> tuple[Interval | None, Status, str]:
    """Return n* (where costs over ascending n fall through 1 for good), status and grounds.

    Ratios without an interval (measured in one round) are passed over.
    """
    found = [ratio for ratio in found if ratio.value.bounded]
    if not found:
        return None, "inconclusive", "measured in one round: no interval; raise --rounds"
    first, last = found[0], found[-1]
    starts, ends = (f"ratio {words.ratio(ratio.value)}" for ratio in (first, last))
    if last.value.above(1.0):
        ahead = [str(ratio.n) for ratio in found if ratio.value.below(1.0)]
        earlier = f", though less at n = {', '.join(ahead)}" if ahead else ""
        reason = f"costs more at the largest common n = {last.n}, {ends}{earlier}"
        return None, "not reached below n_max", reason
    if all(ratio.value.below(1.0) for ratio in found):
        reason = f"costs less at every common n, {starts} at n = {first.n}"
        return None, "always below n_min", reason
    if last.value.within(1.0, 1.0):
        reason = f"costs the same at n = {last.n}, the largest common n"
        return None, "not reached below n_max", reason
    if not last.value.below(1.0):
        reason = f"{ends} at n = {last.n} holds 1; measure larger n or more rounds"
        return None, "inconclusive", reason
    sizes = [ratio.n for ratio in found]
    value = _falls_through(sizes, [ratio.value.value for ratio in found])
    low = _falls_through(sizes, [ratio.value.low or _TINY for ratio in found])
    high = _falls_through(sizes, [ratio.value.high or _TINY for ratio in found])
    if value is None:  # below 1 everywhere, but not surely so
        return None, "inconclusive", _unsure(found)
    return Interval(value, low, high), "crossed", f"{ends} at n = {last.n}"


def _unsure(found: Sequence[Ratio]) -> str:
    """Name the n at which a ratio below 1 may yet be 1, and what to measure."""
    unsure = [ratio for ratio in found if not ratio.value.below(1.0)]
    first = unsure[0]
    reason = f"ratio {words.ratio(first.value)} at n = {first.n} holds 1"
    if others := [ratio.n for ratio in unsure[1:]]:
        reason += f", as {'do those' if len(others) > 1 else 'does that'} at n = "
        reason += words.listed(others)
    smaller = "smaller n or " if first is found[0] else ""
    return f"{reason}; measure {smaller}more rounds"


def _falls_through(sizes: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the last n at which a piecewise straight log ratio falls through 1, None if never."""
    points = [(math.log(n), math.log(value)) for n, value in zip(sizes, values, strict=True)]
    for (n, here), (m, there) in reversed(list(itertools.pairwise(points))):
        if there < 0.0 <= here:
            return math.exp(n + here / (here - there) * (m - n))
    return None
