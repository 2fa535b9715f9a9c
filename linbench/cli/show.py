"""`linbench show`: one run, as a table or as JSON."""

import json
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run


def show(
    run: Annotated[str, typer.Argument(help="A run: a path, a name, or latest.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Show what a run measured: machine, command, a row per case, warnings.

    Example: linbench show latest
    """
    from linbench.run.runs import Run

    found = Run.read(find_run(run, results))
    header, machine = found.header, found.header.machine
    if json_:
        lines = [record.model_dump(mode="json") for record in found.records]
        print(json.dumps({"run": header.model_dump(mode="json"), "records": lines}))
        return
    from linbench.cli.tables import print_reasons, records_table

    print(f"run      {header.run_id}, {header.created}, linbench {header.linbench}")
    if header.argv:
        print(f"command  {' '.join(header.argv)}")
    known = [
        header.measured_on or "unknown",
        f"{machine.cores} cores" if machine.cores else None,
        f"torch {machine.torch}" if machine.torch else None,
        f"fingerprint {machine.fingerprint}",
    ]
    print(f"machine  {', '.join(filter(None, known))}")
    if header.git:
        dirty = ", with uncommitted changes" if header.git.dirty else ""
        print(f"git      {str(header.git.commit)[:12]}{dirty}")
    print()
    console().print(records_table(found))
    print()
    print_reasons(found.records)
    for warning in header.warnings:
        print(f"warning: {warning}")
    for record in found.records:
        for warning in record.warnings:
            print(f"warning: {record.case.title} round {record.round}: {warning}")
