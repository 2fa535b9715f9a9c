"""How precisely a case is known: the widest interval of what scatters between its rounds."""

import math
import statistics
from collections.abc import Sequence

from linbench.run.metrics import Metric
from linbench.run.record import Record
from linbench.stats.intervals import half_width, quantile


def widest(metrics: Sequence[Metric], records: Sequence[Record]) -> float:
    """Return the widest relative interval of some metrics, infinite where there is none."""
    values = {
        metric: [value for record in records if (value := record.value(metric.name)) is not None]
        for metric in metrics
    }
    widths = (_relative(metric, own) for metric, own in values.items() if own)
    return max(widths, default=math.inf)


def _relative(metric: Metric, values: Sequence[float]) -> float:
    """Return the half-width of a 95 % interval, relative to the typical value."""
    if metric.scale == "log":
        return half_width([value for value in values if value > 0])
    if len(values) < 2:
        return math.inf
    half = quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = abs(statistics.fmean(values))
    return half / mean if mean else math.inf
