"""Writing a run file: whole lines, flushed, one writer at a time, nothing lost when it fails."""

import fcntl
import os
import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self

from linbench.errors import RunFileError
from linbench.run.record import Header, Record, read_lines, sound, to_line


class Journal(AbstractContextManager["Journal"]):
    """An open run file that records are appended to. Close it, or use it as a context manager."""

    def __init__(self, path: Path, descriptor: int, header: Header) -> None:
        """Lock an open file; `create` and `reopen` open one."""
        self.path = path
        self.header = header
        self.records: list[Record] = []
        self._descriptor = descriptor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self.close()
            raise RunFileError(
                f"'{path}' is being written by another sweep; wait for it, or choose another --name"
            ) from None

    @classmethod
    def create(cls, path: Path, header: Header) -> Self:
        """Start a new run file with its header.

        Raises:
            RunFileError: the file exists already, or cannot be written.
        """
        if path.exists():
            raise RunFileError(
                f"run '{path}' exists already; choose another --name, or continue it "
                f"with --resume {path.stem}"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        except OSError as error:
            raise RunFileError(
                f"cannot write '{path}': {error.strerror}; choose another folder with --out"
            ) from None
        journal = cls(path, descriptor, header)
        try:
            journal._write(to_line(header))
        except RunFileError:
            path.unlink()
            journal.close()
            raise
        return journal

    @classmethod
    def reopen(cls, path: Path) -> Self:
        """Open a run file to continue it; a torn last line is cut off.

        Raises:
            RunFileError: the file is broken, cannot be written, or another process writes to it.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise RunFileError(f"cannot continue run '{path}': {error.strerror}") from None
        journal = cls(path, descriptor, Header.model_construct())
        content = path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the torn line is mended here
                journal.header, journal.records = read_lines(path, content)
        except RunFileError:
            journal.close()
            raise
        os.ftruncate(descriptor, content.rfind(b"\n") + 1)
        return journal

    def append(self, record: Record) -> Record:
        """Write one record, and return it as written, see `sound`.

        Raises:
            RunFileError: it cannot be written; the file keeps every record before it, whole.
        """
        record = sound(record, self.header)
        self._write(to_line(record))
        self.records.append(record)
        return record

    def _write(self, line: str) -> None:
        size = os.fstat(self._descriptor).st_size
        left = memoryview(line.encode())
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError as error:
            os.ftruncate(self._descriptor, size)
            raise RunFileError(
                f"cannot write to '{self.path}': {error.strerror}; its {len(self.records)} records "
                f"are whole; make room, then continue with --resume {self.path.stem}"
            ) from None

    def close(self) -> None:
        """Close the file and give up the lock."""
        os.close(self._descriptor)

    def __exit__(self, *error: object) -> None:
        """Close."""
        self.close()
