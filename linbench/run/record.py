"""What a run leaves behind: a header and a record per round of a case, in typed objects.

One JSONL file holds them, a header line first (schema 2; see docs/run-file.md). It is the contract
between measuring and judging. Writers append whole lines and flush each; readers drop a torn last
line (a killed writer) with a warning and refuse anything else that is broken, naming the line.
What pytest-benchmark saved is read as a run too.
"""

import json
import warnings
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from linbench.errors import RunFileError
from linbench.run.formats import pytest_benchmark, schema1
from linbench.run.lines import (
    SCHEMA,
    Ceilings,
    Check,
    Counts,
    Detail,
    Git,
    Header,
    Machine,
    Memory,
    Node,
    Record,
    Status,
    Timing,
    first_fault,
    flaw_in,
    sound,
    to_line,
)

__all__ = [
    "SCHEMA", "Ceilings", "Check", "Counts", "Detail", "Git", "Header", "Machine", "Memory",
    "Node", "Record", "Status", "Timing", "flaw_in", "json_schema", "read", "read_lines",
    "sound", "to_line",
]  # fmt: skip

Line = TypeVar("Line", Header, Record)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a run file."""
    return TypeAdapter(Header | Record).json_schema(mode="serialization", by_alias=True)


def read(path: Path) -> tuple[Header, list[Record]]:
    """Read a run: a run file, or what pytest-benchmark saved.

    Raises:
        RunFileError: there is no such file, a line is broken (other than a torn last one, which is
            dropped with a warning), or the file is of a newer schema.
    """
    if path.is_dir():
        return pytest_benchmark.read(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunFileError(
            f"cannot read run '{path}': {error.strerror}; expected a .jsonl file that "
            "'linbench sweep' wrote (see 'linbench list runs')"
        ) from None
    if pytest_benchmark.wrote(path, content):
        return pytest_benchmark.read(path)
    return read_lines(path, content)


def read_lines(path: Path, content: bytes) -> tuple[Header, list[Record]]:
    """Read the content of a run file; `path` is for messages. Raises as `read` does."""
    *lines, torn = content.split(b"\n")
    if not lines:
        raise RunFileError(f"'{path}' holds no complete line, expected a run header; sweep again")
    header = _parse(path, 1, lines[0], Header, SCHEMA)
    if torn:
        warnings.warn(f"{path}: the last line is torn (a killed writer); dropped", stacklevel=2)
    schema = header.schema_
    header = header.model_copy(update={"schema_": SCHEMA})
    records: list[Record] = []
    seen: dict[tuple[str, int], int] = {}
    for number, line in enumerate(lines[1:], start=2):
        record = _parse(path, number, line, Record, schema)
        if flaw := flaw_in(record, header):
            raise RunFileError(f"{path} line {number}: {flaw}; delete that line")
        first = seen.setdefault((record.case_id, record.round), number)
        if first != number:
            twice = f"case '{record.case_id}' round {record.round} is on lines {first} and {number}"
            warnings.warn(f"{path}: {twice}; the later one counts", stacklevel=2)
        records.append(record)
    if schema == 1:
        searches = {r.case.task for r in records if r.case.task in r.metrics}
        metrics = [schema1.batch_of(task) for task in sorted(searches)]
        header = header.model_copy(update={"metrics": metrics})
    return header, records


def _parse(path: Path, number: int, line: bytes, kind: type[Line], schema: int) -> Line:
    expected = "run" if kind is Header else "record"
    try:
        entry = json.loads(line.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        if kind is Header:
            raise RunFileError(
                f"'{path}' is not a run file, line 1 is not JSON; "
                "is this a file that 'linbench sweep' wrote?"
            ) from None
        raise RunFileError(
            f"{path} line {number} is not JSON ({error}); restore the file or delete that line"
        ) from None
    if not isinstance(entry, dict) or entry.get("type") != expected:
        found = entry.get("type") if isinstance(entry, dict) else type(entry).__name__
        raise RunFileError(
            f"{path} line {number} is of type {found!r}, expected {expected!r}; "
            "is this a file that 'linbench sweep' wrote?"
        )
    if kind is Header:
        schema = entry.get("schema", SCHEMA)
        if not isinstance(schema, int) or not 1 <= schema <= SCHEMA:
            raise RunFileError(
                f"{path} line {number} has schema {schema!r}, this linbench reads 1 to {SCHEMA}; "
                "upgrade linbench"
            )
    try:
        return kind.model_validate(schema1.upgraded(entry) if schema == 1 else entry)
    except ValidationError as error:
        got = repr(error.errors()[0]["input"])
        raise RunFileError(
            f"{path} line {number}: {first_fault(error)} (got {got:.60}); "
            "restore the file or delete that line"
        ) from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number in JSON")


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))  # noqa: T201 (how docs/run-file.schema.json is made)
