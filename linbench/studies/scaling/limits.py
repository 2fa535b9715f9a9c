"""The largest n whose memory fits a machine: measured, and predicted beyond what was measured."""

from linbench.run.shape import costs_of
from linbench.studies.scaling.growth import MIN_SIZES, Scaling

_LARGEST = 2**40


def largest_n(memory: Scaling, limit_bytes: float) -> tuple[int, str] | None:
    """Return the largest power of two n that fits a memory with weights and inputs, and how known.

    Args:
        memory: The scaling of a series' peak memory.
        limit_bytes: The memory there is.

    Returns:
        n and `measured`, where it is the largest n measured, or `predicted by` the law of the
        measured peaks; None where no law describes these, or they were too few to refute one.
    """
    sizes = memory.series.sizes
    if len(sizes) < MIN_SIZES or memory.laws[0].misfit > 0.1:
        return None
    law, n = memory.laws[0], 1 << (sizes[-1].bit_length() - 1)
    while n < _LARGEST:
        counted = costs_of(memory.series.key.at(2 * n))
        resident = counted.weights_bytes + counted.inputs_bytes if counted else 0
        if law.cost(2 * n) + resident > limit_bytes:
            break
        n *= 2
    return (sizes[-1], "measured") if n <= sizes[-1] else (n, f"predicted by {law.name}")
