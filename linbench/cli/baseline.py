"""`linbench baseline`: several runs become what later runs are held against."""

import os
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from linbench.cli.common import RESULTS, ResultsOption, console, find_run
from linbench.errors import RunFileError, UsageError

if TYPE_CHECKING:
    from linbench.run.metrics import Metric
    from linbench.run.record import Record
    from linbench.run.runs import Run


def baseline(
    what: Annotated[Literal["update"], typer.Argument(help="update.")],
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="A path, a name or 'latest'.")
    ],
    baseline: Annotated[
        str,
        typer.Option(
            metavar="PATH|NAME", help="The file to write; a name is one in RESULTS/baselines."
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Merge runs into a baseline, show what changes, and write it when confirmed.

    Each run counts as one: a case's value is the median over runs, so that no lucky run decides,
    and its noise is how the runs differ. Three runs or more, hours apart, make a good baseline. To
    add a run to a baseline, name the baseline's own file among the runs.

    Example: `linbench baseline update results/monday.jsonl results/tuesday.jsonl --baseline laptop`
    """
    from linbench.run.runs import Runs
    from linbench.studies.gate.merge import merge, there_twice

    del what  # there is one thing to do
    path = _target(baseline, results)
    sources: dict[str, Run] = {}
    for run in runs:
        if run in sources:
            raise there_twice(run)
        sources[run] = Runs.read([find_run(run, results)]).runs[0]
    merged = merge(sources, path.stem)
    _show(Runs.read([path]).runs[0] if path.exists() else None, merged, path)
    if not yes and not sys.stdin.isatty():
        raise UsageError(
            f"nothing written: '{path}' needs a yes, and this is no terminal; give --yes"
        )
    if not yes and not typer.confirm(f"write {path}?"):
        print("nothing written")
        return
    _write(path, merged)
    print(f"baseline: {path}")
    print(f"next: linbench gate latest --baseline {baseline}")


def _target(name: str, results: Path) -> Path:
    """Return the file that a baseline's PATH or NAME means."""
    is_path = name.endswith(".jsonl") or "/" in name
    return Path(name) if is_path else results / "baselines" / f"{name}.jsonl"


def _write(path: Path, run: "Run") -> None:
    """Write a run file whole or not at all."""
    from linbench.run.record import to_line

    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with beside.open("w", encoding="utf-8") as file:
                file.writelines([to_line(run.header), *map(to_line, run.records)])
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise RunFileError(
            f"cannot write '{path}': {error.strerror}; choose another --baseline"
        ) from None


def _show(old: "Run | None", new: "Run", path: Path) -> None:
    """Print what writing would change: old → new, case by case."""
    from rich.table import Table

    from linbench.cli.tables import ordered
    from linbench.run.runs import Runs
    from linbench.studies.gate.cases import worst_of
    from linbench.studies.gate.provenance import differences

    merged = new.header.merged
    count = f"the median of {len(merged)} runs" if merged else "one run, which decides alone"
    print(f"{path}: {'replaced by' if old else 'new:'} {count}")
    for said in differences(old.header, new.header) if old else ():
        print(said)
    both = Runs((old, new) if old else (new,))
    known = {name for _, r in both.records for name in r.metrics if r.value(name) is not None}
    metrics = [metric for metric in both.metrics if metric.name in known]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("case", *(name for metric in metrics for name in (metric.name, "")), "status"):
        table.add_column(name, justify="left" if name in ("case", "status") else "right")
    before, after = (run.by_case() if run else {} for run in (old, new))
    cases = {record.case_id: record.case for _, record in both.records}
    order = ordered(set(cases.values()))
    for case_id, case in sorted(cases.items(), key=lambda item: order.index(item[1])):
        was, now = before.get(case_id, []), after.get(case_id, [])
        states = [worst_of(rounds).status if rounds else "absent" for rounds in (was, now)]
        table.add_row(
            f"{case.title} {case.scope}",
            *(cell for metric in metrics for cell in _change(was, now, metric)),
            states[1] if states[0] in (states[1], "absent") else " → ".join(states),
        )
    console().print(table)


def _change(was: "list[Record]", now: "list[Record]", metric: "Metric") -> tuple[str, str]:
    """Write a value with the one it replaces, and their ratio."""
    from linbench.words import quantity

    old, new = _typical(was, metric), _typical(now, metric)
    said = " → ".join(quantity(value, metric.unit) for value in (old, new) if value is not None)
    return said, f"{new / old:.3f}" if old and new is not None else ""


def _typical(rounds: "list[Record]", metric: "Metric") -> float | None:
    values = [record.value(metric.name) for record in rounds if record.status == "ok"]
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
