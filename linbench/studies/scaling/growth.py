"""The verdict on how a series grows, in one word, with grounds and with what to measure next.

A verdict rests on the interval of the tail exponent, or on a law that describes all sizes where the
others do not, and nothing may speak against it. Everything else is `inconclusive`: a fixed cost
that hides the growth, linear terms beside an n² term, exponents between the laws, wide intervals.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from linbench import words
from linbench.stats.interval import Interval
from linbench.stats.intervals import quantile
from linbench.studies.scaling.exponent import Exponent
from linbench.studies.scaling.laws import Law

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
class Evidence:
    """What a verdict is made from.

    Attributes:
        estimate: The tail exponent.
        laws: The laws fitted to all sizes, the best first.
        sizes: All sizes, ascending.
        expected: The exponent that theory gives for n without bound, if known.
        predicted: The exponent that operation counts give over the tail, if known.
        needed: The n up to which to measure for `predicted` to come within 10 % of `expected`.
    """

    estimate: Exponent
    laws: Sequence[Law]
    sizes: Sequence[int]
    expected: float | None
    predicted: float | None
    needed: int | None = None

    def law(self, name: str) -> Law:
        """Return one of the laws."""
        return next(law for law in self.laws if law.name == name)

    def describes(self, law: Law) -> bool:
        """Whether a law describes all sizes, which were enough to refute it."""
        enough = len(self.sizes) >= MIN_SIZES and self.sizes[-1] >= MIN_SPAN * self.sizes[0]
        return enough and law.misfit <= DESCRIBES

    def as_counted(self, slope: Interval) -> bool:
        """Whether the slope is what counts predict over the tail, not yet what theory expects."""
        if self.expected is None or self.predicted is None or not slope.bounded:
            return False
        near = slope.within(self.predicted - 2 * BAND, self.predicted + 2 * BAND)
        return near and abs(self.predicted - self.expected) > BAND * self.expected

    @property
    def on_its_way(self) -> bool:
        """Whether an n² term is known to be there and known to be small over the tail."""
        return (
            self.expected is not None
            and self.predicted is not None
            and self.expected >= 1.5 > self.predicted
        )


def judge(evidence: Evidence) -> Growth:
    """Judge how a series grows."""
    slope = evidence.estimate.slope
    if slope is None or not slope.bounded:
        grounds = evidence.estimate.reason or "no exponent"
        return Growth("inconclusive", grounds, advice=evidence.estimate.remedy)
    best = evidence.laws[0]
    reached = _reached(best) if evidence.describes(best) else None
    for word, decide in _DECIDERS.items():
        found = decide(evidence, slope)
        if found:
            return Growth(word, found, reached)
    return Growth(
        "inconclusive",
        _open_grounds(evidence, slope),
        reached,
        _advice(evidence, slope, reached),
    )


def _linear(evidence: Evidence, slope: Interval) -> str | None:
    line, curve, log = (evidence.law(name) for name in ("a+bn", "a+bn+cn²", "a+bn log n"))
    bent = curve.share("n²")
    if evidence.on_its_way or (log.weight >= DECISIVE and evidence.describes(log)):
        return None
    n_max = evidence.sizes[-1]
    at_most = f"an n² term is at most {words.percent(bent.high)} of the cost at n = {n_max}"
    last = evidence.estimate.last
    if slope.within(1 - BAND, 1 + BAND) and not (last and last.above(1 + BAND)):
        if evidence.expected == 1.0:
            return (
                f"{_exponent(evidence, slope)} lies within 10 % of 1, as theory has it; {at_most}"
            )
        if bent.below(NEGLIGIBLE) and not bent.above(0.0):
            return f"{_exponent(evidence, slope)} lies within 10 % of 1; {at_most}"
    if (
        evidence.describes(line)
        and bent.below(NEGLIGIBLE)
        and line.share("n").above(0.25)
        and max(log.weight, evidence.law("a").weight) <= 1 - DECISIVE
        and slope.below(1 + BAND)
    ):
        fixed = words.percent(line.share("1").value)
        return (
            f"a+bn describes all sizes within {words.percent(line.misfit)} and {at_most}; "
            f"{_exponent(evidence, slope)} is held down by a fixed cost, {fixed} there"
        )
    return None


def _quadratic(evidence: Evidence, slope: Interval) -> str | None:
    curve = evidence.law("a+bn+cn²")
    share = curve.share("n²")
    if slope.within(2 - 2 * BAND, 2 + 2 * BAND):
        return f"{_exponent(evidence, slope)} lies within 10 % of 2"
    if (
        evidence.describes(curve)
        and curve.weight >= DECISIVE
        and share.above(0.5)
        and slope.above(1 + BAND)
    ):
        return (
            f"a+bn+cn² alone describes all sizes (within {words.percent(curve.misfit)}), "
            f"its n² term {words.percent(share.value)} of the cost at n = {evidence.sizes[-1]}; "
            f"{_exponent(evidence, slope)} is held down by the other terms"
        )
    return None


def _linearithmic(evidence: Evidence, slope: Interval) -> str | None:
    log = evidence.law("a+bn log n")
    if evidence.on_its_way or not evidence.describes(log) or log.weight < SURE:
        return None
    first, last = evidence.estimate.sizes[0], evidence.estimate.sizes[-1]
    own = math.log(log.cost(last) / log.cost(first)) / math.log(last / first)
    if slope.above(1.0) and slope.within(own - BAND, own + BAND):
        return (
            f"a+bn log n alone describes all sizes (within {words.percent(log.misfit)}) and "
            f"{_exponent(evidence, slope)} is above 1 as it has it ({own:.2f})"
        )
    return None


_DECIDERS: dict[Word, Callable[[Evidence, Interval], str | None]] = {
    "linear": _linear,
    "quadratic": _quadratic,
    "linearithmic": _linearithmic,
}


def _open_grounds(evidence: Evidence, slope: Interval) -> str:
    best = evidence.laws[0]
    stands = _exponent(evidence, slope)
    if evidence.as_counted(slope):
        return (
            f"{stands} is what exact counts predict there ({evidence.predicted:.2f}): the growth "
            f"of large n, exponent {evidence.expected:g}, is not reached yet"
        )
    last = best.terms[-1]
    if evidence.describes(best) and last != "1" and best.share(last).value < 1 - BAND:
        return (
            f"{stands}; {best.name} describes all sizes, but its {last} term is only "
            f"{words.percent(best.share(last).value)} of the cost at n = {evidence.sizes[-1]}"
        )
    if evidence.describes(best) and last == "1":
        return f"{stands}; a fixed cost describes all sizes and hides the growth"
    near = [x for x in (1.0, 2.0) if not (slope.above(x + x * BAND) or slope.below(x - x * BAND))]
    where = "is within 10 % of neither 1 nor 2"
    if near:
        where = f"is too wide to tell whether it is {' or '.join(f'{x:g}' for x in near)}"
    return (
        f"{stands} {where}; the best law, {best.name}, misses the sizes by "
        f"{words.percent(best.misfit)}"
    )


def _advice(evidence: Evidence, slope: Interval, reached: int | None) -> str:
    n_max = evidence.sizes[-1]
    if not evidence.as_counted(slope) and (more := _rounds_needed(evidence.estimate, slope)):
        few = more <= _MANY_ROUNDS
        what = f"about {more} rounds" if few else "more rounds on a quieter machine"
        return f"measure {what}, for an interval of {BAND / 2} on each side"
    ahead = max(reached or 0, evidence.needed or 0)
    if ahead > n_max:
        return f"measure up to n = {_next_power(ahead)}"
    if len(evidence.sizes) < MIN_SIZES or n_max < MIN_SPAN * evidence.sizes[0]:
        return f"measure at least {MIN_SIZES} sizes over a factor of {MIN_SPAN:g} or more"
    return f"measure up to n = {_next_power(2 * n_max)} or beyond"


def _rounds_needed(estimate: Exponent, slope: Interval) -> int | None:
    """Return about how many rounds would make the interval narrow; None where it is already."""
    half = ((slope.high or 0.0) - (slope.low or 0.0)) / 2
    goal = BAND / 2
    if half <= goal:
        return None
    steps, rounds = len(estimate.sizes) - 1, max(2, estimate.rounds)
    spread = half / quantile(steps * (rounds - 1)) * math.sqrt(rounds)
    more = rounds
    while more <= _MANY_ROUNDS and quantile(steps * (more - 1)) * spread > goal * math.sqrt(more):
        more += 1
    return more


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
    return int(2 ** math.ceil(math.log2(n)))


def _exponent(evidence: Evidence, slope: Interval) -> str:
    sizes = evidence.estimate.sizes
    return f"exponent {words.slope(slope)} over n = {sizes[0]} to {sizes[-1]}"
