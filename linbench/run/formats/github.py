"""Entries of github-action-benchmark's tool `customSmallerIsBetter`."""

import json

from linbench import words
from linbench.run.formats.values import Values
from linbench.run.metrics import Metric
from linbench.run.record import Header
from linbench.run.runs import Point
from linbench.stats.interval import Interval

_UNITS = {"s": ("ms", 1e3), "byte": ("bytes", 1.0)}


def github(measured: Values, header: Header) -> str:
    """Write an entry for each case and metric of which less is better, see `split`.

    `range` is half the interval's width, `extra` has its ends.
    """
    where = header.measured_on or "unknown"
    entries = [
        _entry(case_id, metric, point, where)
        for case_id, points in measured.items()
        for metric, point in points.items()
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def split(measured: Values) -> tuple[Values, list[str]]:
    """Return the values that have a place there, and the names of the metrics that have none."""
    found: Values = {}
    more: dict[str, None] = {}
    for case_id, points in measured.items():
        for metric, point in points.items():
            if metric.better == "less":
                found.setdefault(case_id, {})[metric] = point
            else:
                more[metric.name] = None
    return found, list(more)


def _entry(case_id: str, metric: Metric, point: Point, where: str) -> dict[str, object]:
    (unit, scale), value = _UNITS.get(metric.unit, (metric.unit, 1.0)), point.value
    entry: dict[str, object] = {
        "name": f"{case_id} {metric.name}", "unit": unit, "value": value.value * scale,
    }  # fmt: skip
    if value.low is not None and value.high is not None:
        entry["range"] = f"± {(value.high - value.low) / 2 * scale:.9f}"
    said = f"rounds: {point.rounds}\nmachine: {where}"
    entry["extra"] = f"95 %: {_ends(value, scale)} {unit}".rstrip() + f"\n{said}"
    return entry


def _ends(interval: Interval, scale: float) -> str:
    if interval.low is None or interval.high is None:
        return "unknown"
    low, high = (words.digits(end * scale, 4) for end in (interval.low, interval.high))
    return f"{low} to {high}"
