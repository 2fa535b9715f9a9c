"""`linbench sweep`: measure a grid of cases into a run file."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from linbench.case import Case
    from linbench.journal import Journal
    from linbench.record import Record
    from linbench.suite import Suite

GRID = "Grid"
HOW = "How to measure"
MOST_LETTERS = 100


def _axis(text: str, default: str | None = None) -> Any:
    return typer.Option(
        help=text + (f" [default: {default}]" if default else ""), rich_help_panel=GRID
    )


def _how(text: str, default: str | None = None) -> Any:
    return typer.Option(
        help=text + (f" [default: {default}]" if default else ""), rich_help_panel=HOW
    )


def sweep(
    ctx: typer.Context,
    suite: Annotated[
        str | None,
        typer.Argument(help="A suite: a .toml file or a name ('linbench list suites')."),
    ] = None,
    impl: Annotated[
        list[str] | None,
        _axis(
            "Implementations; your own as NAME=module:builder or NAME=file.py:builder, "
            "with @k at the end if it takes k.",
            "vanilla,sdpa,linformer",
        ),
    ] = None,
    seq: Annotated[
        str | None,
        _axis("Sequence lengths n: 512..65536 doubles, A..B*4, A..B+1024, commas.", "512..65536"),
    ] = None,
    k: Annotated[
        str | None,
        _axis("Projected dimensions: 128,256, n/4, per layer 256/128/64 or 256:64.", "128,256"),
    ] = None,
    sharing: Annotated[str | None, _axis("none, headwise, kv, layerwise.", "headwise")] = None,
    projection: Annotated[str | None, _axis("linear, jl, mean, max, conv.", "linear")] = None,
    order: Annotated[str | None, _axis("auto, project_first, compress_first.", "auto")] = None,
    scope: Annotated[
        str | None,
        _axis("layer (with its four projections), core (attention alone), encoder.", "layer"),
    ] = None,
    mode: Annotated[str | None, _axis("forward, forward_backward.", "forward")] = None,
    d_model: Annotated[str | None, _axis("Model width.", "256")] = None,
    heads: Annotated[str | None, _axis("Attention heads h.", "4")] = None,
    layers: Annotated[str | None, _axis("Layers, at scope encoder.", "1")] = None,
    batch: Annotated[str | None, _axis("Sequences in a batch.", "1")] = None,
    tokens: Annotated[str | None, _axis("Tokens in a batch: batch = tokens / n.")] = None,
    dtype: Annotated[str | None, _axis("float32, float64, float16, bfloat16.", "float32")] = None,
    device: Annotated[str | None, _how("auto, cpu, cuda.", "auto")] = None,
    compile_: Annotated[
        bool | None, typer.Option("--compile", help="Use torch.compile.", rich_help_panel=HOW)
    ] = None,
    rounds: Annotated[int | None, _how("Most rounds of a case, each a fresh process.", "5")] = None,
    budget: Annotated[str | None, _how("Time for the whole sweep, or none.", "5m")] = None,
    case_timeout: Annotated[str | None, _how("Limit of one round of one case.", "60s")] = None,
    precision: Annotated[
        str | None,
        _how("From the 6th round on, end a case whose 95 % interval is this tight.", "3%"),
    ] = None,
    keep_pages: Annotated[
        bool | None,
        typer.Option(
            "--keep-pages/--return-pages",
            help="Whether the C library keeps freed pages while timing. [default: keep-pages]",
            rich_help_panel=HOW,
        ),
    ] = None,
    seed: Annotated[int | None, _how("Of weights, inputs and order.", "0")] = None,
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
    settings = _given(ctx.params)
    if resume:
        _resume(resume, suite, settings, out, force=force, as_json=json_)
        return
    chosen = _choose(suite, settings)
    if dry_run:
        _dry_run(chosen, as_json=json_)
    else:
        _new(chosen, out, name, as_json=json_)


GRID_FLAGS = (
    "impl", "seq", "k", "sharing", "projection", "order", "scope", "mode", "d_model", "heads",
    "layers", "batch", "tokens", "dtype",
)  # fmt: skip
OTHER_FLAGS = (
    "device", "compile", "rounds", "budget", "case_timeout", "precision", "keep_pages", "seed",
)  # fmt: skip


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among the flags that were given."""
    settings = {
        name: params["compile_" if name == "compile" else name]
        for name in (*GRID_FLAGS, *OTHER_FLAGS)
    }
    settings["impl"] = settings["impl"] or None
    return {name: value for name, value in settings.items() if value is not None}


def _choose(suite: str | None, settings: dict[str, Any]) -> "Suite":
    from linbench import suite as suites

    if suite is None and not any(name in settings for name in GRID_FLAGS):
        suite = "scaling"
    return suites.read(settings) if suite is None else suites.load(suite, settings)


def _new(suite: "Suite", out: Path, name: str | None, *, as_json: bool) -> None:
    from linbench import provenance
    from linbench.errors import UsageError
    from linbench.journal import Journal
    from linbench.suite import check_plugins, expand

    device = _device(suite)
    check_plugins(suite)
    cases, left_out = expand(suite, device)
    run_id = name or provenance.run_id(suite.name)
    if "/" in run_id or run_id in ("", ".", "..", "latest") or len(run_id) > MOST_LETTERS:
        raise UsageError(
            f"--name '{run_id:.40}' cannot be a file name; use at most {MOST_LETTERS} letters, "
            "digits and dashes"
        )
    busy = _warn_if_busy()
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
        if busy := _warn_if_busy():
            note.append(busy)
        with _executor(chosen) as measure:
            _measure(
                chosen, cases, left_out, journal, measure,
                as_json=as_json, note=note, reconsider=bool(settings),
            )  # fmt: skip


def _warn_if_busy() -> str | None:
    from linbench.probes import machine

    busy = machine.busy()
    if busy:
        print(f"linbench: warning: {busy}", file=sys.stderr)
    return busy


def _device(suite: "Suite") -> str:
    from linbench.errors import UsageError
    from linbench.probes import machine

    if suite.device == "cpu":
        return "cpu"
    reason = machine.no_cuda_reason()
    if suite.device == "cuda" and reason:
        raise UsageError(f"--device cuda is not there: {reason}; use --device cpu")
    return "cpu" if reason else "cuda"


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
    cases, left_out = expand(suite, _device(suite))
    rate = machine.matrix_product_rate()
    rows = runner.foresee(cases, _plan(suite), machine.free_bytes(cases[0].device), rate)
    if as_json:
        print(json.dumps(predictions_json(rows, left_out)))
    else:
        predictions(rows, left_out, suite)
