"""The tables a sweep ends with, and that `show` and `--dry-run` print."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Column, Table

from linbench.cli.common import console, plain_table
from linbench.run.metrics import KNOWN, Metric
from linbench.run.runs import Run, Runs, Series, series_by_case
from linbench.stats.intervals import half_width
from linbench.studies.labels import wording
from linbench.words import quantity

if TYPE_CHECKING:
    from linbench.plan.suite import Suite
    from linbench.run.case import Case
    from linbench.run.journal import Journal
    from linbench.run.record import Record
    from linbench.tasks import Prediction

    Foreseen = tuple[Case, Prediction, str | None]

TOLD_APART = ("task", "scope", "mode", "order", "d_model", "heads", "layers", "batch", "dtype",
              "device")  # fmt: skip
"""Fields of a case that have a column where they differ within a run."""

NAMED = 5
"""Cases that are named where a cause holds for several of them."""


def ordered(cases: "Iterable[Case]") -> "list[Case]":
    """Order cases by task, problem, configuration and n."""

    def place(case: "Case") -> tuple[Any, ...]:
        batch = 0 if case.tokens else case.batch or 0
        setting = (case.task, case.scope, case.mode, str(case.dtype), case.layers, batch)
        asked = [str(value).zfill(12) for _, value in case.settings or ()]
        own = (str(case.impl), str(case.k_text).zfill(12), case.label, case.seq or 0)
        return (*setting, *own, asked)

    return sorted(cases, key=place)


def records_table(run: Run) -> Table:
    """Make a table with a row per case: rounds, the typical value of each metric, status."""
    records = {own[0].case: own for own in run.by_case().values()}
    varying = [
        name for name in TOLD_APART if len({getattr(case, name) for case in records} - {None}) > 1
    ]
    settings = _varying_settings(records)
    valued = {name for r in run.records for name in r.metrics if r.value(name) is not None}
    metrics = [metric for metric in Runs((run,)).metrics if metric.name in valued]
    measured = {metric: series_by_case(run, metric.name) for metric in metrics}
    columns = itertools.chain.from_iterable(map(_columns, metrics))
    right = (Column(name, justify="right") for name in ("n", "rounds", *columns))
    asked = (name.removesuffix("_bytes") for name in settings)
    table = plain_table("implementation", *varying, *asked, *right, "status")
    for case in ordered(records):
        own = records[case]
        statuses = [record.status for record in own]
        good = [] if "incorrect" in statuses else [r for r in own if r.status == "ok"]
        cells = (
            _cells(metric, good, series.get(own[0].case_id)) for metric, series in measured.items()
        )
        table.add_row(
            case.label,
            *(str(getattr(case, name)) for name in varying),
            *(_setting(case, name) for name in settings),
            str(case.seq or ""),
            str(len(good)),
            *itertools.chain.from_iterable(cells),
            ", ".join(dict.fromkeys(statuses)),
        )
    return table


def _varying_settings(cases: "Iterable[Case]") -> list[str]:
    """Return the settings of tasks that differ among cases."""
    values: dict[str, set[Any]] = {}
    for case in cases:
        for name, value in case.settings or ():
            values.setdefault(name, set()).add(value)
    return [name for name, own in values.items() if len(own - {None}) > 1]


def _setting(case: "Case", name: str) -> str:
    value = case.setting(name)
    if name.endswith("_bytes") and isinstance(value, int):
        return quantity(value, "byte")
    return "" if value is None else str(value)


def _columns(metric: Metric) -> tuple[str, ...]:
    noun = wording(metric).noun
    return (noun,) if metric.noise == "exact" else (noun, "± 95 %")


def _cells(metric: Metric, good: "Sequence[Record]", series: Series | None) -> list[str]:
    """Write the typical value of a case, beside it how a count is known or how sure the rest is."""
    if metric.noise == "exact":
        return [_count(metric, good, series)]
    if series is None:
        return ["", ""]
    value = series.points()[0].value
    sure = ""
    if metric.scale == "log":
        width = half_width([one.value for one in series.readings])
        sure = f"{width:.1%}" if width < 10 else ""
    elif value.low is not None and value.high is not None:
        sure = quantity((value.high - value.low) / 2, metric.unit)
    return [quantity(value.value, metric.unit), sure]


def _count(metric: Metric, good: "Sequence[Record]", series: Series | None) -> str:
    known = [record.metrics[metric.name] for record in good if metric.name in record.metrics]
    # a count of 0 has no logarithm, thus no series, and is a value nevertheless
    value = series.points()[0].value.value if series else next((one.value for one in known), None)
    if value is None:
        return ""
    if metric.name in KNOWN:
        return quantity(value, metric.unit)
    plain = metric.unit not in ("s", "byte") and value.is_integer()
    said = f"{value:,.0f} {metric.unit}".rstrip() if plain else quantity(value, metric.unit)
    sources = {one.source for one in known if one.source}
    return f"{said} ({', '.join(sorted(sources))})" if sources else said


def print_reasons(records: "Iterable[Record]") -> None:
    """Say why cases were not measured, a line for each cause."""
    causes: dict[str, dict[Case, None]] = {}
    for record in records:
        if record.status != "ok":
            causes.setdefault(record.failure, {})[record.case] = None
    tasks = {case.task for cases in causes.values() for case in cases}
    settings = _varying_settings(case for cases in causes.values() for case in cases)
    for cause, cases in causes.items():
        names = [
            f"{case.task + ' ' if len(tasks) > 1 else ''}{case.title} {case.scope}"
            + "".join(f" {name}={said}" for name in settings if (said := _setting(case, name)))
            for case in ordered(cases)
        ]
        print(f"{_some(names)}: {cause}")


def print_left_out(left_out: Mapping[str, str]) -> None:
    """List the combinations of a grid that cannot exist, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for what, reason in left_out.items():
        by_reason.setdefault(reason, []).append(what)
    for reason, whats in by_reason.items():
        print(f"left out: {_some(whats)}: {reason}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _measured(run: Run) -> int:
    """Count the cases that were measured, and wrong in no round."""
    statuses = [{record.status for record in own} for own in run.by_case().values()]
    return sum("ok" in own and "incorrect" not in own for own in statuses)


def closing(journal: "Journal", cases: "Sequence[Case]", left_out: Mapping[str, str]) -> None:
    """Print what a sweep gave and what to do next; cases that it never visited, by cause."""
    run = Run(journal.header, tuple(journal.records))
    visited = {record.case_id for record in run.records if record.status != "skipped"}
    if visited:
        console().print(records_table(run.only(lambda record: record.case_id in visited)))
        print()
    print_reasons(run.records)
    print_left_out(left_out)
    warned = sum(bool(record.warnings) for record in run.records)
    print(f"{_measured(run)} of {len(cases)} cases measured, {len(run.records)} records", end="")
    print(f", {warned} with warnings ('linbench show {journal.path.stem}')" if warned else "")
    print(f"run file: {journal.path}")
    print(f"next: linbench report {journal.path}")


def closing_json(
    journal: "Journal", cases: "Sequence[Case]", left_out: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a sweep gave, for machines."""
    run = Run(journal.header, tuple(journal.records))
    statuses = Counter(record.status for record in run.records)
    return {
        "run": str(journal.path),
        "run_id": run.run_id,
        "cases": len(cases),
        "measured": _measured(run),
        "records": len(run.records),
        "statuses": dict(sorted(statuses.items())),
        "left_out": dict(left_out),
    }


def predictions(rows: "Sequence[Foreseen]", left_out: Mapping[str, str], suite: "Suite") -> None:
    """Print the cases of a dry run."""
    right = ("n", "time of a call", "of a round", "memory")
    table = plain_table(
        *("implementation", "task", "scope", "mode"),
        *(Column(name, justify="right") for name in right),
        Column("would be", overflow="fold"),
    )
    for case, prediction, reason in rows:
        table.add_row(
            case.label,
            case.task,
            case.scope,
            case.mode,
            str(case.seq),
            quantity(prediction.call_s, "s"),
            quantity(prediction.round_s, "s"),
            quantity(prediction.memory_bytes, "byte"),
            f"skipped: {reason}" if reason else "measured",
        )
    console().print(table)
    print_left_out(left_out)
    kept = [prediction for _, prediction, reason in rows if reason is None]
    total_s = sum(prediction.round_s for prediction in kept)
    budget = "none" if suite.budget is None else f"{suite.budget:g} s"
    print(
        f"\n{len(kept)} of {len(rows)} cases, {total_s:.0f} s a round, at most {suite.rounds} "
        f"rounds within the budget ({budget}). Times are from operation counts and a "
        "matrix product timed now; the sweep itself predicts from what it measures."
    )


def predictions_json(rows: "Sequence[Foreseen]", left_out: Mapping[str, str]) -> dict[str, Any]:
    """Return the cases of a dry run, for machines."""
    return {
        "cases": [
            {
                "case_id": case.id,
                "case": case.model_dump(mode="json"),
                "predicted_call_s": prediction.call_s,
                "predicted_round_s": prediction.round_s,
                "predicted_memory_bytes": prediction.memory_bytes,
                "skipped": reason,
            }
            for case, prediction, reason in rows
        ],
        "left_out": dict(left_out),
    }
