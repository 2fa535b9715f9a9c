"""Several run files -> one table, with the header of each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench import record

if TYPE_CHECKING:
    import pandas as pd


def load_all(paths: Sequence[Path]) -> "tuple[list[dict[str, Any]], pd.DataFrame]":
    """Read run files into their headers and one table; `run_id` tells the runs apart.

    A run that is named twice counts once.

    Raises:
        RunFileError: a file cannot be read, see `linbench.record.load`.
    """
    import pandas as pd

    loaded: dict[str, tuple[dict[str, Any], pd.DataFrame]] = {}
    for path in paths:
        header, frame = record.load(path)
        loaded.setdefault(header["run_id"], (header, frame))
    headers = [header for header, _ in loaded.values()]
    return headers, pd.concat([frame for _, frame in loaded.values()], ignore_index=True)
