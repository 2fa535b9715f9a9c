"""Cost against the machine: the share of the attainable speed that a case reached, and its bound.

The roofline model: a call of W operations that must move Q bytes takes at least max(W / G, Q / B)
on a machine that multiplies matrices at G operations and copies at B bytes per second (Williams,
Waterman, Patterson 2009, DOI 10.1145/1498765.1498785). W and Q are counted
(`linbench.attention.costs`), G and B measured in the same run, once a round.
"""

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from linbench.analysis import stats
from linbench.analysis.counts import costs_of
from linbench.analysis.series import TASK, Series, Setup, rows_of, series_of, setup_of
from linbench.analysis.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

Bound = Literal["arithmetic", "memory"]


@dataclass(frozen=True)
class Roof:
    """What a machine reached in one run for one dtype, by round.

    Attributes:
        flops_per_s: Operations per second of the best matrix product of each round.
        bytes_per_s: Bytes per second of the best copy of each round.
    """

    flops_per_s: dict[int, float]
    bytes_per_s: dict[int, float]

    @property
    def gemm(self) -> Interval:
        """Operations per second: the typical round with its interval."""
        return stats.location([math.log(x) for x in self.flops_per_s.values()]).exp()

    @property
    def copy(self) -> Interval:
        """Bytes per second: the typical round with its interval."""
        return stats.location([math.log(x) for x in self.bytes_per_s.values()]).exp()

    def least_s(self, flops: float, moved: float) -> dict[int, float]:
        """Return the least time of a call on the machine of each round, in seconds."""
        return {
            index: max(flops / rate, moved / self.bytes_per_s[index])
            for index, rate in self.flops_per_s.items()
        }


@dataclass(frozen=True)
class Placed:
    """One case held against the machine.

    Attributes:
        setup: The configuration.
        n: Sequence length.
        flops: Operations counted.
        bytes_moved: The least bytes to be read and written, counted.
        parameters: Trained parameters that take part.
        time: Seconds of a call.
        tokens_per_s: Tokens of the batch over that time.
        peak_bytes: Peak memory of a call, None where not measured.
        share: Attainable time over measured time, within rounds; None without a roof. Above 1,
            data stayed in caches, which are faster than the copy, or the product that `bound` is
            about was measured in a slow moment.
        bound: What the attainable time is made of: `arithmetic` or `memory`.
    """

    setup: Setup
    n: int
    flops: int
    bytes_moved: int
    parameters: int
    time: Interval
    tokens_per_s: float
    peak_bytes: Interval | None
    share: Interval | None
    bound: Bound | None


def roofs_of(frame: "pd.DataFrame") -> dict[tuple[str, str, str], Roof]:
    """Return the roof of each (run_id, device, dtype) that has one.

    Args:
        frame: What `linbench.record.load` returns.
    """
    roofs: dict[tuple[str, str, str], Roof] = {}
    for row in frame.to_dict("records"):
        found = row["ceilings"] or {}
        if found.get("gemm_seconds") and found.get("copy_seconds"):
            key = (str(row["run_id"]), str(row["device"]), str(row["dtype"]))
            roof = roofs.setdefault(key, Roof({}, {}))
            index = int(row["round"])
            roof.flops_per_s[index] = found["gemm_flops"] / min(found["gemm_seconds"])
            roof.bytes_per_s[index] = found["copy_bytes"] / min(found["copy_seconds"])
    return roofs


def place(frame: "pd.DataFrame") -> list[Placed]:
    """Hold every measured case whose costs are known against the machine.

    Args:
        frame: What `linbench.record.load` returns, of one run or several.

    Returns:
        The cases in the order of their series, by n.
    """
    roofs = roofs_of(frame)
    peaks = {one.setup: one for one in series_of(frame, "memory")}
    counted: dict[tuple[Setup, int], dict[str, Any]] = {  # a setup is of one run
        (setup_of(row), int(row["seq"])): row["costs"]
        for row in rows_of(frame)
        if row["costs"] and row["task"] == TASK
    }
    found = []
    for series in series_of(frame, "time"):
        setup = series.setup
        roof = roofs.get((setup.run_id, setup.device, setup.dtype))
        for n in series.sizes:
            costs = counted.get((setup, n)) or _counted(setup, n)
            if costs is not None:
                found.append(_placed(series, n, costs, roof, peaks.get(setup)))
    return found


def _counted(setup: Setup, n: int) -> dict[str, Any] | None:
    """Count what a record of an earlier linbench does not hold."""
    costs = costs_of(setup, n)
    return None if costs is None else vars(costs)


def _placed(
    series: Series, n: int, costs: dict[str, Any], roof: Roof | None, peaks: Series | None
) -> Placed:
    time = series.point(n).value
    setup = series.setup
    flops, moved = int(costs["flops"]), int(costs["bytes_moved"])
    return Placed(
        setup=setup,
        n=n,
        flops=flops,
        bytes_moved=moved,
        parameters=int(costs["parameters"]),
        time=time,
        tokens_per_s=setup.batch_at(n) * n / time.value,
        peak_bytes=peaks.point(n).value if peaks and n in peaks.sizes else None,
        share=_share(series.logs(n), roof.least_s(flops, moved)) if roof else None,
        bound=_bound(flops, moved, roof) if roof else None,
    )


def _share(took: dict[int, float], least_s: dict[int, float]) -> Interval:
    """Return the least time over the time taken; a round without a roof takes the usual one."""
    usual = statistics.median(math.log(x) for x in least_s.values())
    least = {index: math.log(least_s[index]) if index in least_s else usual for index in took}
    return stats.location([least[index] - took[index] for index in took]).exp()


def _bound(flops: int, moved: int, roof: Roof) -> Bound:
    return "arithmetic" if flops / roof.gemm.value >= moved / roof.copy.value else "memory"
