"""How much the machine's speed moved from round to round of a run."""

import math
import statistics
from collections.abc import Iterable

from linbench.run.runs import Series


def by_round(series: Iterable[Series]) -> dict[int, float]:
    """Return the relative speed of each round: 0.02 is a round 2 % slower than usual.

    Every case of these time series of one run is held against its own median over rounds; a round's
    value is the median over the cases it visited. Since each round visits its cases in random
    order, drift widens intervals and does not tilt slopes.
    """
    off: dict[int, list[float]] = {}
    for one in series:
        for n in one.sizes:
            logs = one.logs(n)
            for round_, value in logs.items():
                off.setdefault(round_, []).append(value - statistics.median(logs.values()))
    return {round_: math.expm1(statistics.median(values)) for round_, values in sorted(off.items())}
