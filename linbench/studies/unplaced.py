"""What was measured of cases without n: benchmarks that have no place on any curve."""

from linbench import words
from linbench.report.content import NONE, Quantity, Section, Sentence, Table, count
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Point, Run, Runs, series_by_case
from linbench.studies.labels import wording


def summary(runs: Runs) -> list[Sentence]:
    """Say how many there are, if any."""
    found = {key for run in runs.runs for points in _points(run).values() for key in points}
    said = f"{words.plural(len(found), 'case')} without n: measured, and part of no law or curve."
    return [Sentence(said)] if found else []


def sections(runs: Runs) -> list[Section]:
    """Return a table of them for each run that has any."""
    several = len(runs.runs) > 1
    tables = (_table(run, suffix=f" ({run.run_id})" if several else "") for run in runs.runs)
    kept = tuple(table for table in tables if table.rows)
    return [Section("Cases without n", tables=kept)] if kept else []


def _points(run: Run) -> dict[Metric, dict[Case, Point]]:
    """Return what was measured of each, by metric."""
    alone = run.only(lambda record: record.case.seq is None)
    found = {
        metric: {one.key: one.point(0) for one in series_by_case(alone, metric.name).values()}
        for metric in Runs((alone,)).metrics
    }
    return {metric: points for metric, points in found.items() if points}


def _table(run: Run, *, suffix: str) -> Table:
    found = _points(run)
    keys = dict.fromkeys(key for points in found.values() for key in points)
    rows = tuple(
        (
            key.label,
            count(max(points[key].rounds for points in found.values() if key in points)),
            *(
                Quantity.of(points[key].value, metric.unit) if key in points else NONE
                for metric, points in found.items()
            ),
        )
        for key in keys
    )
    names = tuple(wording(metric).noun for metric in found)
    return Table(f"Cases without n{suffix}", ("case", "rounds", *names), rows)
