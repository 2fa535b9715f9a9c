"""How far a logarithmic axis reaches, where its ticks stand and what they say, in PNG and HTML."""

import math
from collections.abc import Callable, Iterable, Sequence

from linbench.report import words
from linbench.report.content import Plot, Unit

Ladder = tuple[float, ...]

MOST = 8  # ticks on an axis
_LONGEST = 64  # a ladder with more rungs than this is of no use at the whole range
_TENS = tuple(range(10, 100)), (10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90), (10, 20, 50)
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_WRITERS: dict[Unit, Callable[[float], str]] = {
    "time": words.short_seconds,
    "memory": words.short_size,
    "energy": "{:g} J".format,
    "tokens": words.short_rate,
    "ratio": words.times,
    "slope": "{:g}".format,
}


def limits(plot: Plot) -> tuple[float, float]:
    """Return the range of the values, with intervals up to three times as far out as any value.

    A history is shown around its levels, so that one slow run does not flatten all the others.
    """
    if plot.x_labels:
        return _around_levels(plot)
    values = [one.value for line in plot.lines for one in line.y]
    lows = [one.low for line in plot.lines for one in line.y if one.low]
    highs = [one.high for line in plot.lines for one in line.y if one.high]
    low = max(min([*lows, *values]), min(values) / 3)
    high = min(max([*highs, *values]), max(values) * 3)
    if plot.unit == "ratio":
        low, high = min(low, 0.97), max(high, 1.03)
    margin = max((high / low) ** 0.06, 1.02)
    return low / margin, high * margin


def _around_levels(plot: Plot) -> tuple[float, float]:
    linear = plot.unit == "slope"
    to, back = (float, float) if linear else (math.log, math.exp)
    levels = [to(level) for line in plot.lines for level in line.fit]
    off = [
        abs(to(one.value) - to(level))
        for line in plot.lines
        for one, level in zip(line.y, line.fit, strict=True)
    ]
    reach = max(5 * sorted(off)[len(off) // 2], 0.1 * (max(levels) - min(levels)), 0.05)
    return back(min(levels) - reach), back(max(levels) + reach)


def ladders(unit: Unit, low: float, high: float) -> list[Ladder]:
    """Return sets of round values in a range, from fine to coarse, for an axis to choose from.

    Sizes come in powers of two, factors as halves and doubles around 1, all else in decimals.
    """
    if unit == "memory":
        parts = [_multiples(2.0, (4, 5, 6, 7), low, high), _multiples(2.0, (2, 3), low, high)]
        found = [*parts, *_powers(2.0, (1, 2, 5, 10), low, high)]
    elif unit == "slope":
        found = [_steps_of(step, low, high) for step in (*_STEPS, 1.0, 2.0)]
    elif unit == "ratio":
        found = [*_linear(low, high), *_powers(2.0, (1, 2, 3, 4, 6), low, high)]
    else:
        tens = [_multiples(10.0, factors, low, high) for factors in _TENS]
        found = [*tens, *_powers(10.0, (1, 2, 3), low, high)]
    return [ladder for ladder in found if 1 <= len(ladder) <= _LONGEST] or [
        (math.sqrt(low * high),)
    ]


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
    return _between(found, low, high)


def _powers(base: float, steps: Sequence[int], low: float, high: float) -> list[Ladder]:
    return [_multiples(base**step, (1,), low, high) for step in steps]


def _linear(low: float, high: float) -> list[Ladder]:
    if high / low > _LONGEST:
        return []
    return [
        _between((round(i * step, 4) for i in range(1, int(high / step) + 1)), low, high)
        for step in _STEPS
        if high / step <= 1000
    ]


def _steps_of(step: float, low: float, high: float) -> Ladder:
    first, last = math.ceil(low / step), math.floor(high / step)
    return tuple(round(i * step, 4) for i in range(first, min(last, first + _LONGEST) + 1))


def _between(values: Iterable[float], low: float, high: float) -> Ladder:
    return tuple(value for value in values if low <= value <= high)


def chosen(found: Sequence[Ladder], most: int = MOST) -> Ladder:
    """Return the finest ladder that has no more rungs than fit, else the coarsest."""
    return next((ladder for ladder in found if len(ladder) <= most), found[-1])


def label(unit: Unit, value: float) -> str:
    """Write the label of a tick."""
    return _WRITERS[unit](value)


def lengths(plot: Plot) -> list[float]:
    """Return the x of a plot, ascending: where its ticks may stand."""
    return sorted({x for line in plot.lines for x in line.x})


def thin(values: Sequence[float], most: int) -> list[float]:
    """Keep every so many values so that labels do not touch, the largest among them."""
    step = math.ceil(len(values) / most)
    return list(values[::-1][::step][::-1])
