"""Why cases of a sweep were skipped: one line for all that share a cause, with what would do."""

import math
from collections.abc import Callable, Iterable, Sequence

from linbench import words
from linbench.run.case import Case
from linbench.tasks import Prediction

SLACK = 1.15
"""How much longer than predicted all that is begun may take and still get its sure rounds."""

Found = Sequence[tuple[Case, Prediction]]
Cause = Callable[[Found], str]


def explained(
    rows: Iterable[tuple[Case, Prediction, Cause | None]],
) -> list[tuple[Case, Prediction, str | None]]:
    """Put the reason in place of the cause, the same for all that share it."""
    causes: dict[Cause | None, list[tuple[Case, Prediction]]] = {}
    for case, prediction, cause in rows:
        causes.setdefault(cause, []).append((case, prediction))
    return [
        (*pair, reason)
        for cause, found in causes.items()
        for reason in (cause and cause(found),)
        for pair in found
    ]


def over_memory(found: Found, free_bytes: float) -> str:
    """Say that no place has the memory."""
    sizes = _span([prediction.memory_bytes or 0.0 for _, prediction in found], "byte")
    free = words.quantity(free_bytes, "byte")
    return f"predicted memory {sizes} exceeds the {free} that are free"


def over_timeout(found: Found, timeout_s: float, versions: int) -> str:
    """Say that a round of one version takes longer than it may."""
    rounds_s = [prediction.round_s / versions for _, prediction in found]
    return (
        f"predicted rounds of {_span(rounds_s, 's')} exceed --case-timeout {timeout_s:g}s; "
        f"--case-timeout {math.ceil(SLACK * max(rounds_s))}s would do"
    )


def over_budget(found: Found, sure: int, budget_s: float, enough_s: int) -> str:
    """Say that the budget does not hold the sure rounds."""
    each = _span([prediction.round_s for _, prediction in found], "s")
    return (
        f"{words.plural(sure, 'round')} of {each} each (predicted) did not fit "
        f"--budget {budget_s:g}s; --budget {enough_s}s would do"
    )


def _span(values: Sequence[float], unit: str) -> str:
    low, high = words.quantity(min(values), unit), words.quantity(max(values), unit)
    return low if low == high else f"{low} to {high}"
