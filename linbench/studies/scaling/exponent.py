"""Exponents: the slope of log cost against log n, where it counts, with its interval."""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from linbench import words
from linbench.run.runs import Series
from linbench.stats.interval import Interval
from linbench.stats.intervals import difference

TAIL_SPAN = 4.0
TAIL_SIZES = 3


@dataclass(frozen=True)
class Exponent:
    """The slope of log cost against log n over the tail of a series.

    Attributes:
        slope: The exponent with its interval; None where there are too few sizes.
        last: The slope between the two largest sizes, which tells a bend from a straight tail.
        sizes: The sizes it was taken over, ascending.
        rounds: The fewest rounds at any of these sizes.
        flagged: Readings of the tail, disturbed or out of line, that have no weight in the slope.
        reason: Why there is no exponent, or none with an interval; else None.
        remedy: What to do about that.
    """

    slope: Interval | None
    last: Interval | None
    sizes: tuple[int, ...]
    rounds: int
    flagged: int
    reason: str | None = None
    remedy: str | None = None


def tail_sizes(series: Series) -> list[int]:
    """Return the largest sizes that span a factor of 4 and count at least 3, ascending.

    Why these: an exponent is a statement about large n, and small sizes hold fixed costs and
    linear terms that tilt it. Two sizes cannot show a curve, and less than a factor of 4 turns
    little noise into much slope. The rule looks at n alone, never at the values, so that choosing
    the tail cannot bend the interval. Sizes measured in one round only are left out where enough
    others exist, since nothing tells whether their one visit was disturbed.
    """
    repeated = [n for n in series.sizes if len(series.logs(n)) > 1]
    sizes = repeated if len(repeated) >= TAIL_SIZES else series.sizes
    for count in range(TAIL_SIZES, len(sizes) + 1):
        if sizes[-1] >= TAIL_SPAN * sizes[-count]:
            return sizes[-count:]
    return sizes


def exponent(series: Series, sizes: list[int] | None = None) -> Exponent:
    """Estimate the exponent of a series.

    Readings are laid out by size and round (`linbench.stats.intervals`); the exponent is the least
    squares slope through the size levels, whose noise is known from how rounds disagree, not from
    how well a straight line fits: curvature does not widen it, and shows in the local slopes.
    It is taken over the tail, unless sizes are given.
    """
    sizes = tail_sizes(series) if sizes is None else sizes
    if len(sizes) < TAIL_SIZES:
        reason = f"measured at {words.plural(len(sizes), 'size')}, an exponent needs {TAIL_SIZES}"
        return Exponent(None, None, tuple(sizes), 0, 0, reason, "add to --seq")
    layout = series.layout(sizes)
    if series.noiseless:  # counted: one round is enough
        layout = replace(layout, noise=0.0)
    x = np.log(np.asarray(sizes, dtype=float))
    centred = x - x.mean()
    slope = layout.contrast(centred / (centred @ centred))
    between = np.zeros(len(sizes))
    between[-2:] = np.array([-1, 1]) / (x[-1] - x[-2])
    return Exponent(
        slope=slope,
        last=layout.contrast(between),
        sizes=tuple(sizes),
        rounds=min(len(series.logs(n)) for n in sizes),
        flagged=int(layout.flagged.sum())
        + sum(one.disturbed and one.n in sizes for one in series.readings),
        reason=None if slope.bounded else "measured in one round: no interval",
        remedy=None if slope.bounded else "raise --rounds",
    )


def local_slopes(series: Series) -> list[tuple[int, int, Interval]]:
    """Return the slope between each two neighbouring sizes, `(n, next n, slope)`."""
    slopes = []
    for small, large in itertools.pairwise(series.sizes):
        gap = difference(series.logs(small), series.logs(large))
        gap = gap.exact() if series.noiseless else gap
        scale = float(np.log(large / small))
        low, high = (None if end is None else end / scale for end in (gap.low, gap.high))
        slopes.append((small, large, Interval(gap.value / scale, low, high)))
    return slopes
