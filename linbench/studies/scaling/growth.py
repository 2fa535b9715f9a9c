"""How one series grows: its exponent, its law, and a verdict in one word.

A verdict rests on the interval of the tail exponent, or on a law that describes all sizes where the
others do not, and nothing may speak against it. Everything else is `inconclusive`: a fixed cost
that hides the growth, linear terms beside an n² term, exponents between the laws, wide intervals.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from linbench import words
from linbench.run.runs import Point, Series
from linbench.stats.interval import Interval
from linbench.stats.intervals import quantile
from linbench.studies.scaling.counts import expected_exponent, needed_n, predicted_exponent
from linbench.studies.scaling.exponent import Exponent, exponent, local_slopes
from linbench.studies.scaling.laws import Law, fit_laws

Word = Literal["linear", "linearithmic", "quadratic", "inconclusive"]

BAND = 0.1  # an exponent within 10 % of 1 or 2 is called 1 or 2
DECISIVE = 0.95  # AICc weight
SURE = 0.99  # AICc weight, for a law between two others
NEGLIGIBLE = 0.05  # share of a term at the largest n
DESCRIBES = 0.02  # a law that misses no more than this describes all sizes
MIN_SIZES, MIN_SPAN = 5, 8.0  # fewer sizes cannot refute a law of three terms
_HUGE = 2.0**40
_MANY_ROUNDS = 100


@dataclass(frozen=True)
class Growth:
    """One word on the growth of a series.

    Attributes:
        word: `linear`, `linearithmic`, `quadratic` or `inconclusive`.
        grounds: Why, in one sentence without its full stop.
        reached: The n from which on the best law has an exponent within 10 % of that of its last
            term; extrapolated where beyond the largest n. None where no law describes the sizes.
        advice: What to measure next; None unless inconclusive.
    """

    word: Word
    grounds: str
    reached: int | None = None
    advice: str | None = None


@dataclass(frozen=True)
class Scaling:
    """What one series says about how its values grow with n.

    Attributes:
        series: The measured rounds.
        exponent: The slope over the tail.
        laws: The laws fitted to all sizes, the best first; none below three sizes.
        expected: The exponent that theory gives for n without bound, if known.
        predicted: The exponent that operation counts give over the tail, if known.
    """

    series: Series
    exponent: Exponent
    laws: list[Law]
    expected: float | None
    predicted: float | None

    @cached_property
    def points(self) -> list[Point]:
        """The typical value at each size."""
        return self.series.points()

    @cached_property
    def local(self) -> list[tuple[int, int, Interval]]:
        """The slopes between neighbouring sizes, `(n, next n, slope)`."""
        return local_slopes(self.series)

    @cached_property
    def growth(self) -> Growth:
        """One word with its grounds."""
        return _judge(self)


def scaling_of(series: Series) -> Scaling:
    """Fit one series of a cost."""
    key, metric, estimate = series.key, series.metric, exponent(series)
    return Scaling(
        series=series,
        exponent=estimate,
        laws=fit_laws(series),
        expected=expected_exponent(key, metric),
        predicted=predicted_exponent(key, metric, estimate.sizes),
    )


def _judge(one: Scaling) -> Growth:
    slope = one.exponent.slope
    if slope is None or not slope.bounded:
        return Growth("inconclusive", one.exponent.reason or "", advice=one.exponent.remedy)
    best = one.laws[0]
    reached = _reached(best) if _describes(best, one) else None
    for word, decide in _DECIDERS.items():
        if grounds := decide(one, slope):
            return Growth(word, grounds, reached)
    grounds, advice = _open_grounds(one, slope), _advice(one, slope, reached)
    return Growth("inconclusive", grounds, reached, advice)


def _law(name: str, one: Scaling) -> Law:
    return next(law for law in one.laws if law.name == name)


def _describes(law: Law, one: Scaling) -> bool:
    """Whether a law describes all sizes, which were enough to refute it."""
    return not _few_sizes(one) and law.misfit <= DESCRIBES


def _few_sizes(one: Scaling) -> bool:
    sizes = one.series.sizes
    return len(sizes) < MIN_SIZES or sizes[-1] < MIN_SPAN * sizes[0]


def _as_counted(one: Scaling, slope: Interval) -> bool:
    """Whether the slope is what counts predict over the tail, not yet what theory expects."""
    if one.expected is None or one.predicted is None:
        return False
    near = slope.within(one.predicted - 2 * BAND, one.predicted + 2 * BAND)
    return near and abs(one.predicted - one.expected) > BAND * one.expected


def _on_its_way(one: Scaling) -> bool:
    """Whether an n² term is known to be there and known to be small over the tail."""
    if one.expected is None or one.predicted is None:
        return False
    return one.expected >= 1.5 > one.predicted


def _linear(one: Scaling, slope: Interval) -> str | None:
    line, curve, log = (_law(name, one) for name in ("a+bn", "a+bn+cn²", "a+bn log n"))
    if _on_its_way(one) or (log.weight >= DECISIVE and _describes(log, one)):
        return None
    bent, last, n_max = curve.share("n²"), one.exponent.last, one.series.sizes[-1]
    at_most = f"an n² term is at most {words.percent(bent.high)} of the cost at n = {n_max}"
    if slope.within(1 - BAND, 1 + BAND) and not (last and last.above(1 + BAND)):
        near = f"{_stands(one, slope)} lies within 10 % of 1"
        if one.expected == 1.0:
            return f"{near}, as theory has it; {at_most}"
        if bent.below(NEGLIGIBLE) and not bent.above(0.0):
            return f"{near}; {at_most}"
    if (
        _describes(line, one)
        and bent.below(NEGLIGIBLE)
        and line.share("n").above(0.25)
        and max(log.weight, _law("a", one).weight) <= 1 - DECISIVE
        and slope.below(1 + BAND)
    ):
        fixed = words.percent(line.share("1").value)
        return (
            f"a+bn describes all sizes within {words.percent(line.misfit)} and {at_most}; "
            f"{_stands(one, slope)} is held down by a fixed cost, {fixed} there"
        )
    return None


def _quadratic(one: Scaling, slope: Interval) -> str | None:
    if slope.within(2 - 2 * BAND, 2 + 2 * BAND):
        return f"{_stands(one, slope)} lies within 10 % of 2"
    curve = _law("a+bn+cn²", one)
    share = curve.share("n²")
    if (
        _describes(curve, one)
        and curve.weight >= DECISIVE
        and share.above(0.5)
        and slope.above(1 + BAND)
    ):
        return (
            f"a+bn+cn² alone describes all sizes (within {words.percent(curve.misfit)}), "
            f"its n² term {words.percent(share.value)} of the cost at n = {one.series.sizes[-1]}; "
            f"{_stands(one, slope)} is held down by the other terms"
        )
    return None


def _linearithmic(one: Scaling, slope: Interval) -> str | None:
    log = _law("a+bn log n", one)
    if _on_its_way(one) or not _describes(log, one) or log.weight < SURE:
        return None
    first, last = one.exponent.sizes[0], one.exponent.sizes[-1]
    own = math.log(log.cost(last) / log.cost(first)) / math.log(last / first)
    if slope.above(1.0) and slope.within(own - BAND, own + BAND):
        return (
            f"a+bn log n alone describes all sizes (within {words.percent(log.misfit)}) and "
            f"{_stands(one, slope)} is above 1 as it has it ({own:.2f})"
        )
    return None


_DECIDERS: dict[Word, Callable[[Scaling, Interval], str | None]] = {
    "linear": _linear,
    "quadratic": _quadratic,
    "linearithmic": _linearithmic,
}


def _open_grounds(one: Scaling, slope: Interval) -> str:
    stands = _stands(one, slope)
    if _as_counted(one, slope):
        return (
            f"{stands} is what exact counts predict there ({one.predicted:.2f}): the growth "
            f"of large n, exponent {one.expected:g}, is not reached yet"
        )
    best = one.laws[0]
    last = best.terms[-1]
    if _describes(best, one) and last == "1":
        return f"{stands}; a fixed cost describes all sizes and hides the growth"
    share = best.share(last).value
    if _describes(best, one) and share < 1 - BAND:
        return (
            f"{stands}; {best.name} describes all sizes, but its {last} term is only "
            f"{words.percent(share)} of the cost at n = {one.series.sizes[-1]}"
        )
    near = [x for x in (1.0, 2.0) if not (slope.above(x + x * BAND) or slope.below(x - x * BAND))]
    where = "is within 10 % of neither 1 nor 2"
    if near:
        where = _undecided(one, slope, " or ".join(f"{x:g}" for x in near))
    return (
        f"{stands} {where}; the best law, {best.name}, misses the sizes by "
        f"{words.percent(best.misfit)}"
    )


def _undecided(one: Scaling, slope: Interval, near: str) -> str:
    """Say why an exponent that may be 1 or 2 does not decide."""
    if _rounds_needed(one.exponent, slope):
        return f"is too wide to tell whether it is {near}"
    if _few_sizes(one):
        return f"is near {near}, but too few sizes were measured to tell"
    return f"is near {near}, but no law alone bears that out"


def _advice(one: Scaling, slope: Interval, reached: int | None) -> str:
    n_max = one.series.sizes[-1]
    if not _as_counted(one, slope) and (more := _rounds_needed(one.exponent, slope)):
        few = more <= _MANY_ROUNDS
        what = f"about {more} rounds" if few else "more rounds on a quieter machine"
        return f"measure {what}, for an interval of {BAND / 2} on each side"
    ahead = max(reached or 0, needed_n(one.series.key, one.series.metric, n_max) or 0)
    if ahead > n_max:
        return f"measure up to n = {_next_power(ahead)}"
    if _few_sizes(one):
        return f"measure at least {MIN_SIZES} sizes over a factor of {MIN_SPAN:g} or more"
    return f"measure up to n = {_next_power(2 * n_max)} or beyond"


def _rounds_needed(estimate: Exponent, slope: Interval) -> int | None:
    """Return about how many rounds would make the interval narrow; None where it is already."""
    half = ((slope.high or 0.0) - (slope.low or 0.0)) / 2
    goal = BAND / 2
    if half <= goal:
        return None
    steps, count = len(estimate.sizes) - 1, max(2, estimate.rounds)
    spread = half / quantile(steps * (count - 1)) * math.sqrt(count)
    while count <= _MANY_ROUNDS and quantile(steps * (count - 1)) * spread > goal * count**0.5:
        count += 1
    return count


def _reached(law: Law) -> int | None:
    """Return the n from which on a law's slope is within 10 % of its last term's own."""
    if law.terms[-1] == "1" or law.coefficients[-1] <= 0:
        return None
    goal = (2 if law.terms[-1] == "n²" else 1) * (1 - BAND)
    low, high = 2.0, _HUGE
    if law.slope(low) >= goal:
        return 2
    while high / low > 1.001:  # the slope of a sum of rising powers rises
        middle = math.sqrt(low * high)
        low, high = (low, middle) if law.slope(middle) >= goal else (middle, high)
    return None if high >= _HUGE / 2 else math.ceil(high)


def _next_power(n: int) -> int:
    return 1 << (n - 1).bit_length()


def _stands(one: Scaling, slope: Interval) -> str:
    sizes = one.exponent.sizes
    return f"exponent {words.slope(slope)} over n = {sizes[0]} to {sizes[-1]}"
