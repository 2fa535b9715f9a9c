"""What several verbs share: how a RUN argument names a run file, and how tables are printed."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.errors import RunFileError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Column, Table

RESULTS = Path("results")

ResultsOption = Annotated[
    Path, typer.Option("--results", help="The folder where run names and 'latest' are looked up.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines, nothing else.")]


def run_files(results: Path = RESULTS) -> list[Path]:
    """Return the run files of a folder, oldest first."""
    return sorted(results.glob("*.jsonl"), key=lambda path: (path.stat().st_mtime_ns, path.name))


def find_run(run: str, results: Path = RESULTS) -> Path:
    """Return the file that a RUN argument names: a path, a name found in `results`, or `latest`.

    A folder of files that pytest-benchmark wrote is a run too.

    Raises:
        RunFileError: there is no such run; the text says where it was looked for.
    """
    if run == "latest":
        found = run_files(results)
        if not found:
            raise RunFileError(
                f"no run in '{results}', expected *.jsonl files; "
                "measure one with 'linbench sweep' or name the folder with --results"
            )
        return found[-1]
    for path in (Path(run), results / run, results / f"{run}.jsonl"):
        if path.is_file():
            return path
    if any(Path(run).glob("*.json")):
        return Path(run)
    near = did_you_mean(run, [path.stem for path in run_files(results)])
    raise RunFileError(
        f"no run '{run}': neither a file nor a name in '{results}'"
        f"{near or '; see linbench list runs'}"
    )


def console() -> "Console":
    """Return where tables go: as wide as the terminal, and whole in a pipe, which has no width.

    Text is printed as it is: names of benchmarks may look like markup, `sort[quick]`.
    """
    from rich.console import Console

    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 200
    return Console(highlight=False, markup=False, width=width)


def plain_table(*columns: "str | Column") -> "Table":
    """Return an empty table without lines."""
    from rich.table import Table

    return Table(*columns, box=None, pad_edge=False, header_style="bold")


def warn_if_busy() -> str | None:
    """Warn on stderr that other programs use the machine, and return what was said."""
    from linbench.probes import machine

    busy = machine.busy()
    if busy:
        print(f"linbench: warning: {busy}", file=sys.stderr)
    return busy
