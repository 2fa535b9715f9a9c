"""Put the files of a report into its folder."""

from pathlib import Path

from linbench.errors import RunFileError


def write(path: Path, content: bytes) -> Path:
    """Write a file into its folder, which is made if it is not there, and return its path.

    Raises:
        RunFileError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise RunFileError(
            f"cannot write the report to '{path.parent}': {error.strerror}; choose another --out"
        ) from None
    return path
