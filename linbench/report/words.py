"""How quantities are written: the same in sentences, tables and on axes."""

from collections.abc import Iterable

from linbench.analysis.numbers import digits, ends
from linbench.analysis.stats import Interval

_TIMES = (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
_SIZES = (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10), ("B", 1.0))
_RATES = (("G/s", 1e9), ("M/s", 1e6), ("k/s", 1e3), ("/s", 1.0))
SCALES: dict[str, float] = dict(
    (*_TIMES, *_SIZES, *_RATES, ("J", 1.0), ("%", 0.01), ("\N{MULTIPLICATION SIGN}", 1.0))
)
"""What a number is multiplied by for the unit behind it."""


def seconds(value: float) -> str:
    """Write a time with its unit: `12.3 ms`."""
    return _with_unit(value, _TIMES[2:] if value < 600 else _TIMES)


def size(value: float) -> str:
    """Write a number of bytes with its unit: `1.50 MiB`."""
    return _with_unit(value, _SIZES)


def _with_unit(value: float, units: Iterable[tuple[str, float]]) -> str:
    name, scale = "", 1.0
    for name, scale in units:  # noqa: B007 (the last unit is kept on purpose)
        if value >= scale:
            break
    return f"{digits(value / scale)} {name}"


def quantity(value: float, metric: str) -> str:
    """Write a value of a metric with its unit."""
    if metric == "time":
        return seconds(value)
    if metric == "tokens":
        return _with_unit(value, _RATES)
    return size(value) if metric == "memory" else f"{digits(value)} J"


def with_interval(interval: Interval, metric: str) -> str:
    """Write a value of a metric with its interval, all in the unit of the value."""
    number, unit = quantity(interval.value, metric).split(" ")
    if interval.low is not None and interval.low == interval.high:
        return f"{number} {unit} (exact)"
    scale = interval.value / float(number) if float(number) else 1.0
    return f"{number}{ends(interval, scale)} {unit}"


def short_seconds(value: float) -> str:
    """Write a time short, for axes: `20 ms`."""
    return _short(value, _TIMES[2:])


def short_size(value: float) -> str:
    """Write a number of bytes short, for axes: `64 KiB`."""
    return _short(value, _SIZES)


def short_rate(value: float) -> str:
    """Write a number per second short, for axes: `200 k/s`."""
    return _short(value, _RATES)


def _short(value: float, units: Iterable[tuple[str, float]]) -> str:
    name, scale = "", 1.0
    for name, scale in units:  # noqa: B007 (the last unit is kept on purpose)
        if value >= scale * 0.999:
            break
    return f"{value / scale:.4g} {name}"


def tokens(n: float) -> str:
    """Write a sequence length short, for axes: `512`, `1k`, `64k`, `1500`."""
    whole = round(n)
    return f"{whole // 1024}k" if whole >= 1024 and whole % 1024 == 0 else str(whole)


def times(value: float) -> str:
    """Write a factor for an axis: 1/64, ½, 1 or 16 with a multiplication sign."""
    fractions = {0.5: "½", 0.25: "¼", 0.125: "⅛"}
    inverse = round(1 / value)
    small = f"1/{inverse}" if value < 0.1 and value * inverse == 1 else f"{value:g}"
    return f"{fractions.get(value) or small}\N{MULTIPLICATION SIGN}"


def listed(words: Iterable[object]) -> str:
    """Join words as in a sentence: `a, b and c`."""
    items = [str(word) for word in words]
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def plural(count: int, word: str) -> str:
    """Write a count with its noun: `1 case`, `3 cases`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def grouped(sentences: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Put under each sentence that ends in a colon those that follow it, up to the next such."""
    groups: list[tuple[str, list[str]]] = []
    for sentence in sentences:
        if groups and groups[-1][0].endswith(":") and not sentence.endswith(":"):
            groups[-1][1].append(sentence)
        else:
            groups.append((sentence, []))
    return groups
