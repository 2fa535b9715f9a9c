"""How numbers, quantities and lists are written: the same in sentences, in tables and on axes."""

import math
from collections.abc import Iterable, Sequence

from linbench.stats.interval import Interval

Scales = Sequence[tuple[str, float]]

_TIMES = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_SIZES = (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0))
_RATES = (("G/s", 1e9), ("M/s", 1e6), ("k/s", 1e3), ("/s", 1.0))
_SCALED: dict[str, Scales] = {"s": _TIMES[2:], "byte": _SIZES, "tokens/s": _RATES}

RATIO = "×"
"""The unit of a ratio."""

EXPONENT = "exponent"
"""The unit of an exponent: two decimals."""

SHARE = "share"
"""The unit of a share of one, written in percent."""

COUNT = "count"
"""The unit of a number of things, written whole."""

LENGTH = "n"
"""The unit of a sequence length that was estimated; an open end of its interval is `?`."""


def digits(value: float, count: int = 3) -> str:
    """Write a number with some significant digits and no power of ten: `0.0249`, `1.30`, `1644`."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = max(0, count - 1 - math.floor(math.log10(abs(value)) + 1e-9))
    return f"{value:.{places}f}"


def ends(interval: Interval, scale: float = 1.0) -> str:
    """Write the ends of an interval over a scale, with a space before them.

    Nothing is written where both ends read alike. An interval of a positive quantity that is wider
    than a factor of 100 says no more than that.
    """
    if interval.low is None or interval.high is None:
        return ""
    low, high = digits(interval.low / scale), digits(interval.high / scale)
    if low == high:
        return ""
    if vague(interval):
        return " [unknown within a factor of 100]"
    return f" [{low}, {high}]"


def vague(interval: Interval) -> bool:
    """Whether an interval of a positive quantity is wider than a factor of 100."""
    if interval.low is None or interval.high is None:
        return False
    return interval.low >= 0 and interval.high > 100 * interval.low


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
    ends_ = ("?" if end is None else f"{end:.0f}" for end in (interval.low, interval.high))
    return f"{interval.value:.0f} [{', '.join(ends_)}]"


def percent(share: float | None) -> str:
    """Write a share: `57 %`, `2.3 %`."""
    if share is None:
        return "an unknown share"
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 else f"{value:.1f} %" if value >= 0.1 else "under 0.1 %"


def quantity(value: float | None, unit: str) -> str:
    """Write a value with its unit: `12.3 ms`, `1.50 MiB`, `3.20 J`; `?` where it is not known."""
    return "?" if value is None or math.isnan(value) else with_interval(Interval(value), unit)


def with_interval(interval: Interval, unit: str) -> str:
    """Write a value with its interval, all in the prefix that fits the value."""
    value = interval.value
    if unit == EXPONENT:
        return slope(interval)
    if unit == LENGTH:
        return length(interval)
    if unit == COUNT:
        return f"{value:,.0f}"
    if unit == SHARE:
        return f"{digits(100 * value)}{ends(interval, 0.01)} %"
    if unit not in ("", RATIO, *_SCALED) and _whole(interval):
        return f"{value:.0f} {unit}"  # sequences, tokens: things that are counted
    name, scale = prefix(value, unit)
    exact = interval.low is not None and interval.low == interval.high
    return f"{digits(value / scale)}{ends(interval, scale)} {name}".rstrip() + (
        " (exact)" if exact and unit not in ("", RATIO) else ""
    )


def _whole(interval: Interval) -> bool:
    ends_ = {interval.value, interval.low, interval.high} - {None}
    return len(ends_) == 1 and float(interval.value).is_integer()


def prefix(value: float, unit: str) -> tuple[str, float]:
    """Return the name of the unit that fits a value, and what it is of the plain unit."""
    if unit == "s" and value >= 600:
        return _fitting(value, _TIMES)
    return _fitting(value, _SCALED[unit]) if unit in _SCALED else ("" if unit == RATIO else unit, 1)


def _fitting(value: float, scales: Scales, slack: float = 1.0) -> tuple[str, float]:
    found = (pair for pair in scales if abs(value) >= pair[1] * slack)
    return next(found, scales[-1])


def short(value: float, unit: str) -> str:
    """Write a value short, as the label of a tick: `20 ms`, `64 KiB`, `½×`, `0.5`."""
    if unit == RATIO:
        return times(value)
    if unit == SHARE:
        return f"{100 * value:g} %"
    if unit not in _SCALED:
        return f"{value:g}" if unit in ("", EXPONENT, COUNT, LENGTH) else f"{value:g} {unit}"
    name, scale = _fitting(value, _SCALED[unit], slack=0.999)
    return f"{value / scale:.4g} {name}"


def tokens(n: float) -> str:
    """Write a sequence length short, for axes: `512`, `1k`, `64k`, `1500`."""
    whole = round(n)
    return f"{whole // 1024}k" if whole >= 1024 and whole % 1024 == 0 else str(whole)


def times(value: float) -> str:
    """Write a factor for an axis: 1/64, ½, 1 or 16 with a multiplication sign."""
    fractions = {0.5: "½", 0.25: "¼", 0.125: "⅛"}
    inverse = round(1 / value) if value else 0
    small = f"1/{inverse}" if 0 < value < 0.1 and value * inverse == 1 else f"{value:g}"
    return f"{fractions.get(value) or small}{RATIO}"


def listed(words: Iterable[object]) -> str:
    """Join words as in a sentence: `a, b and c`."""
    items = [str(word) for word in words]
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def span(numbers: Sequence[int]) -> str:
    """Write the ends of some numbers: `512 to 2048`, or the one that there is."""
    low, high = min(numbers), max(numbers)
    return f"{low} to {high}" if low < high else str(low)


def plural(count: int, word: str) -> str:
    """Write a count with its noun: `1 case`, `3 cases`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
