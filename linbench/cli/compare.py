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

    Cases are matched by id. Times and energy of different machines are not compared; memory, and
    what else is exact, is.

    Example: `linbench compare results/a.jsonl results/b.jsonl`
    """
    from linbench import words
    from linbench.run.record import read
    from linbench.run.runs import Run
    from linbench.studies.compare import cases as study

    read_ = (read(find_run(run, results)) for run in (a, b))
    first, second = (Run(header, tuple(records)) for header, records in read_)
    found = study.compare(first, second)
    same_machine = first.fingerprint == second.fingerprint
    ids = {a: first.by_case().keys(), b: second.by_case().keys()}
    only = {a: sorted(ids[a] - ids[b]), b: sorted(ids[b] - ids[a])}
    if json_:
        said = {"same_machine": same_machine, "comparisons": study.to_json(found), "only": only}
        print(json.dumps(said))
        return
    from rich.table import Table

    several = len({one.key.problem for one in found}) > 1
    columns = ("case", "metric", "B / A", "95 %", "")
    table = Table(*(("at",) if several else ()), *columns, box=None, header_style="bold")
    for one in found:
        ratio, ends = (f"{one.ratio.value:.3f}", words.ends(one.ratio)) if one.ratio else ("", "")
        verdict = one.verdict + (f": {one.incomparable}" if one.incomparable else "")
        at = (one.key.problem_label,) if several else ()
        table.add_row(*at, one.label, one.metric.name, ratio, ends, verdict)
    console().print(table)
    if disturbed := sum(one.disturbed for one in found):
        print(f"{disturbed} rounds took 1.5 times as long as others of their case; without weight")
    if not same_machine:
        print("the runs are from different machines: times and energy are not compared")
    for run, cases in only.items():
        if cases:
            print(f"only in {run}: {', '.join(cases)}")
    if not found:
        print("no case was measured in both runs")
