"""`linbench sweep`: measure a grid of cases into a run file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import find_run, warn_if_busy
from linbench.cli.grid import NO_GRID, Grid, choose, device_of, takes_grid
from linbench.errors import UsageError

if TYPE_CHECKING:
    from linbench.executors.local import Local
    from linbench.plan.suite import Suite
    from linbench.run.case import Case
    from linbench.run.journal import Journal
    from linbench.run.record import Record

MOST_LETTERS = 100
RESUMABLE = ("budget", "case_timeout")
"""Settings that a run may go on with otherwise than it began."""


@takes_grid()
def sweep(
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite: a .toml file or a name ('linbench list suites')."),
    ] = None,
    grid: Grid = NO_GRID,
    out: Annotated[Path, typer.Option(help="Folder for the run file.")] = Path("results"),
    name: Annotated[
        str | None, typer.Option(help="Name of the run. [default: suite and UTC time]")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with an interrupted run: a path, a name, or latest.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Resume even if machine or code changed (noted in the run file)."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show cases and predictions, measure nothing.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, nothing else.")] = False,
) -> None:
    """Measure time, peak memory and energy over a grid of cases.

    Without SUITE and without grid flags, the suite 'scaling' is measured. Flags override the suite.
    Each round of each case runs in a fresh process; every record is written at once to
    OUT/NAME.jsonl, so that nothing is lost when the sweep is interrupted.

    Examples:
    - `linbench sweep --seq 512..65536`
    - `linbench sweep smoke`
    - `linbench sweep --impl sdpa,linformer --k 128,n/4 --scope core --dry-run`
    - `linbench sweep --impl sdpa,mine=attention.py:build --seq 1024..8192`
    """
    if resume:
        if suite or name or dry_run or not set(grid) <= set(RESUMABLE):
            raise UsageError(
                "--resume goes on with the run's own grid and name; give no suite and no flag but "
                "--budget, --case-timeout and --force"
            )
        _resume(resume, grid, out, force=force, as_json=json_)
        return
    chosen = choose(suite, grid)
    if dry_run:
        _dry_run(chosen, as_json=json_)
    else:
        _new(chosen, out, name, as_json=json_)


def _new(suite: "Suite", out: Path, name: str | None, *, as_json: bool) -> None:
    from linbench.executors.local import Local
    from linbench.plan import provenance
    from linbench.plan.suite import check_plugins, expand
    from linbench.run.journal import Journal

    device = device_of(suite)
    check_plugins(suite)
    cases, left_out = expand(suite, device)
    run_id = name or provenance.run_id(suite.name)
    if "/" in run_id or run_id in ("", ".", "..", "latest") or len(run_id) > MOST_LETTERS:
        raise UsageError(
            f"--name '{run_id:.40}' cannot be a file name; use at most {MOST_LETTERS} letters, "
            "digits and dashes"
        )
    busy = warn_if_busy()
    with Local(suite, device) as pool:  # loads torch while the parent goes on
        header = provenance.header(run_id, suite, device, busy)
        with Journal.create(out / f"{run_id}.jsonl", header) as journal:
            _measure(suite, cases, left_out, journal, pool, as_json=as_json)


def _resume(run: str, grid: Grid, out: Path, *, force: bool, as_json: bool) -> None:
    from linbench.executors.local import Local
    from linbench.plan import provenance
    from linbench.plan.suite import check_plugins, expand, read
    from linbench.run.journal import Journal

    path = find_run(run, out)
    with Journal.reopen(path) as journal:
        chosen = read({**journal.header.suite, **grid})
        check_plugins(chosen)
        device = journal.header.device or "cpu"
        cases, left_out = expand(chosen, device)
        differs = provenance.differences(journal.header, chosen)
        if differs and not force:
            raise UsageError(
                f"run '{path}' cannot go on here: {'; '.join(differs)}; start a new run, or mix "
                "them knowingly with --force"
            )
        note = [f"resumed with --force: {difference}" for difference in differs]
        note += [f"resumed with --{key.replace('_', '-')} {new}" for key, new in grid.items()]
        note += filter(None, [warn_if_busy()])
        with Local(chosen, device) as pool:
            _measure(
                chosen, cases, left_out, journal, pool,
                as_json=as_json, note=note, retry_skipped=bool(grid),
            )  # fmt: skip


def _measure(
    suite: "Suite",
    cases: "list[Case]",
    left_out: dict[str, str],
    journal: "Journal",
    pool: "Local",
    *,
    as_json: bool,
    note: list[str] | None = None,
    retry_skipped: bool = False,
) -> None:
    """Run the sweep into a journal, show its progress and its closing table, and exit by status."""
    from linbench.cli.progress import Progress
    from linbench.cli.tables import closing, closing_json
    from linbench.plan import measure
    from linbench.plan.schedule import Plan, Schedule

    plan = Plan(suite.rounds, suite.budget, suite.case_timeout, suite.precision, suite.seed)
    schedule = Schedule(
        cases, plan, metrics=suite.metrics, done=journal.records, retry_skipped=retry_skipped
    )

    def keep(_: int, record: "Record") -> None:
        if note and record.status != "skipped":
            record = record.model_copy(update={"warnings": [*record.warnings, *note]})
        journal.append(record)
        progress.took(record)

    interrupted = False
    with Progress(schedule, quiet=as_json) as progress:
        try:
            measure.run(schedule, [pool], keep, progress.visiting)
        except KeyboardInterrupt:
            interrupted = True
    if as_json:
        print(json.dumps(closing_json(journal, cases, left_out)))
    else:
        closing(journal, cases, left_out)
    if interrupted:
        print(
            f"linbench: interrupted; {len(journal.records)} records are kept; go on with "
            f"'linbench sweep --resume {journal.path}'",
            file=sys.stderr,
        )
        raise typer.Exit(130)
    if any(record.status in ("error", "incorrect") for record in journal.records):
        raise typer.Exit(1)


def _dry_run(suite: "Suite", *, as_json: bool) -> None:
    from linbench.cli.tables import predictions, predictions_json
    from linbench.plan.schedule import Plan, Schedule, Slot
    from linbench.plan.suite import check_plugins, expand
    from linbench.probes import machine

    check_plugins(suite)
    device = device_of(suite)
    cases, left_out = expand(suite, device)
    plan = Plan(suite.rounds, suite.budget, suite.case_timeout)
    schedule = Schedule(cases, plan, flops_per_s=machine.matrix_product_rate())
    foreseen = schedule.foreseen(Slot(free_bytes=machine.free_bytes(device)))
    rows = [(case, taken, _unavailable(case) or reason) for case, taken, reason in foreseen]
    if as_json:
        print(json.dumps(predictions_json(rows, left_out)))
    else:
        predictions(rows, left_out, suite)


def _unavailable(case: "Case") -> str | None:
    """Say why a case cannot run here; of plug-ins nothing is known before they are loaded."""
    from linbench import attention

    row = attention.known(str(case.impl))
    return row.unavailable(case.device or "cpu") if row and row.unavailable else None
