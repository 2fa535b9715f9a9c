"""`linbench paper`: a run beside Table 3 of the Linformer paper."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run
from linbench.errors import RunFileError

if TYPE_CHECKING:
    from rich.table import Table

    from linbench.analysis.paper import Comparison, Saved


def paper(
    run: Annotated[str, typer.Argument(help="A run: a path, a name, or latest.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Hold a run against Table 3 of the Linformer paper: time and memory saved, cell by cell.

    Ours stand with 95 % intervals beside the paper's numbers, over vanilla and over the best exact
    implementation, then what was not measured and why, and what can be compared at all. The run
    must hold Linformer with layerwise sharing and an exact implementation; the suite paper-table3
    measures the whole table.

    Example: linbench paper latest
    """
    from linbench.analysis.paper import comparisons, to_json
    from linbench.record import load
    from linbench.report import paper as text

    path = find_run(run, results)
    header, frame = load(path)
    found = comparisons(frame)
    if not found:
        raise RunFileError(
            f"run '{path}' has nothing of Table 3, expected a forward pass of linformer with "
            "layerwise sharing and of an exact implementation; measure them with "
            "'linbench sweep paper-table3'"
        )
    if json_:
        print(json.dumps(to_json(found), allow_nan=False))
        return
    out = console()
    for one in found:
        out.print(f"{one.panel.label}, run {one.panel.run_id}\n", style="bold")
        for saved in text.compared(one):
            for best in (False, True):
                title = text.over_best(one, saved) if best else text.over_vanilla(saved)
                out.print(title, style="bold")
                out.print(_table(one, saved, best=best))
                print()
        for heading, lines in (
            ("found", text.findings(one)),
            ("not measured", text.missing(one)),
            ("what can be compared", text.notes(one, header)),
        ):
            if lines:
                out.print(heading, style="bold")
            for line in lines:
                print(f"- {line}")
            print()


def _table(one: "Comparison", saved: "Saved", *, best: bool) -> "Table":
    from rich.table import Table

    from linbench.report.paper import grid

    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for name in ("n", *(f"k={k}" for k in one.ks)):
        table.add_column(name, no_wrap=True)
    for n, cells in grid(one, saved, best=best):
        # two lines a cell, or five of them would not fit a terminal
        texts = (f"{value} {beside}\n{grounds}".strip() for value, grounds, beside in cells)
        table.add_row(str(n), *texts)
    return table
