"""Put the files of a report into its folder."""

from collections.abc import Iterable
from pathlib import Path

from linbench.errors import RunFileError


def write(folder: Path, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a folder, which is made first if it is not there.

    Args:
        folder: Where to. Files of the same names are replaced.
        files: The name of each file and what it holds.

    Raises:
        RunFileError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files:
            (folder / name).write_bytes(content)
    except OSError as error:
        raise RunFileError(
            f"cannot write the report to '{folder}': {error.strerror}; choose another --out"
        ) from None
