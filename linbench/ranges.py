"""The grid grammar: `512..65536` doubles, `A..B*4` multiplies, `A..B+1024` adds, commas join."""

import re

from linbench.errors import UsageError
from linbench.run.case import KPerLayer, k_at

_RANGE = re.compile(r"(\d+)\.\.(\d+)(?:([*+])(\d+))?")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgt]?)i?b)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")
MOST = 10_000
GRAMMAR = "a number, A..B (doubling), A..B*4, A..B+1024, or several joined by commas"


def integers(text: str, what: str) -> list[int]:
    """Read a list or range of positive integers, for instance `512..4096,10000`, each once.

    Args:
        text: What the user wrote.
        what: The flag it belongs to, for the error.

    Raises:
        UsageError: not of the grammar, empty, inverted, or not positive.
    """
    values: list[int] = []
    for item in _items(text, what):
        if item.isdecimal():
            values.append(int(item))
        elif match := _RANGE.fullmatch(item):
            values += _expand(*match.groups(), item=item, what=what)
        else:
            raise UsageError(f"{what} '{item}' is not a size, expected {GRAMMAR}")
    if min(values) < 1:
        raise UsageError(f"{what} '{text}' has the value {min(values)}, expected at least 1")
    return list(dict.fromkeys(values))


def _items(text: str, what: str) -> list[str]:
    items = [item.strip() for item in text.split(",")]
    if not all(items):
        raise UsageError(f"{what} '{text}' is empty or has an empty item, expected {GRAMMAR}")
    return items


def _expand(
    first: str, last: str, operator: str | None, operand: str | None, *, item: str, what: str
) -> list[int]:
    start, stop, step = int(first), int(last), int(operand or 2)
    if start > stop:
        raise UsageError(
            f"{what} '{item}' is inverted and holds no value; write it as {stop}..{start}"
        )
    if start < 1 or step < (1 if operator == "+" else 2):
        raise UsageError(
            f"{what} '{item}' would never end, expected a start of at least 1, "
            "a factor of at least 2 or an increment of at least 1"
        )
    values = [start]
    while (start := start + step if operator == "+" else start * step) <= stop:
        values.append(start)
        if len(values) > MOST:
            raise UsageError(f"{what} '{item}' holds more than {MOST} values; take a larger step")
    return values


def k_values(text: str) -> list[str]:
    """Split `--k` into rules for `resolve_k`: `128`, `n/4`, `256/128/64` (per layer), `256:64`."""
    rules: list[str] = []
    for item in _items(text, "--k"):
        if re.fullmatch(r"n/[1-9]\d*|[1-9]\d*(/[1-9]\d*)+|[1-9]\d*:[1-9]\d*", item):
            rules.append(item)
        elif re.fullmatch(r"[\d.*+]+", item):
            rules += map(str, integers(item, "--k"))
        else:
            raise UsageError(
                f"--k '{item}' is not a projected dimension, expected {GRAMMAR}, n/4, or per layer "
                "256/128/64 or 256:64"
            )
    return list(dict.fromkeys(rules))


def resolve_k(rule: str, n: int, layers: int) -> tuple[KPerLayer, str | None]:
    """Return k for one n and depth, and the rule to keep in the case (None for a plain number)."""
    if rule.isdecimal():
        return int(rule), None
    if rule.startswith("n/"):
        return k_at(int(rule.removeprefix("n/")), n), rule
    if "/" in rule:
        per_layer = tuple(map(int, rule.split("/")))
        if len(per_layer) != layers:
            raise UsageError(
                f"--k '{rule}' names {len(per_layer)} layers, but --layers is {layers}; "
                f"add --layers {len(per_layer)} --scope encoder"
            )
        return per_layer, None
    first, last = map(int, rule.split(":"))
    if layers < 2:
        raise UsageError(
            f"--k '{rule}' runs from the first to the last layer, but --layers is {layers}; "
            "add --layers 4 --scope encoder, say"
        )
    step = (last - first) / (layers - 1)
    return tuple(round(first + step * layer) for layer in range(layers)), None


def seconds(text: str, what: str) -> float | None:
    """Read a duration such as `90s`, `5m`, `1h30m` or plain seconds; `none` means no limit."""
    if text.strip().lower() == "none":
        return None
    match = _DURATION.fullmatch(text.strip())
    hours, minutes, rest = (float(part or 0) for part in match.groups()) if match else (0, 0, 0)
    total = hours * 3600 + minutes * 60 + rest
    if match and text.strip() and not total:
        raise UsageError(f"{what} '{text}' must be positive, expected for instance 90s, 5m, 1h30m")
    if total <= 0:
        raise UsageError(
            f"{what} '{text}' is not a duration, expected for instance 90s, 5m, 1h30m, or none"
        )
    return total


def size(text: str, what: str) -> int:
    """Read a size of memory in bytes, for instance `16GB`, `512MiB`, or a plain number of bytes.

    Prefixes are powers of 1024 with and without the i, as memory is sold: a card of 16 GB holds
    16 GiB (JEDEC 100B.01).
    """
    match = _SIZE.fullmatch(text.strip())
    power = " kmgt".index((match[2] or " ").lower()) if match else 0
    count = int(float(match[1]) * 1024**power) if match else 0
    if count < 2**20:
        raise UsageError(
            f"{what} '{text}' is not a memory of at least 1 MB, expected for instance 16GB or 8GiB"
        )
    return count


def fraction(text: str, what: str) -> float:
    """Read a fraction such as `3%` or `0.03`."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise UsageError(f"{what} '{text}' is not a fraction, expected for instance 3% or 0.03")
    return value
