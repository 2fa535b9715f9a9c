"""Ratios between two series at equal n, and the n from which one of them costs less."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from linbench import attention, words
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Panel, Series
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

    Where more is better, what is said of costs holds for the inverse of the values.

    Attributes:
        baseline: The key of the baseline.
        candidate: That of the candidate.
        panel: What the two share.
        metric: What was compared.
        n_star: Where the cost ratio falls through 1, with its interval (open ends are None).
        status: `crossed`; `not reached below n_max`: the candidate still costs more at the largest
            common n; `always below n_min`: it costs less at every common n, so the crossing lies
            below the smallest; `inconclusive`: the intervals do not tell.
        reason: The grounds, in one sentence.
        ratios: Those at every common n.
    """

    baseline: Case
    candidate: Case
    panel: Panel
    metric: Metric
    n_star: Interval | None
    status: Status
    reason: str
    ratios: tuple[Ratio, ...]


def ratios(baseline: Series, candidate: Series) -> list[Ratio]:
    """Return candidate over baseline at every n that both measured, paired within rounds.

    An n where a value is not positive has no ratio. That of counted values is exact, were it of one
    round.
    """
    found, exact = [], baseline.noiseless and candidate.noiseless
    for n in sorted(set(baseline.sizes) & set(candidate.sizes)):
        both = [one.value for of in (baseline, candidate) for one in of.readings if one.n == n]
        if min(both) > 0:
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
    """What some series of one panel and metric are compared with.

    Attributes:
        best: Whether it is the best exact implementation of each n; else attention written out.
        candidates: What stands against it.
        ratios: Gives the ratios of a candidate over it.
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
    if not found:
        return None
    n_star, status, reason = crossing(found)
    return Crossover(
        baseline=baseline.key,
        candidate=candidate.key,
        panel=candidate.panel,
        metric=candidate.metric,
        n_star=n_star,
        status=status,
        reason=reason,
        ratios=tuple(found),
    )


def crossing(found: Sequence[Ratio]) -> tuple[Interval | None, Status, str]:
    """Find where a ratio of costs over ascending n falls through 1 for good.

    Ratios without an interval (measured in one round) are passed over.

    Returns:
        n* with its interval (None unless crossed), the status and its grounds.
    """
    found = [ratio for ratio in found if ratio.value.bounded]
    if not found:
        return None, "inconclusive", "measured in one round: no interval; raise --rounds"
    first, last = found[0], found[-1]
    counts_costs = last.metric.better == "less"
    verb, less, more = ("costs", "less", "more") if counts_costs else ("gives", "more", "less")
    if last.cost.above(1.0):
        ahead = [str(ratio.n) for ratio in found if ratio.cost.below(1.0)]
        earlier = f", though {less} at n = {', '.join(ahead)}" if ahead else ""
        stands = f"ratio {words.ratio(last.value)}{earlier}"
        reason = f"{verb} {more} at the largest common n = {last.n}, {stands}"
        return None, "not reached below n_max", reason
    if all(ratio.cost.below(1.0) for ratio in found):
        stands = f"ratio {words.ratio(first.value)} at n = {first.n}"
        return None, "always below n_min", f"{verb} {less} at every common n, {stands}"
    if last.cost.within(1.0, 1.0):
        reason = f"{verb} the same at n = {last.n}, the largest common n"
        return None, "not reached below n_max", reason
    if not last.cost.below(1.0):
        reason = f"ratio {words.ratio(last.value)} at n = {last.n} holds 1"
        return None, "inconclusive", f"{reason}; measure larger n or more rounds"
    sizes = [ratio.n for ratio in found]
    value = _falls_through(sizes, [ratio.cost.value for ratio in found])
    low = _falls_through(sizes, [ratio.cost.low or _TINY for ratio in found])
    high = _falls_through(sizes, [ratio.cost.high or _TINY for ratio in found])
    if value is None:  # below 1 everywhere, but not surely so at the smallest n
        reason = f"ratio {words.ratio(first.value)} at the smallest n = {first.n} holds 1"
        return None, "inconclusive", f"{reason}; measure smaller n or more rounds"
    reason = f"ratio {words.ratio(last.value)} at n = {last.n}"
    return Interval(value, low, high), "crossed", reason


def _falls_through(sizes: Sequence[int], values: Sequence[float]) -> float | None:
    """Return the last n at which a piecewise straight log ratio falls through 1, None if never."""
    for i in range(len(values) - 1, 0, -1):
        if values[i] < 1.0 <= values[i - 1]:
            here, there = math.log(values[i - 1]), math.log(values[i])
            part = here / (here - there)
            return math.exp(math.log(sizes[i - 1]) + part * math.log(sizes[i] / sizes[i - 1]))
    return None
