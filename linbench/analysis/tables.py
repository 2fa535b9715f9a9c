"""Several run files -> one table, with the header of each run."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linbench import record

if TYPE_CHECKING:
    import pandas as pd


def load_all(paths: Sequence[Path]) -> "tuple[list[dict[str, Any]], pd.DataFrame]":
    """Read run files into their headers and one table; `run_id` tells the runs apart.

    A run that is named twice counts once. Runs of one name that were made at different times (a job
    that always names its run alike) are all kept, and told apart by when they were made.

    Raises:
        RunFileError: a file cannot be read, see `linbench.record.load`.
    """
    import pandas as pd

    loaded: dict[str, tuple[dict[str, Any], pd.DataFrame]] = {}
    for path in paths:
        header, frame = record.load(path)
        name = header["run_id"]
        if name in loaded and loaded[name][0]["created"] != header["created"]:
            header["run_id"] = frame["run_id"] = f"{name} of {header['created']}"
        loaded.setdefault(header["run_id"], (header, frame))
    headers = [header for header, _ in loaded.values()]
    return headers, pd.concat([frame for _, frame in loaded.values()], ignore_index=True)
