"""The door for pandas users: a run file as its header and a table, as CSV and as Parquet.

`load` and `table` are public and stable.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench.errors import UsageError
from linbench.run.case import Case, k_text
from linbench.run.metrics import KNOWN
from linbench.run.record import Record
from linbench.run.runs import Run

if TYPE_CHECKING:
    import pandas as pd

_ARROW = {"integer": "int64", "number": "double", "boolean": "bool"}


def load(path: str | Path) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Read a run file as its header and a table with a row per record.

    Returns:
        The header as a dict, and a DataFrame: `case_id`, every case field, `round`, `status`,
        `reason`, a column per metric with its value (`metric_NAME` where a field of the case or
        the record has its name), `seconds` (the raw samples of time, a list),
        `memory_source`, `warnings`, `started`, `duration_s`, and `detail` as a dict. `peak_bytes`
        and `energy_j` are the values of memory and energy, as they were called first. `run_id` and
        `fingerprint` tell runs and machines apart when tables are put together.

    Raises:
        RunFileError: there is no such file, it is broken, or of a newer schema.
    """
    run = Run.read(Path(path))
    return run.header.model_dump(mode="json"), table(run)


def table(run: Run) -> "pd.DataFrame":
    """Return the table of a run, as `load` describes it."""
    import pandas as pd

    first = ["run_id", "fingerprint", "case_id", *Case.model_fields, "round", "status", "reason"]
    last = ["seconds", "peak_bytes", "memory_source", "energy_j", "detail", "node", "warnings"]
    last += ["started", "duration_s"]
    metrics = dict.fromkeys([*KNOWN, *(name for record in run.records for name in record.metrics)])
    taken = {*first, *last}
    names = {name: f"metric_{name}" if name in taken else name for name in metrics}
    rows = [_row(run, record, names) for record in run.records]
    # object, so that an int k beside a None stays an int and the None stays None
    frame = pd.DataFrame(rows, columns=[*first, *names.values(), *last], dtype=object)
    whole = ("seq", "d_model", "heads", "batch", "seed", "round", "layers")
    types = {name: "int64" for name in whole if frame[name].notna().all()}
    types |= dict.fromkeys([*names.values(), "peak_bytes", "energy_j", "duration_s"], "float64")
    return frame.astype(types)


def _row(run: Run, record: Record, names: dict[str, str]) -> dict[str, Any]:
    fields = record.model_dump()
    memory = record.metrics.get("memory")
    return {
        "run_id": run.run_id,
        "fingerprint": run.fingerprint,
        **fields.pop("case"),
        **fields,
        **{column: record.value(name) for name, column in names.items()},
        "seconds": record.samples("time"),
        "peak_bytes": record.value("memory"),
        "memory_source": memory.source if memory else None,
        "energy_j": record.value("energy"),
    }


def csv(run: Run) -> str:
    """Write the table as CSV; lists and objects are JSON text."""
    import pandas as pd

    flat = pd.DataFrame(_flat(table(run), ()), dtype=object)  # object: a k beside none stays whole
    return flat.to_csv(index=False, lineterminator="\n")


def parquet(run: Run, path: Path) -> None:
    """Write the table as a Parquet file.

    Columns have the types of the run file's fields, whatever the run holds; metrics are double,
    objects JSON text. Where k is given per layer, all of its column is text (`256/128/64`).

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet as pq
    except ImportError:
        raise UsageError(
            "--format parquet needs pyarrow, which is not installed; "
            "pip install 'linbench[parquet]', or take --format csv"
        ) from None
    frame, kinds = table(run), _kinds()
    columns = {}
    for name, cells in _flat(frame, [n for n, kind in kinds.items() if "list" in kind]).items():
        kind = kinds.get(name, "string") if frame[name].dtype == object else str(frame[name].dtype)
        if name == "k" and any(isinstance(k, str) for k in cells):
            kind = "string"
        item = pa.type_for_alias(kind.removeprefix("list of "))
        type_ = pa.list_(item) if "list" in kind else item
        columns[name] = pa.array(cells, type_, from_pandas=True)
    pq.write_table(pa.table(columns), path)


def _kinds() -> dict[str, str]:
    """Return what each column is in Parquet, by the name of a type of Arrow."""
    kinds = {"seconds": "list of double"}
    for model in (Record, Case):
        for name, field in model.model_json_schema()["properties"].items():
            kinds[name] = "string"
            for choice in field.get("anyOf", [field]):
                items = choice.get("items", {}).get("type")
                if choice.get("type") in _ARROW:
                    kinds[name] = _ARROW[choice["type"]]
                elif items == "string" or (items in _ARROW and name != "k"):
                    kinds[name] = f"list of {_ARROW.get(items, items)}"
    return kinds


def _flat(frame: "pd.DataFrame", lists: Sequence[str]) -> dict[str, list[Any]]:
    """Return columns without objects in their cells; lists stay only in the columns named."""
    flat = {}
    for name in map(str, frame.columns):
        cells = frame[name].tolist()
        if name == "k" and any(isinstance(k, tuple | list) for k in cells):
            cells = [None if k is None else k_text(k) for k in cells]
        flat[name] = cells if name in lists else [_text(cell) for cell in cells]
    return flat


def _text(cell: Any) -> Any:
    return json.dumps(cell) if isinstance(cell, dict | list | tuple) else cell
