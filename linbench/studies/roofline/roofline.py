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

import numpy as np

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
    """What a machine reached in one run for one dtype: its best product and copy, by round."""

    flops_per_s: dict[int, float]
    bytes_per_s: dict[int, float]

    @property
    def gemm(self) -> Interval:
        """Operations per second: the typical round with its interval."""
        return intervals.location(np.log([*self.flops_per_s.values()])).exp()

    @property
    def copy(self) -> Interval:
        """Bytes per second: the typical round with its interval."""
        return intervals.location(np.log([*self.bytes_per_s.values()])).exp()

    def least_s(self, costs: Counts | Costs) -> dict[int, float]:
        """Return the least time of a call on the machine of each round, in seconds."""
        return {
            index: max(costs.flops / rate, costs.bytes_moved / self.bytes_per_s[index])
            for index, rate in self.flops_per_s.items()
        }


@dataclass(frozen=True)
class RooflinePoint:
    """One case held against the machine, as far as its peak memory and a roof were measured.

    `share` is attainable time over measured time, within rounds. Above 1, data stayed in caches,
    which are faster than the copy, or the product was measured in a slow moment. `bound` is what
    the attainable time is made of.
    """

    key: Case
    n: int
    costs: Counts | Costs
    time: Interval  # seconds of a call
    peak_bytes: Interval | None
    share: Interval | None
    bound: Bound | None

    @property
    def tokens_per_s(self) -> float:
        """Tokens of the batch over the time of a call."""
        return (self.key.at(self.n).batch or 0) * self.n / self.time.value


@dataclass(frozen=True)
class PanelRoofline:
    """The cases of one panel whose costs are known, and what the machine reached, if measured."""

    panel: Panel
    points: tuple[RooflinePoint, ...]
    roof: Roof | None


def rooflines_of(runs: Runs) -> list[PanelRoofline]:
    """Hold every measured case whose costs are known against the machine, by panel."""
    roofs = roofs_of(runs)
    peaks = {(series.run_id, series.key): series for series in runs.series(MEMORY.name)}
    counted = {
        (run.run_id, record.case.key("seq", "seed"), record.case.seq): record.detail.costs
        for run, record in runs.records
        if record.detail.costs
    }
    found = []
    for panel, of_panel in panels_of(runs.series(TIME.name)).items():
        roof = roofs.get((panel.run_id, panel.problem.device, panel.problem.dtype))
        points = tuple(
            _point(series, n, costs, roof, peaks.get((panel.run_id, series.key)))
            for series in of_panel
            for n in series.sizes
            if (costs := counted.get((panel.run_id, series.key, n)) or _counted(series.key, n))
        )
        if points:
            found.append(PanelRoofline(panel, points, roof))
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
    return RooflinePoint(
        key=series.key,
        n=n,
        costs=costs,
        time=series.point(n).value,
        peak_bytes=peaks.point(n).value if peaks and n in peaks.sizes else None,
        share=_share(series.logs(n), roof.least_s(costs)) if roof else None,
        bound=_bound(costs, roof) if roof else None,
    )


def _share(took: dict[int, float], least_s: dict[int, float]) -> Interval:
    """Return the least time over the time taken; a round without a roof takes the usual one."""
    least = {index: math.log(seconds) for index, seconds in least_s.items()}
    usual = statistics.median(least.values())
    return intervals.location([least.get(index, usual) - log for index, log in took.items()]).exp()


def _bound(costs: Counts | Costs, roof: Roof) -> Bound:
    arithmetic = costs.flops / roof.gemm.value >= costs.bytes_moved / roof.copy.value
    return "arithmetic" if arithmetic else "memory"
