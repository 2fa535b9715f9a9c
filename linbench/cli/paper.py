"""`linbench paper`: runs beside Table 3 of the Linformer paper."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run
from linbench.errors import RunFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from linbench.studies.paper.savings import Gain
    from linbench.studies.paper.section import Grid


def paper(
    runs: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="A path, a name or 'latest' (the default)."),
    ] = None,
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Hold runs against Table 3 of the Linformer paper: time and memory saved, cell by cell.

    Ours stand with 95 % intervals beside the paper's numbers, over vanilla and over the best exact
    implementation, then what was found, and what was not measured and why. A run must hold
    Linformer with layerwise sharing and an exact implementation; the suite paper-table3 measures
    the whole table. docs/paper.md says how the paper's numbers read.

    Example: linbench paper latest
    """
    from linbench.run.runs import Runs
    from linbench.studies.paper import section
    from linbench.studies.paper.savings import to_json
    from linbench.studies.paper.table3 import tables_of

    paths = [find_run(run, results) for run in runs or ["latest"]]
    read = Runs.read(paths)
    found = tables_of(read)
    if not found:
        raise RunFileError(
            f"run '{paths[0]}' has nothing of Table 3, expected a forward pass of linformer with "
            "layerwise sharing and of an exact implementation; measure them with "
            "'linbench sweep paper-table3'"
        )
    if json_:
        print(json.dumps(to_json(found), allow_nan=False))
        return
    out = console()
    for table in found:
        out.print(f"{table.panel.label}, run {table.panel.run_id}\n", style="bold")
        for title, grid in section.grids(table):
            out.print(title, style="bold")
            out.print(_screen(table.ks, grid))
            print()
        for heading, lines in (
            ("found", section.findings(table)),
            ("not measured", section.missing(table)),
            ("what was compared", section.notes(table, read.header(table.panel.run_id))),
        ):
            if lines:
                out.print(heading, style="bold")
            for line in lines:
                print(f"- {line}")
            print()


def _screen(ks: "Sequence[int]", grid: "Grid") -> "Table":
    from rich.table import Table

    screen = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("n", *(f"k={k}" for k in ks)):
        screen.add_column(name, no_wrap=True)
    for n, row in grid.items():
        screen.add_row(str(n), *(_two_lines(*row[k]) if k in row else "" for k in ks))
    return screen


def _two_lines(gain: "Gain", mark: str) -> str:
    """Write a cell in two lines, or five of them would not fit a terminal."""
    from linbench.studies.paper.section import texts

    value, grounds = texts(gain)
    return f"{value} {mark}\n{grounds}".strip()
