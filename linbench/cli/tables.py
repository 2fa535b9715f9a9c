"""The tables a sweep ends with, and that `show` and `--dry-run` print."""

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from linbench.case import Case
from linbench.cli.common import console
from linbench.record import Record

if TYPE_CHECKING:
    from linbench.journal import Journal
    from linbench.predict import Prediction
    from linbench.suite import Suite


def si_seconds(seconds: float | None) -> str:
    """Write a time with three digits: `12.3 ms`."""
    if seconds is None:
        return "?"
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def iec_bytes(count: float | None) -> str:
    """Write bytes with three digits: `5.19 MiB`."""
    if count is None or count != count:  # noqa: PLR0124 (NaN)
        return "?"
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def by_case(records: Sequence[Record]) -> dict[Case, list[Record]]:
    """Group records by case, cases ordered by scope, mode, configuration and n."""
    groups: dict[Case, list[Record]] = {}
    for record in records:
        groups.setdefault(record.case, []).append(record)

    def key(case: Case) -> tuple[Any, ...]:
        k = str(case.k_rule or case.k).zfill(12)
        batch = 0 if case.tokens else case.batch
        setting = (case.task, case.scope, case.mode, case.dtype, case.layers, batch)
        return (*setting, case.impl, k, case.label, case.seq)

    return {case: groups[case] for case in sorted(groups, key=key)}


SHAPE = ("d_model", "heads", "layers", "batch", "dtype", "device")


def records_table(records: Sequence[Record]) -> Table:
    """Make a table with a row per case: rounds, typical time, peak memory, status."""
    cases = by_case(records)
    varying = [
        name
        for name in ("task", "scope", "mode", "order", *SHAPE)
        if len({getattr(case, name) for case in cases} - {None}) > 1
    ]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("implementation", *varying):
        table.add_column(name)
    numbers = ["n", "rounds", "time", "± 95 %", "peak memory"]
    batches = any(record.max_batch for record in records)
    for name in [*numbers, "largest batch"] if batches else numbers:
        table.add_column(name, justify="right")
    table.add_column("status")
    for case, group in cases.items():
        right = all(r.status != "incorrect" for r in group)
        ok = [r for r in group if right and r.status == "ok"]
        table.add_row(
            case.label,
            *(str(getattr(case, name)) for name in varying),
            str(case.seq),
            *_measured_cells(ok),
            *([_batch_cell(ok)] if batches else []),
            ", ".join(dict.fromkeys(r.status for r in group)),
        )
    return table


def _measured_cells(ok: Sequence[Record]) -> list[str]:
    from linbench.runner import half_width

    if not ok or ok[0].max_batch:
        return [str(len(ok)), "", "", ""]
    width = half_width(ok)
    peaks = [r.memory.peak_bytes for r in ok if r.memory and r.memory.peak_bytes is not None]
    return [
        str(len(ok)),
        si_seconds(statistics.median(statistics.median(r.seconds) for r in ok)),
        f"{width:.1%}" if width < 10 else "",
        iec_bytes(statistics.median(peaks) if peaks else None),
    ]


def _batch_cell(ok: Sequence[Record]) -> str:
    """Write the largest batch that fits and how it is known, empty for other tasks."""
    found = next((record.max_batch for record in ok if record.max_batch), None)
    return "" if found is None else f"{found.batch} ({found.how})"


def print_reasons(records: Sequence[Record]) -> None:
    """List why cases were not measured, one line each."""
    for case, group in by_case(records).items():
        for reason in dict.fromkeys(f"{r.status}: {r.reason}" for r in group if r.status != "ok"):
            task = "" if case.task == "efficiency" else f"{case.task} "
            print(f"{task}{case.label} {case.scope} n={case.seq} {reason}")


def _measured(records: Sequence[Record]) -> set[Case]:
    """Return the cases that were measured, and wrong in no round."""
    of = {status: {r.case for r in records if r.status == status} for status in ("ok", "incorrect")}
    return of["ok"] - of["incorrect"]


def closing(journal: "Journal", cases: Sequence[Case], left_out: dict[str, str]) -> None:
    """Print what a sweep gave and what to do next."""
    console().print(records_table(journal.records))
    print()
    print_reasons(journal.records)
    print_left_out(left_out)
    measured = _measured(journal.records)
    warned = sum(bool(record.warnings) for record in journal.records)
    print(f"{len(measured)} of {len(cases)} cases measured, {len(journal.records)} records", end="")
    print(f", {warned} with warnings ('linbench show {journal.path.stem}')" if warned else "")
    print(f"run file: {journal.path}")
    print(f"next: linbench report {journal.path}")


def closing_json(
    journal: "Journal", cases: Sequence[Case], left_out: dict[str, str]
) -> dict[str, Any]:
    """Return what a sweep gave, for machines."""
    statuses = [record.status for record in journal.records]
    return {
        "run": str(journal.path),
        "run_id": journal.header.run_id,
        "cases": len(cases),
        "measured": len(_measured(journal.records)),
        "records": len(statuses),
        "statuses": {status: statuses.count(status) for status in sorted(set(statuses))},
        "left_out": left_out,
    }


def print_left_out(left_out: dict[str, str]) -> None:
    """List the combinations of a grid that cannot exist, grouped by reason."""
    by_reason: dict[str, list[str]] = {}
    for what, reason in left_out.items():
        by_reason.setdefault(reason, []).append(what)
    for reason, whats in by_reason.items():
        print(f"left out: {', '.join(whats)}: {reason}")


Foreseen = tuple[Case, "Prediction", str | None]


def predictions(rows: "Sequence[Foreseen]", left_out: dict[str, str], suite: "Suite") -> None:
    """Print the cases of a dry run."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("implementation", "task", "scope", "mode"):
        table.add_column(name)
    for name in ("n", "time of a call", "of a round", "memory"):
        table.add_column(name, justify="right")
    table.add_column("would be", overflow="fold")
    for case, prediction, reason in rows:
        table.add_row(
            case.label,
            case.task,
            case.scope,
            case.mode,
            str(case.seq),
            si_seconds(prediction.call_s),
            si_seconds(prediction.round_s),
            iec_bytes(prediction.memory_bytes),
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


def predictions_json(rows: "Sequence[Foreseen]", left_out: dict[str, str]) -> dict[str, Any]:
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
        "left_out": left_out,
    }
