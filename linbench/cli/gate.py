"""`linbench gate`: did a change make anything worse?"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from linbench.cli.against import MOST_ROUNDS
from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run
from linbench.cli.grid import NO_GRID, Grid, takes_grid
from linbench.errors import RunFileError, UsageError

if TYPE_CHECKING:
    from linbench.run.runs import Run
    from linbench.studies.gate import Gate, Limits

MOST_ROWS = 20


@takes_grid(rounds=str(MOST_ROUNDS))
def gate(
    subject: Annotated[
        str | None,
        typer.Argument(
            metavar="RUN|SUITE",
            help="With --baseline the run to judge: a path, a name, or latest. "
            "With --against what to measure: a suite. [default: latest, or the suite 'ci']",
        ),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option(
            metavar="RUN", help="The run to hold it against; a name also in RESULTS/baselines."
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="GIT_REF",
            help="Measure that commit and the working tree in one sweep, interleaved.",
        ),
    ] = None,
    max_slowdown: Annotated[
        float, typer.Option(metavar="RATIO", help="Largest ratio of times that passes.")
    ] = 1.10,
    max_memory: Annotated[
        float,
        typer.Option(metavar="RATIO", help="Largest ratio that passes of peak memory and weights."),
    ] = 1.05,
    maximum: Annotated[
        list[str] | None,
        typer.Option(
            "--max",
            metavar="NAME=RATIO",
            help="How many times as bad any other metric may be; may repeat. "
            "[default: 1.10 where rounds scatter, 1.05 where it is exact]",
        ),
    ] = None,
    anchor: Annotated[
        str,
        typer.Option(
            metavar="IMPL",
            help="On another machine times count as multiples of those of this implementation "
            "at the same n.",
        ),
    ] = "sdpa",
    metric: Annotated[
        str | None,
        typer.Option(
            help="What to compare: metrics of the runs, operations, exponent, joined by commas. "
            "[default: all of it]"
        ),
    ] = None,
    assert_: Annotated[
        list[str] | None,
        typer.Option(
            "--assert",
            metavar="CLAIM",
            help="A claim about the candidate, as in linbench scaling: 'linformer:time<=1.15'; "
            "may repeat.",
        ),
    ] = None,
    inconclusive: Annotated[
        Literal["pass", "fail"] | None,
        typer.Option(help="Exit with 0 or 1 where the verdict is inconclusive. [default: with 3]"),
    ] = None,
    summary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Append the verdict in Markdown, as for $GITHUB_STEP_SUMMARY."
        ),
    ] = None,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a JUnit report.")
    ] = None,
    *,
    grid: Grid = NO_GRID,
    out: Annotated[
        Path, typer.Option(help="With --against: the folder for the two run files.")
    ] = RESULTS,
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Judge a run by a baseline, or the working tree by a commit: pass, regression, inconclusive.

    With --against both versions are measured now, round by round, each case in one right after the
    other, in fresh processes: what slows the machine down slows both. Rounds are added until every
    case is decided or the budget ends. What is measured comes from the repository: its own
    linbench, or plug-ins given as --impl NAME=path/to/file.py:builder.

    Cases are matched by id. A regression is a ratio whose interval lies wholly beyond the limit, a
    pass one within it. False alarms are held to 1 % of gates, over all comparisons together.
    A case that newly fails, or is no longer measured, is a regression too.

    Exit code 0: pass, 1: a regression or a failed claim, 2: no usable baseline, 3: inconclusive.
    With GITHUB_ACTIONS=true what did not pass is annotated.

    Examples:
    - `linbench gate results/new.jsonl --baseline results/old.jsonl --summary gate.md`
    - `linbench gate --against origin/main --impl mine=attention.py:build --seq 512..4096`
    """
    from linbench.cli.against import measured_against
    from linbench.studies.gate import Limits, section, to_json
    from linbench.studies.scaling.assertions import parse

    names = None if metric is None else tuple(name.strip() for name in metric.split(","))
    limits = Limits(max_slowdown, max_memory, _maximum(maximum or ()), anchor, names)
    for claim in assert_ or ():
        parse(claim)  # a slip of the pen is reported before anything is measured
    if (baseline is None) == (against is None):
        raise UsageError(
            "what to hold it against? give either --baseline RUN (a run file) or --against GIT_REF "
            "(a commit, measured now)"
        )
    if against is not None:
        found, paths, run = measured_against(against, subject, grid, limits, out, quiet=json_)
    elif grid:
        raise UsageError(
            f"--{next(iter(grid)).replace('_', '-')} says what to measure, but with "
            "--baseline nothing is; drop it, or use --against GIT_REF"
        )
    else:
        paths = find_run(subject or "latest", results), _find_baseline(str(baseline), results)
        found, run = _judge(*paths, limits, latest=subject in (None, "latest"))
    if assert_:
        found = _asserted(found, run, assert_)
    candidate, reference = map(str, paths)
    if json_:
        runs = {"candidate": candidate, "reference": reference}
        print(json.dumps({**to_json(found), **runs}, allow_nan=False))
    else:
        _print(found)
        if os.environ.get("GITHUB_ACTIONS") == "true":
            for line in section.annotations(found):
                print(line)
    if summary:
        _write(summary, section.markdown(found, candidate, reference), append=True)
    if junit:
        _write(junit, section.junit(found, inconclusive_fails=inconclusive == "fail"))
    undecided = {None: 3, "pass": 0, "fail": 1}[inconclusive]
    code = {"pass": 0, "regression": 1, "inconclusive": undecided}[found.verdict]
    if code:
        raise typer.Exit(code)


