"""Time of one call: warm-up until steady, then samples long enough for the clock."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

CLOCK_FLOOR_S = 50e-6
"""A sample shorter than this holds several calls: 1000 times what the clock resolves (≈ 50 ns)."""

TARGET_S = 0.15
"""Time spent sampling in one round. Rounds, not calls, are the independent unit: few calls do."""

MIN_SAMPLES = 3
LONG_CALL_S = 1.0
"""Calls longer than this are sampled once a round."""

WARM_UP_S = 0.2
STEADY = 0.05
"""Warm-up ends when a call is within 5 % of the median of the three before it, or at its cap."""


@dataclass(frozen=True)
class Samples:
    """Raw samples and how they were taken.

    Attributes:
        seconds: Per call, none dropped, in the order taken.
        warmup_calls: Calls before the first sample, in the same process.
        steady: Whether the warm-up became steady before its cap; None where there was none.
        calls_per_sample: More than one where a single call is too short for the clock.
        result: What the last call returned.
    """

    seconds: list[float]
    warmup_calls: int
    steady: bool | None
    calls_per_sample: int
    result: Any


def sample(
    call: Callable[[], object],
    first_call_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Warm up and time a call on the CPU, the garbage collector off.

    Args:
        call: What to time, without arguments.
        first_call_s: Time of a call made before in this process, in seconds.
        clock: A monotonic clock, in seconds.

    Returns:
        The samples. A call longer than a second is taken as warm after the one made before.
    """
    was_enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        warm, steady = _warm_up(call, first_call_s, clock)
        typical = min(warm[-3:], default=first_call_s)
        inner = max(1, round(CLOCK_FLOOR_S / max(typical, 1e-9)))
        seconds: list[float] = []
        result: object = None
        end = clock() + TARGET_S
        while not seconds or (
            (len(seconds) < MIN_SAMPLES or clock() < end) and seconds[-1] * inner < LONG_CALL_S
        ):
            result = None  # as in a loop of a program: the last output is gone before the next call
            start = clock()
            for _ in range(inner):
                result = call()
            seconds.append((clock() - start) / inner)
        return Samples(seconds, len(warm), steady, inner, result)
    finally:
        if was_enabled:
            gc.enable()


def _warm_up(
    call: Callable[[], object], first_call_s: float, clock: Callable[[], float]
) -> tuple[list[float], bool | None]:
    warm: list[float] = []
    if first_call_s > LONG_CALL_S:
        return warm, None
    end = clock() + WARM_UP_S
    while True:
        start = clock()
        call()
        warm.append(clock() - start)
        before = warm[-4:-1]
        if len(before) == 3 and abs(warm[-1] / statistics.median(before) - 1) < STEADY:
            return warm, True
        if clock() > end:
            return warm, False
