"""The door for pandas users: a run file as its header and a table. Public and stable."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench.run.formats.frames import table
from linbench.run.record import read

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["load", "table"]


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
    header, records = read(Path(path))
    return header.model_dump(mode="json"), table(header, records)
