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
    from linbench.run.runs import Run

    found = Run.read(find_run(run, results))
    if out is None:
        print(_text(found, format_), end="")
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    if format_ == "parquet":
        from linbench.record import parquet

        parquet(found, out)
    else:
        out.write_text(_text(found, format_), encoding="utf-8")


def _text(run: "Run", format_: str) -> str:
    """Return a run in one of the formats that are text, and name what it leaves out."""
    from linbench.record import csv
    from linbench.run.formats import junit, values
    from linbench.words import listed

    if format_ == "csv":
        return csv(run)
    measured = values.values(run)
    if format_ == "junit":
        return junit.report(run, measured)
    metrics = dict.fromkeys(metric for points in measured.values() for metric in points)
    more = [one.name for one in metrics if format_ == "github" and one.better == "more"]
    if len(more) == len(metrics):
        only = f"only {listed(more)}, of which more is better" if more else "no case"
        raise RunFileError(
            f"run '{run.run_id}' measured {only}; expected at least one value for {format_}; "
            + ("take --format bmf, csv or junit" if more else "'linbench show' says why")
        )
    left_out = values.left_out(run, measured)
    left_out |= dict.fromkeys(more, "github holds what is better smaller")
    for name, reason in left_out.items():
        print(f"linbench: left out {name}: {reason}", file=sys.stderr)
    return values.bmf(measured) if format_ == "bmf" else values.github(measured, run.header)
