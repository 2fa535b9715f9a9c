"""What a run leaves behind: one JSONL file, a header line and a record per round of a case.

The file is the contract between measuring and judging. Writers append whole lines and flush each;
readers drop a torn last line (a killed writer) with a warning and refuse anything else that is
broken, naming the line.
"""

import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from linbench.case import Case
from linbench.errors import RunFileError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
Status = Literal["ok", "oom", "timeout", "skipped", "error", "incorrect"]
MemorySource = Literal["cuda_allocator", "cpu_allocator", "rss_hwm"]


class _Line(BaseModel):
    """Fields that a later linbench adds to a line of the same schema are kept, not refused."""

    model_config = ConfigDict(frozen=True, extra="allow")


class Machine(_Line):
    """Where a run was measured. `fingerprint` is equal for runs whose times may be compared."""

    fingerprint: str
    cpu: str | None = None
    cores: int | None = None
    memory_bytes: int | None = None
    gpu: str | None = None
    driver: str | None = None
    torch: str | None = None


class Header(_Line):
    """The first line of a run file: what was asked, of which code, on which machine."""

    type: Literal["run"] = "run"
    schema_: int = SCHEMA
    run_id: str
    created: str
    linbench: str
    argv: list[str] = []
    suite: dict[str, Any] = {}
    machine: Machine
    git: dict[str, Any] | None = None

    model_config = ConfigDict(
        frozen=True,
        extra="allow",
        alias_generator=lambda name: "schema" if name == "schema_" else name,
        validate_by_name=True,
        serialize_by_alias=True,
    )


class Memory(_Line):
    """Memory of one call, in bytes. `peak_bytes` is the highest use above what was resident before.

    Every source stands beside it; one that could not be had is None, and `reasons` says why.
    """

    peak_bytes: int | None = None
    source: MemorySource | None = None
    weights_bytes: int | None = None
    inputs_bytes: int | None = None
    cpu_allocator_bytes: int | None = None
    rss_hwm_bytes: int | None = None
    cuda_allocated_bytes: int | None = None
    cuda_reserved_bytes: int | None = None
    nvml_process_bytes: int | None = None
    nvml_device_bytes: int | None = None
    reasons: dict[str, str] = {}


class Check(_Line):
    """How far the outputs were from the float64 reference of the same mathematics.

    `max_rel_error` is the largest absolute difference over the largest absolute reference value;
    `reference` None means that none is known for this implementation (`reason` says so).
    """

    reference: str | None = None
    max_rel_error: float | None = None
    tolerance: float | None = None
    reason: str | None = None


class Record(_Line):
    """What one round of one case gave. `seconds` are raw, per call, none dropped."""

    type: Literal["record"] = "record"
    case_id: str
    case: Case
    round: int
    status: Status
    reason: str | None = None
    seconds: list[float] = []
    memory: Memory | None = None
    energy_j: float | None = None
    check: Check | None = None
    warnings: list[str] = []
    started: str | None = None
    duration_s: float | None = None


Line = TypeVar("Line", Header, Record)


def to_line(entry: Header | Record) -> str:
    """Write a header or record as one line of a run file, newline included."""
    return json.dumps(entry.model_dump(mode="json"), allow_nan=False) + "\n"


def read(path: Path) -> tuple[Header, list[Record]]:
    """Read a run file.

    Raises:
        RunFileError: there is no such file, a line is broken (other than a torn last one, which is
            dropped with a warning), or the file is of a newer schema.
    """
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise RunFileError(
            f"cannot read run '{path}': {error.strerror}; expected a .jsonl file that "
            "'linbench sweep' wrote (see 'linbench list runs')"
        ) from None
    lines = text.split("\n")
    torn = lines.pop()  # what follows the last newline: empty, or a line whose writer was killed
    if torn:
        warnings.warn(f"{path}: the last line is torn (a killed writer); dropped", stacklevel=2)
    if not lines:
        raise RunFileError(f"'{path}' holds no complete line, expected a run header; sweep again")
    header = _parse(path, 1, lines[0], Header)
    records = [_parse(path, i, line, Record) for i, line in enumerate(lines[1:], start=2)]
    return header, records


def _parse(path: Path, number: int, line: str, kind: type[Line]) -> Line:
    wanted = "run" if kind is Header else "record"
    try:
        entry = json.loads(line)
    except ValueError as error:
        raise RunFileError(
            f"{path} line {number} is not JSON ({error}); restore the file or delete that line"
        ) from None
    if not isinstance(entry, dict) or entry.get("type") != wanted:
        found = entry.get("type") if isinstance(entry, dict) else type(entry).__name__
        raise RunFileError(
            f"{path} line {number} is of type {found!r}, expected {wanted!r}; "
            "is this a file that 'linbench sweep' wrote?"
        )
    schema = entry.get("schema", SCHEMA)
    if kind is Header and (not isinstance(schema, int) or schema > SCHEMA):
        raise RunFileError(
            f"{path} line {number} has schema {schema!r}, this linbench reads up to {SCHEMA}; "
            "upgrade linbench"
        )
    try:
        return kind.model_validate(entry)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RunFileError(
            f"{path} line {number}: {where}: {first['msg']} (got {first['input']!r:.60}); "
            "restore the file or delete that line"
        ) from None


def load(path: str | Path) -> "tuple[dict[str, Any], pd.DataFrame]":
    """Read a run file as its header and a table with a row per record.

    Returns:
        The header as a dict, and a DataFrame: `case_id`, every case field, `round`, `status`,
        `reason`, `seconds` (a list), `peak_bytes`, `memory_source`, `energy_j`, `warnings`,
        `started`, `duration_s`, and `memory` and `check` as dicts. `run_id` and `fingerprint` tell
        runs and machines apart when tables are put together.

    Raises:
        RunFileError: see `read`.
    """
    import pandas as pd

    header, records = read(Path(path))
    rows = []
    for record in records:
        row = record.model_dump()
        case = row.pop("case")
        memory = row["memory"] or {}
        rows.append(
            {
                "run_id": header.run_id,
                "fingerprint": header.machine.fingerprint,
                "case_id": row.pop("case_id"),
                **case,
                **row,
                "peak_bytes": memory.get("peak_bytes"),
                "memory_source": memory.get("source"),
            }
        )
    columns = ["run_id", "fingerprint", "case_id", *Case.model_fields, *Record.model_fields]
    columns += ["peak_bytes", "memory_source"]
    columns = [name for name in dict.fromkeys(columns) if name not in ("case", "type")]
    # object, so that an int k beside a None stays an int and the None stays None
    frame = pd.DataFrame(rows, columns=columns, dtype=object)
    for name in ("seq", "round", "d_model", "heads", "layers", "batch", "seed"):
        frame[name] = frame[name].astype("int64")
    for name in ("peak_bytes", "energy_j", "duration_s"):
        frame[name] = frame[name].astype("float64")
    return header.model_dump(mode="json"), frame
