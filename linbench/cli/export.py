"""`linbench export`: a run in the formats of others."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import RESULTS, ResultsOption, find_run
from linbench.errors import RunFileError, UsageError, did_you_mean

if TYPE_CHECKING:
    from linbench.run.runs import Run

FORMATS = ("bmf", "github", "csv", "parquet", "junit")


def export(
    run: Annotated[str, typer.Argument(help="A run: a path, a name, or latest.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="bmf (Bencher), github (github-action-benchmark, customSmallerIsBetter), csv, "
            "parquet, junit.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write. [default: standard output]")
    ] = None,
    results: ResultsOption = RESULTS,
) -> None:
    """Write a run for other tools: Bencher, github-action-benchmark, pandas, JUnit.

    bmf and github hold the median over rounds of each measured case with its 95 % interval; cases
    without a measurement are left out and named, as are metrics of which more is better in github.
    csv and parquet hold every record, a row each; junit a test for each case, skipped where there
    was no memory or time for it.

    Example: linbench export latest --format csv --out run.csv
    """
    if format_ not in FORMATS:
        raise UsageError(
            f"--format '{format_}' is unknown, expected {', '.join(FORMATS)}"
            f"{did_you_mean(format_, FORMATS)}"
        )
    if format_ == "parquet" and out is None:
        raise UsageError(
            "--format parquet is not text, expected a file for it; add --out run.parquet"
        )
    from linbench.run.record import read
    from linbench.run.runs import Run

    header, records = read(find_run(run, results))
    found = Run(header, tuple(records))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    if format_ == "parquet" and out is not None:
        from linbench.run.formats import frames

        frames.parquet(found, out)
        return
    text = _text(found, format_)
    if out is None:
        print(text, end="")
    else:
        out.write_text(text, encoding="utf-8")


def _text(run: "Run", format_: str) -> str:
    """Return a run in one of the formats that are text, and name what it leaves out."""
    from linbench.run.formats import bencher, frames, github, junit
    from linbench.run.formats.values import left_out, values
    from linbench.words import listed

    if format_ == "csv":
        return frames.csv(run)
    measured = values(run)
    if format_ == "junit":
        return junit.report(run, measured)
    kept, more = github.split(measured) if format_ == "github" else (measured, [])
    if not kept:
        only = f"only {listed(more)}, of which more is better" if more else "no case"
        raise RunFileError(
            f"run '{run.run_id}' measured {only}; expected at least one value for {format_}; "
            + ("take --format bmf, csv or junit" if more else "'linbench show' says why")
        )
    for case_id, reason in left_out(run, measured).items():
        print(f"linbench: left out {case_id}: {reason}", file=sys.stderr)
    for name in more:
        print(f"linbench: left out {name}: github holds what is better smaller", file=sys.stderr)
    return bencher.bmf(kept) if format_ == "bmf" else github.github(kept, run.header)
