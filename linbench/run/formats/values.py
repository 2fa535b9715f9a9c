"""The typical value of each case with its interval, as Bencher and github-action-benchmark take it.

Values are those of `linbench compare`: per case, the median over its rounds with a 95 % interval
that takes rounds as independent.
"""

import json
from dataclasses import replace

from linbench import words
from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.run.record import Header
from linbench.run.runs import Point, Run, Runs, failure_record, series_by_case
from linbench.stats.interval import Interval

Values = dict[str, dict[Metric, Point]]

_BMF = {"value": "value", "low": "lower_value", "high": "upper_value"}
_GITHUB_UNITS = {"s": ("ms", 1e3), "byte": ("bytes", 1.0)}


def values(run: Run) -> Values:
    """Return what was measured, by case and metric; a case that was ever wrong has no values."""
    found: Values = {}
    for metric in Runs((run,)).metrics:
        for case_id, series in series_by_case(run, metric.name).items():
            (point,) = series.points()
            if metric.unit == "byte":  # without what taking logarithms left behind the point
                known = {end: float(round(value)) for end, value in scaled(point.value).items()}
                point = replace(point, value=Interval(**known))
            found.setdefault(case_id, {})[metric] = point
    return found


def left_out(run: Run, measured: Values) -> dict[str, str]:
    """Return the cases without values, and why."""
    found = {}
    for case_id, records in run.by_case().items():
        if case_id not in measured:
            why = failure_record(records)
            nothing = "nothing above 0 was measured"
            found[case_id] = nothing if why.status == "ok" else why.failure
    return found


def scaled(interval: Interval, scale: float = 1.0) -> dict[str, float]:
    """Return `value`, `low` and `high` in another unit, those that are known."""
    ends = {"value": interval.value, "low": interval.low, "high": interval.high}
    return {end: value * scale for end, value in ends.items() if value is not None}


def bmf(measured: Values) -> str:
    """Write Bencher Metric Format (https://bencher.dev/docs/reference/bencher-metric-format).

    Time becomes the measures that Bencher knows: `latency` in nanoseconds and `throughput` in calls
    per second. Memory is `peak-memory` in bytes, any other metric has its name and unit.
    """
    found: dict[str, dict[str, dict[str, float]]] = {}
    for case_id, points in measured.items():
        measures = {}
        for metric, point in points.items():
            if metric == TIME:
                measures["latency"] = scaled(point.value, 1e9)
                measures["throughput"] = scaled(point.value.under(1.0))
            else:
                measures["peak-memory" if metric == MEMORY else metric.name] = scaled(point.value)
        found[case_id] = {
            name: {_BMF[end]: value for end, value in ends.items()}
            for name, ends in measures.items()
        }
    return json.dumps(found, indent=2, allow_nan=False) + "\n"


def github(measured: Values, header: Header) -> str:
    """Write entries of github-action-benchmark's tool `customSmallerIsBetter`.

    There is one for each case and metric of which less is better. `range` is half the interval's
    width, `extra` has its ends.
    """
    entries = [
        _entry(f"{case_id} {metric.name}", metric.unit, point, header.measured_on or "unknown")
        for case_id, points in measured.items()
        for metric, point in points.items()
        if metric.better == "less"
    ]
    return json.dumps(entries, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _entry(name: str, unit: str, point: Point, machine: str) -> dict[str, str | float]:
    unit, scale = _GITHUB_UNITS.get(unit, (unit, 1.0))
    value, *ends = scaled(point.value, scale).values()
    entry: dict[str, str | float] = {"name": name, "unit": unit, "value": value}
    between = "unknown"
    if ends:
        low, high = ends
        entry["range"] = f"± {(high - low) / 2:.9f}"
        between = " to ".join(words.digits(end, 4) for end in ends)
    extra = [f"95 %: {between} {unit}".rstrip(), f"rounds: {point.rounds}", f"machine: {machine}"]
    return {**entry, "extra": "\n".join(extra)}
