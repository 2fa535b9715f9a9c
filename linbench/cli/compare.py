"""`linbench compare`: two runs, case by case."""

import json
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run


def compare(
    a: Annotated[str, typer.Argument(help="The first run: a path, a name, or latest.")],
    b: Annotated[str, typer.Argument(help="The second run.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Compare two runs case by case: B over A, with 95 % intervals.

    Cases are matched by id. Times of different machines are not compared; memory is.

    Example: `linbench compare results/a.jsonl results/b.jsonl`
    """
    from linbench.analysis import compare as analysis
    from linbench.analysis import numbers
    from linbench.record import load

    (head_a, frame_a), (head_b, frame_b) = (load(find_run(run, results)) for run in (a, b))
    found = analysis.compare(frame_a, frame_b)
    only = {
        run: sorted(set(ours["case_id"]) - set(others["case_id"]))
        for run, ours, others in ((a, frame_a, frame_b), (b, frame_b, frame_a))
    }
    same_machine = head_a["machine"]["fingerprint"] == head_b["machine"]["fingerprint"]
    if json_:
        said = {"same_machine": same_machine, "comparisons": analysis.to_json(found), "only": only}
        print(json.dumps(said))
        return
    from rich.table import Table

    several = len({one.at for one in found}) > 1
    columns = ("case", "metric", "B / A", "95 %", "")
    table = Table(*(("at",) if several else ()), *columns, box=None, header_style="bold")
    for one in found:
        ratio = f"{one.ratio.value:.3f}"
        verdict = one.verdict + (f": {one.incomparable}" if one.incomparable else "")
        cells = (one.label, one.metric, ratio, numbers.ends(one.ratio), verdict)
        table.add_row(*((one.at,) if several else ()), *cells)
    console().print(table)
    if disturbed := sum(one.disturbed for one in found):
        print(f"{disturbed} rounds took 1.5 times as long as others of their case; without weight")
    if not same_machine:
        print("the runs are from different machines: times are not compared")
    for run, cases in only.items():
        if cases:
            print(f"only in {run}: {', '.join(cases)}")
    if not found:
        print("no case was measured in both runs")
