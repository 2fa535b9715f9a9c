"""What exact operation counts predict, to hold measured slopes against."""

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from linbench.analysis.series import Metric, Setup
from linbench.attention import AttentionConfig, costs
from linbench.errors import UsageError
from linbench.ranges import resolve_k

_UNBOUNDED = 2**44
# where a window does not divide that n, so that counts cannot be taken there
_THEORY: dict[tuple[str, Metric], float] = {
    ("linformer", "time"): 1.0,
    ("linformer", "memory"): 1.0,
    ("linformer", "energy"): 1.0,
}
_ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@functools.lru_cache(maxsize=4096)
def costs_of(setup: Setup, n: int) -> costs.Costs | None:
    """Count operations and bytes of one call of a setup at n; None where the cost is not known."""
    if setup.impl not in costs.KNOWN:
        return None
    k = setup.k
    config = AttentionConfig(
        d_model=setup.d_model,
        num_heads=setup.heads,
        max_seq_len=n,
        num_layers=setup.layers,
        k=resolve_k(k, n, setup.layers)[0] if isinstance(k, str) else k,
        sharing=setup.sharing or "headwise",
        projection=setup.projection or "linear",
        order=setup.order or "auto",
    )
    return costs.count(
        setup.impl,
        config,
        n,
        batch=setup.batch_at(n),
        scope=setup.scope,
        mode=setup.mode,
        itemsize=_ITEMSIZE.get(setup.dtype, 4),
    )


def matrices_bytes(setup: Setup, n: int) -> int | None:
    """Return what E and F take, in bytes; None where they are no weights."""
    exact = costs_of(replace(setup, impl="sdpa", k=None), n)
    own = costs_of(setup, n)
    return None if own is None or exact is None else own.weights_bytes - exact.weights_bytes


def predicted_exponent(setup: Setup, metric: Metric, sizes: Sequence[int]) -> float | None:
    """Return the log-log slope of the counts over some sizes, None where they are not known.

    Operations of matrix products stand for time and energy, the counted peak for memory.
    """
    try:
        counted = [costs_of(setup, n) for n in sizes]
    except UsageError:  # a combination that cannot be built, such as k > n
        return None
    known = [c.peak_bytes if metric == "memory" else c.flops for c in counted if c is not None]
    if len(known) < len(sizes) or len(sizes) < 2 or min(known) <= 0:
        return None
    # as floats: the counts of an n without bound are beyond 64 bits
    slope, _ = np.polyfit(np.log(sizes), np.log(np.asarray(known, dtype=np.float64)), 1)
    return float(slope)


def expected_exponent(setup: Setup, metric: Metric) -> float | None:
    """Return the exponent that theory gives for n without bound, None where it is not known.

    It is what the exact counts come to: exact attention does O(n²) work, and stores the n by n
    matrix only where it is written out. Linformer is O(nk) (Wang et al. 2020, arXiv 2006.04768), so
    quadratic again in time where k follows n; its memory then is so only where gradients of E and F
    are held, since resident weights are not part of a call's peak. At a fixed number of tokens the
    batch shrinks as 1/n, which takes one from every exponent.
    """
    alone = replace(setup, tokens=None, batch=1)
    slope = predicted_exponent(alone, metric, (_UNBOUNDED, 4 * _UNBOUNDED))
    if slope is None:
        slope = _THEORY.get((setup.impl, metric))
    if slope is None:
        return None
    return float(round(slope)) - (1.0 if setup.tokens else 0.0)


def needed_n(setup: Setup, metric: Metric, expected: float, n_max: int) -> int | None:
    """Return the largest n that a tail needs for the counts to grow within 10 % as theory expects.

    Args:
        setup: What was measured.
        metric: What is counted.
        expected: The exponent for n without bound.
        n_max: Where to begin: the largest n measured.

    Returns:
        `n_max` times a power of two; None where costs are not known, or never do.
    """
    for n in (n_max << i for i in range(24)):
        slope = predicted_exponent(setup, metric, (n // 4, n // 2, n))
        if slope is None:
            return None
        if abs(slope - expected) <= 0.1 * expected:
            return n
    return None
