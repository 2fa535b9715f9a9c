"""How far an axis reaches, where its ticks stand and what they say, in PNG and HTML."""

import math
from collections.abc import Sequence

from linbench import words
from linbench.report.content import Plot

Ladder = tuple[float, ...]

_MOST = 8  # ticks on an axis
_LONGEST = 64  # a ladder with more rungs than this is of no use at the whole range
_TENS = tuple(range(10, 100)), (10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90), (10, 20, 50)
_AROUND_ONE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)


def limits(plot: Plot) -> tuple[float, float]:
    """Return the range of the values, with intervals only a little further out than any value.

    A little is up to three times on a logarithmic scale, up to the span of the values on a linear
    one. A history is shown around its levels, so that one slow run does not flatten all the others.
    """
    if plot.x_labels:
        return _around_levels(plot)
    linear = plot.scale == "linear"
    points = [y for line in plot.lines for y in line.y]
    values = [y.value for y in points]
    ends = [end for y in points for end in (y.low, y.high) if end is not None and (linear or end)]
    least, most = min(values), max(values)
    span = most - least or abs(most) / 10 or 1.0
    floor, ceiling = (least - span, most + span) if linear else (least / 3, most * 3)
    low, high = max(min([*values, *ends]), floor), min(max([*values, *ends]), ceiling)
    if plot.unit == words.RATIO:
        low, high = min(low, 0.97), max(high, 1.03)
    if linear:
        edge = 0.06 * (high - low) or 0.5 * span
        return low - edge, high + edge
    margin = max((high / low) ** 0.06, 1.02)
    return low / margin, high * margin


def _around_levels(plot: Plot) -> tuple[float, float]:
    to, back = (float, float) if plot.scale == "linear" else (math.log, math.exp)
    levels = [to(level) for line in plot.lines for level in line.fit]
    off = [
        abs(to(y.value) - to(level))
        for line in plot.lines
        for y, level in zip(line.y, line.fit, strict=True)
    ]
    relative = plot.scale == "linear" and plot.unit != words.EXPONENT
    least = 0.05 * (max(map(abs, levels)) or 1.0 if relative else 1.0)
    reach = max(5 * sorted(off)[len(off) // 2], 0.1 * (max(levels) - min(levels)), least)
    return back(min(levels) - reach), back(max(levels) + reach)


def ladders(plot: Plot, low: float, high: float) -> list[Ladder]:
    """Return sets of round values in a range, from fine to coarse, for an axis to choose from.

    On a logarithmic scale sizes come in powers of two, factors as halves and doubles around 1, all
    else in decimals; a linear scale has even steps.
    """
    if plot.scale == "linear":
        found = _even(low, high, plot.unit)
    elif plot.unit == "byte":
        parts = [_multiples(2.0, (4, 5, 6, 7), low, high), _multiples(2.0, (2, 3), low, high)]
        found = [*parts, *_powers(2.0, (1, 2, 5, 10), low, high)]
    elif plot.unit == words.RATIO:
        near = [_steps(step, low, high) for step in _AROUND_ONE if high / step <= 1000]
        near = near if high / low <= _LONGEST else []
        found = [*near, *_powers(2.0, (1, 2, 3, 4, 6), low, high)]
    else:
        tens = [_multiples(10.0, factors, low, high) for factors in _TENS]
        found = [*tens, *_powers(10.0, (1, 2, 3), low, high)]
    middle = (low + high) / 2 if plot.scale == "linear" else math.sqrt(low * high)
    return [ladder for ladder in found if 1 <= len(ladder) <= _LONGEST] or [(middle,)]


def _multiples(base: float, factors: Sequence[int], low: float, high: float) -> Ladder:
    """Return whole factors times powers of a base; the first factor counts as 1."""
    first, last = math.floor(math.log(low, base)), math.ceil(math.log(high, base))
    found = (
        f / factors[0] * base**i
        if i >= 0
        else f / (factors[0] * base**-i)  # decimals as near as can be
        for i in range(first, last + 1)
        for f in factors
    )
    return tuple(value for value in found if low <= value <= high)


def _powers(base: float, steps: Sequence[int], low: float, high: float) -> list[Ladder]:
    return [_multiples(base**step, (1,), low, high) for step in steps]


def _even(low: float, high: float, unit: str) -> list[Ladder]:
    """Return ladders of 1, 2 and 5 times powers of ten, in the prefix that fits the larger end."""
    _, scale = words.prefix(max(abs(low), abs(high)), unit)
    largest = math.floor(math.log10((high - low) / scale))
    steps = (factor * 10.0**i for i in range(largest - 2, largest + 1) for factor in (1, 2, 5))
    found = [_steps(step, low / scale, high / scale) for step in steps]
    return [tuple(value * scale for value in ladder) for ladder in found]


def _steps(step: float, low: float, high: float) -> Ladder:
    first, last = math.ceil(low / step), math.floor(high / step)
    places = max(0, 1 - math.floor(math.log10(step)))
    return tuple(round(i * step, places) for i in range(first, min(last, first + _LONGEST) + 1))


def chosen(found: Sequence[Ladder]) -> Ladder:
    """Return the finest ladder that has no more rungs than fit, else the coarsest."""
    return next((ladder for ladder in found if len(ladder) <= _MOST), found[-1])


def apart(plot: Plot) -> bool:
    """Return whether lines are drawn a little beside each other, as their values lie close."""
    return plot.unit == words.RATIO or plot.scale == "linear"


def lengths(plot: Plot) -> list[float]:
    """Return the x of a plot, ascending: where its ticks may stand."""
    return sorted({x for line in plot.lines for x in line.x})


def thin(values: Sequence[float], most: int) -> list[float]:
    """Keep every so many values so that labels do not touch, the largest among them."""
    step = math.ceil(len(values) / most)
    return list(values[::-1][::step][::-1])
