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
    from linbench.run.record import read

    header, records = read(find_run(run, results))
    if json_:
        lines = [record.model_dump(mode="json") for record in records]
        print(json.dumps({"run": header.model_dump(mode="json"), "records": lines}))
        return
    from linbench.cli.tables import print_reasons, records_table
    from linbench.run.runs import Run

    machine = header.machine
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
    console().print(records_table(Run(header, tuple(records))))
    print()
    print_reasons(records)
    for record in records:
        for warning in record.warnings:
            print(f"warning: {record.case.title} round {record.round}: {warning}")
