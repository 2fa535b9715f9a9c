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
    """Raw samples and how they were taken."""

    seconds: list[float]  # per call, none dropped, in the order taken
    warmup_calls: int  # before the first sample, in the same process
    steady: bool | None  # whether the warm-up became steady before its cap; None without one
    calls_per_sample: int  # more than one where a single call is too short for the clock
    result: Any  # of the last call


def sample(
    call: Callable[[], object],
    first_call_s: float,
    clock: Callable[[], float] = time.perf_counter,
) -> Samples:
    """Warm up and time a call on the CPU, the garbage collector off.

    `first_call_s` is the time of a call made before in this process: where it is longer than a
    second, that call was the warm-up.
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
    if first_call_s > LONG_CALL_S:
        return [], None
    warm: list[float] = []
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
