"""How numbers and their intervals are written, everywhere the same."""

import math

from linbench.analysis.stats import Interval


def digits(value: float, count: int = 3) -> str:
    """Write a number with some significant digits and no power of ten: `0.0249`, `1.30`, `1644`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, count - 1 - math.floor(math.log10(abs(value)) + 1e-9))
    return f"{value:.{places}f}"


def ends(interval: Interval, scale: float = 1.0) -> str:
    """Write the ends of an interval of a positive quantity, over a scale.

    Nothing is written where both ends read as the value does. An interval wider than a factor of
    100 says no more than that.
    """
    if interval.low is None or interval.high is None:
        return ""
    low, high = digits(interval.low / scale), digits(interval.high / scale)
    if low == high:
        return ""
    if interval.high > 100 * interval.low:
        return " [unknown within a factor of 100]"
    return f" [{low}, {high}]"


def ratio(interval: Interval) -> str:
    """Write a ratio with its interval: `0.612 [0.580, 0.640]`."""
    return digits(interval.value) + ends(interval)


def slope(interval: Interval) -> str:
    """Write an exponent with its interval: `2.00 [1.98, 2.02]`."""
    if interval.low is None or interval.high is None:
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def length(interval: Interval) -> str:
    """Write an n with its interval: `860 [823, 899]`; an open end is `?`."""
    ends = ("?" if end is None else f"{end:.0f}" for end in (interval.low, interval.high))
    return f"{interval.value:.0f} [{', '.join(ends)}]"


def percent(share: float | None) -> str:
    """Write a share: `57 %`, `2.3 %`."""
    if share is None:
        return "an unknown share"
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= 0.1 else "under 0.1 %"
