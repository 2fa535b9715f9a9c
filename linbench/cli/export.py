"""`linbench export`: a run in the formats of others."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, ResultsOption, find_run
from linbench.errors import RunFileError, UsageError, did_you_mean

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
    without a measurement are left out and named. csv and parquet hold every record, a row each;
    junit a test for each case, skipped where there was no memory or time for it.

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
    path = find_run(run, results)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    text = _write(path, format_, out)
    if out is None:
        print(text, end="")
    elif format_ != "parquet":
        out.write_text(text, encoding="utf-8")


def _write(path: Path, format_: str, out: Path | None) -> str:
    """Return the text of a format; parquet goes into its file at once."""
    from linbench import export as formats
    from linbench.record import read, table

    header, records = read(path)
    frame = table(header, records)
    if format_ == "csv":
        return formats.csv(frame)
    if format_ == "parquet" and out is not None:
        formats.parquet(frame, out)
        return ""
    measured = formats.values(frame)
    if format_ == "junit":
        return formats.junit(header, records, measured)
    if not measured and (frame["status"] == "ok").any() and set(frame["task"]) == {"max_batch"}:
        raise RunFileError(
            f"run '{path}' holds only largest batches (task max_batch), expected times, memory or "
            f"energy of calls, which is what {format_} carries; take --format csv, parquet or junit"
        )
    if not measured:
        raise RunFileError(
            f"run '{path}' measured no case, expected at least one for {format_}; "
            "'linbench show' says why"
        )
    for case_id, reason in formats.left_out(frame, measured).items():
        print(f"linbench: left out {case_id}: {reason}", file=sys.stderr)
    return formats.bmf(measured) if format_ == "bmf" else formats.github(measured, header)
