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
    anything else that is exact, is.

    Example: `linbench compare results/a.jsonl results/b.jsonl`
    """
    from linbench import words
    from linbench.run.runs import Run
    from linbench.studies.compare import cases as study

    first, second = (Run.read(find_run(run, results)) for run in (a, b))
    found = study.compare(first, second)
    same_machine = first.fingerprint == second.fingerprint
    ids = {a: first.by_case().keys(), b: second.by_case().keys()}
    only = {a: sorted(ids[a] - ids[b]), b: sorted(ids[b] - ids[a])}
    if json_:
        said = {"same_machine": same_machine, "comparisons": study.to_json(found), "only": only}
        print(json.dumps(said))
        return
    from rich.table import Table

    several = len({case.key.problem for case in found}) > 1
    columns = (*(["at"] if several else []), "case", "metric", "B / A", "95 %", "")
    table = Table(*columns, box=None, header_style="bold")
    for case in found:
        at = [case.key.problem_label] if several else []
        ratio = f"{case.ratio.value:.3f}" if case.ratio else ""
        ends = words.ends(case.ratio) if case.ratio else ""
        why = f": {case.incomparable}" if case.incomparable else ""
        table.add_row(*at, case.label, case.metric.name, ratio, ends, case.verdict + why)
    console().print(table)
    if disturbed := sum(case.disturbed for case in found):
        print(
            f"{disturbed} rounds took 1.5 times as long as others of their case, and have no weight"
        )
    if not same_machine:
        print("the runs are from different machines: times and energy are not compared")
    for run, cases in only.items():
        if cases:
            print(f"only in {run}: {', '.join(cases)}")
    if not found:
        print("no case was measured in both runs")
