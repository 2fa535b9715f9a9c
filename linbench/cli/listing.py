"""`linbench list`: what runs, suites and implementations there are."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, run_files

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
    from rich.table import Table

    table = Table(*rows[0], box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*("" if value is None else str(value) for value in row.values()))
    console().print(table)


def _runs(results: Path) -> list[Row]:
    import warnings

    from linbench.errors import RunFileError
    from linbench.run.record import read

    rows: list[Row] = []
    for path in run_files(results):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a torn line is told when the run is used
                header, records = read(path)
        except RunFileError as error:
            rows.append({"run": path.stem, "created": None, "suite": None, "cases": None,
                         "records": None, "machine": None, "problem": str(error)})  # fmt: skip
            continue
        rows.append(
            {
                "run": path.stem,
                "created": header.created,
                "suite": header.suite.get("name"),
                "cases": len({record.case_id for record in records}),
                "records": len(records),
                "machine": header.measured_on,
                "problem": None,
            }
        )
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
