"""`linbench show`: one run, as a table or as JSON."""

import json
from typing import Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console


def show(
    run: Annotated[str, typer.Argument(help="A run: a path, a name, or latest.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """Show what a run measured: machine, command, a row per case, warnings.

    Example: linbench show latest
    """
    from linbench.cli.common import find_run
    from linbench.record import measured_on, read

    path = find_run(run, results)
    header, records = read(path)
    if json_:
        lines = [record.model_dump(mode="json") for record in records]
        print(json.dumps({"run": header.model_dump(mode="json"), "records": lines}))
        return
    from linbench.cli.tables import print_reasons, records_table

    machine = header.machine
    print(f"run      {header.run_id}, {header.created}, linbench {header.linbench}")
    if header.argv:
        print(f"command  {' '.join(header.argv)}")
    known = [
        measured_on(header.model_dump()) or "unknown",
        f"{machine.cores} cores" if machine.cores else None,
        f"torch {machine.torch}" if machine.torch else None,
        f"fingerprint {machine.fingerprint}",
    ]
    print(f"machine  {', '.join(filter(None, known))}")
    if header.git:
        dirty = ", with uncommitted changes" if header.git.get("dirty") else ""
        print(f"git      {str(header.git.get('commit'))[:12]}{dirty}")
    print()
    console().print(records_table(records))
    print()
    print_reasons(records)
    for record in records:
        for warning in record.warnings:
            where = f"{record.case.label} n={record.case.seq} round {record.round}"
            print(f"warning: {where}: {warning}")
