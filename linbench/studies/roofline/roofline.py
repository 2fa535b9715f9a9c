"""Cost against the machine: the share of the attainable speed that a case reached, and its bound.

The roofline model: a call of W operations that must move Q bytes takes at least max(W / G, Q / B)
on a machine that multiplies matrices at G operations and copies at B bytes per second (Williams,
Waterman, Patterson 2009, DOI 10.1145/1498765.1498785). W and Q are counted
(`linbench.attention.costs`), G and B measured in the same run, once a round.
"""

import math
import statistics
from dataclasses import dataclass
from typing import Literal

from linbench.attention import Costs
from linbench.run.case import DEFAULT_TASK, Case
from linbench.run.metrics import MEMORY, TIME
from linbench.run.record import Counts
from linbench.run.runs import Panel, Runs, Series, panels_of
from linbench.run.shape import costs_of
from linbench.stats import intervals
from linbench.stats.interval import Interval

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
        return intervals.location([math.log(x) for x in self.flops_per_s.values()]).exp()

    @property
    def copy(self) -> Interval:
        """Bytes per second: the typical round with its interval."""
        return intervals.location([math.log(x) for x in self.bytes_per_s.values()]).exp()

    def least_s(self, flops: float, moved: float) -> dict[int, float]:
        """Return the least time of a call on the machine of each round, in seconds."""
        return {
            index: max(flops / rate, moved / self.bytes_per_s[index])
            for index, rate in self.flops_per_s.items()
        }


@dataclass(frozen=True)
class RooflinePoint:
    """One case held against the machine.

    Attributes:
        key: The configuration.
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

    key: Case
    n: int
    flops: int
    bytes_moved: int
    parameters: int
    time: Interval
    tokens_per_s: float
    peak_bytes: Interval | None
    share: Interval | None
    bound: Bound | None


@dataclass(frozen=True)
class PanelRoofline:
    """The cases of one panel whose costs are known, and what the machine reached, if measured."""

    panel: Panel
    points: tuple[RooflinePoint, ...]
    roof: Roof | None


def rooflines_of(runs: Runs) -> list[PanelRoofline]:
    """Hold every measured case whose costs are known against the machine.

    Returns:
        The panels that have such a case, their points in the order of their series, by n.
    """
    roofs = roofs_of(runs)
    peaks = {(one.run_id, one.key): one for one in runs.series(MEMORY.name)}
    counted = {
        (run.run_id, record.case.key("seq", "seed"), record.case.seq): record.detail.costs
        for run, record in runs.records
        if record.detail.costs
    }
    found = []
    for panel, of_panel in panels_of(runs.series(TIME.name)).items():
        roof = roofs.get((panel.run_id, panel.problem.device, panel.problem.dtype))
        points = []
        for series in of_panel:
            own = series.run_id, series.key
            for n in series.sizes:
                costs = counted.get((*own, n)) or _counted(series.key, n)
                if costs is not None:
                    points.append(_point(series, n, costs, roof, peaks.get(own)))
        if points:
            found.append(PanelRoofline(panel, tuple(points), roof))
    return found


def roofs_of(runs: Runs) -> dict[tuple[str, str | None, str | None], Roof]:
    """Return the roof of each (run_id, device, dtype) that has one."""
    roofs: dict[tuple[str, str | None, str | None], Roof] = {}
    for run, record in runs.records:
        found = record.detail.ceilings
        if not found or not found.gemm_flops or not found.copy_bytes:
            continue
        if found.gemm_seconds and found.copy_seconds:
            key = (run.run_id, record.case.device, record.case.dtype)
            roof = roofs.setdefault(key, Roof({}, {}))
            roof.flops_per_s[record.round] = found.gemm_flops / min(found.gemm_seconds)
            roof.bytes_per_s[record.round] = found.copy_bytes / min(found.copy_seconds)
    return roofs


def _counted(key: Case, n: int) -> Costs | None:
    """Count what a record of an earlier linbench does not hold; other tasks call something else."""
    return costs_of(key.at(n)) if key.task == DEFAULT_TASK else None


def _point(
    series: Series, n: int, costs: Counts | Costs, roof: Roof | None, peaks: Series | None
) -> RooflinePoint:
    time = series.point(n).value
    flops, moved = costs.flops, costs.bytes_moved
    return RooflinePoint(
        key=series.key,
        n=n,
        flops=flops,
        bytes_moved=moved,
        parameters=costs.parameters,
        time=time,
        tokens_per_s=(series.key.at(n).batch or 0) * n / time.value,
        peak_bytes=peaks.point(n).value if peaks and n in peaks.sizes else None,
        share=_share(series.logs(n), roof.least_s(flops, moved)) if roof else None,
        bound=_bound(flops, moved, roof) if roof else None,
    )


def _share(took: dict[int, float], least_s: dict[int, float]) -> Interval:
    """Return the least time over the time taken; a round without a roof takes the usual one."""
    usual = statistics.median(math.log(x) for x in least_s.values())
    least = {index: math.log(least_s[index]) if index in least_s else usual for index in took}
    return intervals.location([least[index] - took[index] for index in took]).exp()


def _bound(flops: int, moved: int, roof: Roof) -> Bound:
    return "arithmetic" if flops / roof.gemm.value >= moved / roof.copy.value else "memory"
