"""The largest n whose memory fits a machine: measured, and predicted beyond what was measured."""

from dataclasses import dataclass
from typing import Literal

from linbench.run.shape import costs_of
from linbench.studies.scaling.analyse import Scaling
from linbench.studies.scaling.growth import MIN_SIZES

_LARGEST = 2**40


@dataclass(frozen=True)
class Limit:
    """The largest n that fits a given memory.

    Attributes:
        n: The largest power of two that fits.
        kind: `measured`, where it is the largest n measured; `predicted` by the law of the measured
            peaks, where it is beyond.
        model: The law behind the prediction.
    """

    n: int
    kind: Literal["measured", "predicted"]
    model: str


def largest_n(memory: Scaling, limit_bytes: float) -> Limit | None:
    """Predict the largest power of two n that fits a memory, with weights and inputs.

    Args:
        memory: The scaling of a series' peak memory.
        limit_bytes: The memory there is.

    Returns:
        None where no law describes the measured peaks, or they were too few to refute one.
    """
    if not memory.laws or len(memory.points) < MIN_SIZES:
        return None
    law = memory.laws[0]
    if law.misfit > 0.1:
        return None
    measured = memory.series.sizes[-1]
    n = 1 << (measured.bit_length() - 1)
    while n < _LARGEST:
        counted = costs_of(memory.series.key.at(2 * n))
        resident = counted.weights_bytes + counted.inputs_bytes if counted else 0
        if law.cost(2 * n) + resident > limit_bytes:
            break
        n *= 2
    if n <= measured:
        return Limit(measured, "measured", law.name)
    return Limit(n, "predicted", law.name)
