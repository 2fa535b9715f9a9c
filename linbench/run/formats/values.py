"""What a run measured, case by case, for tools that keep one value and its interval.

Values with intervals are those of `linbench compare`: per case, the median over its rounds with a
95 % interval that takes rounds as independent.
"""

from dataclasses import replace

from linbench.run.metrics import Metric
from linbench.run.runs import Point, Run, Runs, failure_record, series_by_case
from linbench.stats.interval import Interval

Values = dict[str, dict[Metric, Point]]


def values(run: Run) -> Values:
    """Return what was measured, by case and metric.

    A case that was wrong in any round (`incorrect`) has no values.
    """
    found: Values = {}
    for metric in Runs((run,)).metrics:
        for case_id, series in series_by_case(run, metric.name).items():
            (point,) = series.points()
            found.setdefault(case_id, {})[metric] = _whole(point, metric)
    return found


def _whole(point: Point, metric: Metric) -> Point:
    """Return a number of bytes without what taking logarithms left behind the point."""
    if metric.unit != "byte":
        return point
    value = point.value
    low, high = (None if end is None else float(round(end)) for end in (value.low, value.high))
    return replace(point, value=Interval(float(round(value.value)), low, high))


def left_out(run: Run, measured: Values) -> dict[str, str]:
    """Return the cases without values, and why."""
    why = {
        case_id: failure_record(records)
        for case_id, records in run.by_case().items()
        if case_id not in measured
    }
    return {
        case_id: "nothing above 0 was measured" if record.status == "ok" else record.failure
        for case_id, record in why.items()
    }
