"""What exact operation counts predict, to hold measured slopes against."""

from collections.abc import Sequence

import numpy as np

from linbench.run.case import Case
from linbench.run.metrics import ENERGY, MEMORY, TIME, Metric
from linbench.run.shape import costs_of, unbounded

_COUNTED = {TIME.name: "flops", ENERGY.name: "flops", MEMORY.name: "peak_bytes"}
"""What is counted of a metric, as the costs call it: operations of matrix products for time."""


def predicted_exponent(key: Case, metric: Metric, sizes: Sequence[int]) -> float | None:
    """Return the log-log slope of the counts over some sizes, None where they are not known."""
    if metric.name not in _COUNTED:
        return None
    known = filter(None, (costs_of(key.at(n)) for n in sizes))
    counts = [getattr(costs, _COUNTED[metric.name]) for costs in known]
    if len(counts) < max(2, len(sizes)) or min(counts) <= 0:
        return None
    # as floats: the counts of an n without bound are beyond 64 bits
    slope, _ = np.polyfit(np.log(sizes), np.log(np.asarray(counts, dtype=np.float64)), 1)
    return float(slope)


def expected_exponent(key: Case, metric: Metric) -> float | None:
    """Return the exponent that theory gives for n without bound, None where it is not known.

    It is what the exact counts come to: exact attention does O(n²) work, and stores the n by n
    matrix only where it is written out. Linformer is O(nk) (Wang et al. 2020, arXiv 2006.04768), so
    quadratic again in time where k follows n; its memory then is so only where gradients of E and F
    are held, since resident weights are not part of a call's peak. At a fixed number of tokens the
    batch shrinks as 1/n, which takes one from every exponent.
    """
    alone = key.model_copy(update={"tokens": None, "batch": 1})
    far = unbounded(alone)
    slope = predicted_exponent(alone, metric, (far, 4 * far))
    if slope is None:
        return None
    return float(round(slope)) - (1.0 if key.tokens else 0.0)


def needed_n(key: Case, metric: Metric, n_max: int) -> int | None:
    """Return the largest n that a tail needs for the counts to grow within 10 % as theory expects.

    It is `n_max`, the largest n measured, times a power of two; None where costs are not known, or
    never grow so.
    """
    expected = expected_exponent(key, metric)
    for n in (n_max << i for i in range(24)):
        slope = predicted_exponent(key, metric, (n // 4, n // 2, n))
        if slope is None or expected is None:
            return None
        if abs(slope - expected) <= 0.1 * expected:
            return n
    return None