def _maximum(texts: Sequence[str]) -> dict[str, float]:
    """Read what --max says, `NAME=RATIO`."""
    found = {}
    for text in texts:
        name, _, ratio = text.partition("=")
        try:
            found[name.strip()] = float(ratio)
        except ValueError:
            raise UsageError(
                f"--max '{text}' is not a limit, expected NAME=RATIO such as accuracy=1.05"
            ) from None
    return found


def _find_baseline(run: str, results: Path) -> Path:
    """Return the file that --baseline names: a run, or the name of a committed baseline."""
    committed = results / "baselines" / f"{run}.jsonl"
    if committed.is_file() and not Path(run).is_file():
        return committed
    try:
        return find_run(run, results)
    except RunFileError as error:
        raise RunFileError(
            f"--baseline: {error}; make one with 'linbench baseline update RUN... --baseline {run}'"
        ) from None


def _judge(
    candidate: Path, baseline: Path, limits: "Limits", *, latest: bool
) -> "tuple[Gate, Run]":
    from dataclasses import replace

    from linbench.run.runs import Runs
    from linbench.studies.gate import judge
    from linbench.studies.gate.provenance import differences

    same = candidate.resolve() == baseline.resolve()
    if same and latest:
        raise UsageError(
            f"the latest run is the baseline itself, '{baseline}'; sweep first, or name the "
            "run to judge"
        )
    old, new = (Runs.read([path]).runs[0] for path in (baseline, candidate))
    found = judge(old, new, limits)
    notes = [*found.notes, *differences(old.header, new.header)]
    notes += ["Candidate and baseline are the same file"] if same else []
    return replace(found, notes=tuple(notes)), new


def _asserted(found: "Gate", candidate: "Run", claims: list[str]) -> "Gate":
    """Return a gate that claims about the candidate decide too."""
    from linbench.run.runs import Runs
    from linbench.studies.gate.findings import with_assertions
    from linbench.studies.scaling.analyse import analyse
    from linbench.studies.scaling.assertions import decide, parse

    series = analyse(Runs((candidate,))).series
    return with_assertions(found, [d for text in claims for d in decide(parse(text), series)])


def _write(path: Path, text: str, *, append: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if append else "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise RunFileError(
            f"cannot write '{path}': {error.strerror}; choose another file"
        ) from None


def _print(found: "Gate") -> None:
    from rich.table import Column, Table

    from linbench.studies.gate import section

    out = console()
    style = {"pass": "bold green", "regression": "bold red", "inconclusive": "bold yellow"}
    out.print(section.sentence(found), style=style[found.verdict])
    if shown := section.changed(found):
        columns = (
            Column(name, no_wrap=name not in ("case", "verdict")) for name in section.COLUMNS
        )
        table = Table(*columns, box=None, pad_edge=False, header_style="dim")
        for row in section.table("", shown[:MOST_ROWS], found).rows:
            table.add_row(*map(str, row))
        out.print(table)
    if len(shown) > MOST_ROWS:
        out.print(f"… and {len(shown) - MOST_ROWS} more (--json or --summary has all)")
    for line in (section.passed(found), *section.remarks(found)):
        out.print(line)
