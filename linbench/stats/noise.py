"""The noise floor of a machine: the smallest difference that an A/A test says it can resolve."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linbench.stats import intervals
from linbench.stats.interval import Interval


@dataclass(frozen=True)
class Floor:
    """What measuring the same thing twice, pair by pair, tells of a machine."""

    pairs: int
    spread: float
    """Robust standard deviation of a pair's log ratio (1.4826 times the median absolute deviation):
    that of a quiet pair."""
    worst: float
    """Largest ratio within a pair, at least 1: how far bursts go."""
    ratio: Interval
    """Second over first of all pairs; the truth is 1."""
    resolves: dict[int, float]
    """By number of rounds, the smallest relative difference of two cases that their interval tells
    from none: half its width, by Student's t, from the plain standard deviation with bursts."""


def floor(
    first: Sequence[float], second: Sequence[float], rounds: Sequence[int] = (3, 5, 10, 20, 40)
) -> Floor:
    """Judge pairs of times in which nothing differed.

    Args:
        first: A time in seconds for each pair.
        second: The other time of each pair.
        rounds: For how many rounds to say what can be resolved.
    """
    logs = np.log(np.asarray(second, dtype=float)) - np.log(np.asarray(first, dtype=float))
    deviation = float(np.std(logs, ddof=1))
    return Floor(
        pairs=len(logs),
        spread=1.4826 * float(np.median(np.abs(logs - np.median(logs)))),
        worst=float(np.exp(np.max(np.abs(logs)))),
        ratio=intervals.location(logs).exp(),
        resolves={
            count: math.expm1(intervals.quantile(count - 1) * deviation / math.sqrt(count))
            for count in rounds
        },
    )
