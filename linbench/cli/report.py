"""`linbench report`: a report with figures from one or more runs."""

from pathlib import Path
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, ResultsOption, find_run
from linbench.errors import UsageError, did_you_mean

FORMATS = ("md", "html")


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="A path, a name or 'latest'.")
    ],
    out: Annotated[Path, typer.Option(help="The folder that gets a folder per report.")] = Path(
        "reports"
    ),
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="What to write: md (Markdown with PNG figures), html (one file with charts to "
            "explore, works offline), or both.",
        ),
    ] = "md,html",
    results: ResultsOption = RESULTS,
) -> None:
    """Write a report: what grows how, who wins from which n, with figures and all tables.

    It goes to `OUT/NAME/report.md`, with its figures beside it, and `OUT/NAME/report.html`; the
    paths are printed. Several runs go into one report, named after the first: each has sections of
    its own, and what they measured alike is compared with the first.

    Runs of three or more revisions on one machine get their history too (see linbench history).

    Example: linbench report latest --out reports
    """
    formats = dict.fromkeys(name.strip() for name in format_.split(","))
    for name in formats:
        if name not in FORMATS:
            raise UsageError(
                f"--format '{name}' is not available, expected {' or '.join(FORMATS)}"
                f"{did_you_mean(name, FORMATS)}"
            )
    from linbench.report import html, markdown
    from linbench.run.runs import Runs
    from linbench.studies import report_of

    paths = [find_run(run, results) for run in runs]
    made = report_of(Runs.read(paths))
    writers = {"md": markdown.write, "html": html.write}
    for name in formats:
        print(writers[name](made, out / paths[0].stem))
