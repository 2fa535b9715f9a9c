"""Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format)."""

import json
from collections.abc import Mapping

from linbench.run.formats.values import Values
from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.run.runs import Point
from linbench.stats.interval import Interval

Measures = dict[str, dict[str, float]]


def bmf(measured: Values) -> str:
    """Write the values of a run.

    Measures: of time `latency` in nanoseconds and `throughput` in calls per second, which Bencher
    knows; of memory `peak-memory` in bytes; any other metric under its name, in its unit. No
    interval, no bounds.
    """
    found = {case_id: _measures(points) for case_id, points in measured.items()}
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def _measures(points: Mapping[Metric, Point]) -> Measures:
    found: Measures = {}
    for metric, point in points.items():
        if metric == TIME:
            found["latency"] = _bounds(point.value, 1e9)
            found["throughput"] = _bounds(point.value.under(1.0))
        else:
            found["peak-memory" if metric == MEMORY else metric.name] = _bounds(point.value)
    return found


def _bounds(interval: Interval, scale: float = 1.0) -> dict[str, float]:
    named = {"value": interval.value, "lower_value": interval.low, "upper_value": interval.high}
    return {name: value * scale for name, value in named.items() if value is not None}
