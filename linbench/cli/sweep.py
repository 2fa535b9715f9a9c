"""`linbench sweep`: measure a grid of cases into a run file."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linbench.cli.common import warn_if_busy
from linbench.cli.grid import (
    BatchOption,
    BudgetOption,
    CaseTimeoutOption,
    CompileOption,
    DeviceOption,
    DModelOption,
    DtypeOption,
    HeadsOption,
    ImplOption,
    KeepPagesOption,
    KOption,
    LayersOption,
    MemoryLimitOption,
    ModeOption,
    OrderOption,
    PrecisionOption,
    ProjectionOption,
    RoundsOption,
    ScopeOption,
    SeedOption,
    SeqOption,
    SharingOption,
    TaskOption,
    TokensOption,
    choose,
    device_of,
    given,
)

if TYPE_CHECKING:
    from linbench.case import Case
    from linbench.journal import Journal
    from linbench.record import Record
    from linbench.suite import Suite

MOST_LETTERS = 100


def sweep(
    ctx: typer.Context,
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite: a .toml file or a name ('linbench list suites')."),
    ] = None,
    impl: ImplOption = None,
    seq: SeqOption = None,
    k: KOption = None,
    sharing: SharingOption = None,
    projection: ProjectionOption = None,
    order: OrderOption = None,
    scope: ScopeOption = None,
    mode: ModeOption = None,
    d_model: DModelOption = None,
    heads: HeadsOption = None,
    layers: LayersOption = None,
    batch: BatchOption = None,
    tokens: TokensOption = None,
    dtype: DtypeOption = None,
    task: TaskOption = None,
    memory_limit: MemoryLimitOption = None,
    device: DeviceOption = None,
    compile_: CompileOption = None,
    rounds: RoundsOption = None,
    budget: BudgetOption = None,
    case_timeout: CaseTimeoutOption = None,
    precision: PrecisionOption = None,
    keep_pages: KeepPagesOption = None,
    seed: SeedOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the run file.")] = Path("results"),
    name: Annotated[
        str | None, typer.Option(help="Name of the run. [default: suite and UTC time]")
    ] = None,
    resume: Annotated[
        str | None, typer.Option(help="Go on with an interrupted run: a path, a name, or latest.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Resume though machine or code differ (recorded).")
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
    settings = given(ctx.params)
    if resume:
        _resume(resume, suite, settings, out, force=force, as_json=json_)
        return
    chosen = choose(suite, settings)
    if dry_run:
        _dry_run(chosen, as_json=json_)
    else:
        _new(chosen, out, name, as_json=json_)


def _new(suite: "Suite", out: Path, name: str | None, *, as_json: bool) -> None:
    from linbench import provenance
    from linbench.errors import UsageError
    from linbench.journal import Journal
    from linbench.suite import check_plugins, expand

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
    with _executor(suite) as measure:  # loads torch while the parent goes on
        header = provenance.header(run_id, suite, device, busy)
        with Journal.create(out / f"{run_id}.jsonl", header) as journal:
            _measure(suite, cases, left_out, journal, measure, as_json=as_json)


def _resume(
    run: str, suite: str | None, settings: dict[str, Any], out: Path, *, force: bool, as_json: bool
) -> None:
    from linbench import provenance
    from linbench.cli.common import find_run
    from linbench.errors import UsageError
    from linbench.journal import Journal
    from linbench.suite import check_plugins, expand, read

    allowed = {"budget", "case_timeout"}
    if suite or not set(settings) <= allowed:
        raise UsageError(
            "--resume goes on with the run's own grid; give no suite and no flag but --budget, "
            "--case-timeout and --force"
        )
    path = find_run(run, out)
    with Journal.reopen(path) as journal:
        chosen = read({**journal.header.suite, **settings})
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
        note += [f"resumed with --{key.replace('_', '-')} {new}" for key, new in settings.items()]
        if busy := warn_if_busy():
            note.append(busy)
        with _executor(chosen) as measure:
            _measure(
                chosen, cases, left_out, journal, measure,
                as_json=as_json, note=note, reconsider=bool(settings),
            )  # fmt: skip


def _executor(suite: "Suite") -> Any:
    from linbench.executors.local import Local

    return Local(suite.plugins, {"keep_pages": suite.keep_pages}, suite.case_timeout)


def _plan(suite: "Suite") -> Any:
    from linbench.runner import Plan

    return Plan(suite.rounds, suite.budget, suite.case_timeout, suite.precision, suite.seed)


def _measure(
    suite: "Suite",
    cases: "list[Case]",
    left_out: dict[str, str],
    journal: "Journal",
    measure: Any,
    *,
    as_json: bool,
    note: list[str] | None = None,
    reconsider: bool = False,
) -> None:
    """Run the sweep into a journal, show its progress and its closing table, and exit by status."""
    from linbench import runner
    from linbench.cli.progress import Progress
    from linbench.cli.tables import closing, closing_json
    from linbench.probes import machine

    def measured(case: "Case", round_: int) -> Any:
        record = measure(case, round_)
        return record.model_copy(update={"warnings": [*record.warnings, *note]}) if note else record

    def keep(record: "Record") -> None:
        journal.append(record)
        progress.took(record)

    interrupted = False
    with Progress(suite, len(cases), quiet=as_json) as progress:
        try:
            runner.run(
                cases,
                _plan(suite),
                measured,
                keep,
                free_bytes=machine.free_bytes(cases[0].device),
                reconsider=reconsider,
                done=journal.records,
                visiting=progress.visiting,
            )
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
    from linbench import runner
    from linbench.cli.tables import predictions, predictions_json
    from linbench.probes import machine
    from linbench.suite import check_plugins, expand

    check_plugins(suite)
    cases, left_out = expand(suite, device_of(suite))
    rate = machine.matrix_product_rate()
    rows = runner.foresee(cases, _plan(suite), machine.free_bytes(cases[0].device), rate)
    if as_json:
        print(json.dumps(predictions_json(rows, left_out)))
    else:
        predictions(rows, left_out, suite)
