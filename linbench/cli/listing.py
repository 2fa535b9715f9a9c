"""`linbench list`: what runs, suites and implementations there are."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, plain_table, run_files

What = Literal["runs", "suites", "impls"]
Row = dict[str, str | int | None]


def list_(
    what: Annotated[What, typer.Argument(help="runs, suites or impls.")],
    results: ResultsOption = RESULTS,
    json_: JsonOption = False,
) -> None:
    """List runs, suites or implementations.

    Example: linbench list suites
    """
    rows = {"runs": lambda: _runs(results), "suites": _suites, "impls": _impls}[what]()
    if json_:
        print(json.dumps(rows))
        return
    if not rows:
        print(f"no {what} in '{results}'; measure one with 'linbench sweep'")
        return
    table = plain_table(*rows[0])
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console().print(table)


def _runs(results: Path) -> list[Row]:
    import warnings

    from linbench.errors import RunFileError
    from linbench.run.runs import Run

    rows: list[Row] = []
    for path in run_files(results):
        columns = ("run", "created", "suite", "cases", "records", "machine", "problem")
        row: Row = {**dict.fromkeys(columns), "run": path.stem}
        rows.append(row)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `show` reports a torn line
                run = Run.read(path)
        except RunFileError as error:
            row["problem"] = str(error)
            continue
        row["created"] = run.header.created
        row["suite"] = run.header.suite.get("name")
        row["cases"] = len(run.by_case())
        row["records"] = len(run.records)
        row["machine"] = run.header.measured_on
    return rows


def _suites() -> list[Row]:
    import tomllib

    from linbench.plan import suite

    rows: list[Row] = []
    for path in suite.files():
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8")).get("description", "")
        except (tomllib.TOMLDecodeError, OSError, UnicodeDecodeError) as error:
            said = f"cannot be read: {error}"
        rows.append({"suite": path.stem, "description": said, "file": str(path)})
    return rows


def _impls() -> list[Row]:
    from linbench import attention
    from linbench.probes import machine

    device = "cpu" if machine.no_cuda_reason() else "cuda"
    return [
        {
            "implementation": name,
            "from": "built in" if name in attention.BUILTIN else "plug-in",
            f"on {device}": attention.unavailable(name, device) or "available",
        }
        for name in attention.names()
    ]
