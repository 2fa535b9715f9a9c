"""The door for pandas users: a run file as its header and a table. Public and stable."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench.run.case import Case
from linbench.run.metrics import KNOWN
from linbench.run.record import Header, Record, read

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "table"]

_WHOLE = ("round", "layers")
_NUMBERS = ("peak_bytes", "energy_j", "duration_s")


def load(path: str | Path) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Read a run file as its header and a table with a row per record.

    Returns:
        The header as a dict, and a DataFrame: `case_id`, every case field, `round`, `status`,
        `reason`, a column per metric with its value, `seconds` (the raw samples of time, a list),
        `memory_source`, `warnings`, `started`, `duration_s`, and `detail` as a dict. `peak_bytes`
        and `energy_j` are the values of memory and energy, as they were called first. `run_id` and
        `fingerprint` tell runs and machines apart when tables are put together.

    Raises:
        RunFileError: there is no such file, it is broken, or of a newer schema.
    """
    header, records = read(Path(path))
    return header.model_dump(mode="json"), table(header, records)


def table(header: Header, records: list[Record]) -> "pd.DataFrame":
    """Return the table of a run, as `load` describes it."""
    import pandas as pd

    names = list(dict.fromkeys([*KNOWN, *(name for record in records for name in record.metrics)]))
    rows = [_row(header, record, names) for record in records]
    columns = ["run_id", "fingerprint", "case_id", *Case.model_fields, "round", "status", "reason"]
    columns += [*names, "seconds", "peak_bytes", "memory_source", "energy_j", "detail"]
    columns += ["node", "warnings", "started", "duration_s"]
    # object, so that an int k beside a None stays an int and the None stays None
    frame = pd.DataFrame(rows, columns=list(dict.fromkeys(columns)), dtype=object)
    for name in ("seq", "d_model", "heads", "batch", "seed", *_WHOLE):
        if frame[name].notna().all():
            frame[name] = frame[name].astype("int64")
    for name in (*names, *_NUMBERS):
        frame[name] = frame[name].astype("float64")
    return frame


def _row(header: Header, record: Record, names: list[str]) -> dict[str, Any]:
    fields = record.model_dump()
    memory = record.metrics.get("memory")
    values = {name: record.value(name) for name in names}
    return {
        "run_id": header.run_id,
        "fingerprint": header.machine.fingerprint,
        **fields.pop("case"),
        **fields,
        **values,
        "seconds": record.samples("time"),
        "peak_bytes": values["memory"],
        "memory_source": memory.source if memory else None,
        "energy_j": values["energy"],
    }
