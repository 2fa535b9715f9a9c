"""`linbench report`: a report with figures from one or more runs."""

from pathlib import Path
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, ResultsOption, find_run
from linbench.errors import UsageError, did_you_mean

FORMATS = ("md",)


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="A path, a name or 'latest'.")
    ],
    out: Annotated[Path, typer.Option(help="The folder that gets a folder per report.")] = Path(
        "reports"
    ),
    format_: Annotated[
        str, typer.Option("--format", help="What to write: md (Markdown with PNG figures).")
    ] = "md",
    results: ResultsOption = RESULTS,
) -> None:
    """Write a report: what grows how, who wins from which n, with figures and all tables.

    It goes to `OUT/NAME/report.md`, with its figures beside it; the path is printed. Several
    runs go into one report, named after the first, with a section each.

    Example: linbench report latest --out reports
    """
    _check(format_)
    from linbench.analysis.tables import load_all
    from linbench.report.assemble import report_of
    from linbench.report.markdown import write

    paths = [find_run(run, results) for run in runs]
    headers, frame = load_all(paths)
    print(write(report_of(headers, frame), out / paths[0].stem))


def _check(formats: str) -> None:
    for name in formats.split(","):
        if name not in FORMATS:
            raise UsageError(
                f"--format '{name}' is not available, expected {' or '.join(FORMATS)}"
                f"{did_you_mean(name, FORMATS)}"
            )
