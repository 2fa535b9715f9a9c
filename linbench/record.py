"""What a run leaves behind: one JSONL file, a header line and a record per round of a case.

The file is the contract between measuring and judging. Writers append whole lines and flush each;
readers drop a torn last line (a killed writer) with a warning and refuse anything else that is
broken, naming the line.
"""

import json
import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from linbench.case import Case
from linbench.errors import RunFileError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 1
Status = Literal["ok", "oom", "timeout", "skipped", "error", "incorrect"]
MemorySource = Literal["cuda_allocator", "cpu_allocator", "rss_hwm"]


class _Line(BaseModel):
    """Fields that a later linbench adds to a line of the same schema are kept, not refused."""

    model_config = ConfigDict(frozen=True, extra="allow", use_attribute_docstrings=True)


class Machine(_Line):
    """Where a run was measured."""

    fingerprint: str
    """Equal for runs whose times may be compared: of processor, cores, memory, GPU, threads."""
    cpu: str | None = None
    """Model name of the processor."""
    cores: int | None = None
    """Physical cores."""
    threads: str | int | None = None
    """Cores the run was allowed to use, and what its environment said of threads."""
    memory_bytes: int | None = None
    """Memory of the machine."""
    gpu: str | None = None
    """Name of the first GPU; null where there is none (`gpu_reason` says why)."""
    gpu_memory_bytes: int | None = None
    """Memory of that GPU."""
    gpu_reason: str | None = None
    """Why there is no GPU."""
    driver: str | None = None
    """Version of NVIDIA's driver."""
    torch: str | None = None
    """Version of torch."""
    cuda: str | None = None
    """CUDA version torch is built for."""
    xformers: str | None = None
    """Version of xformers."""
    python: str | None = None
    """Version of Python."""
    system: str | None = None
    """Operating system and kernel."""
    governor: str | None = None
    """Frequency governor of the first core, where the kernel shows one."""


class Header(_Line):
    """The first line of a run file: what was asked, of which code, on which machine."""

    type: Literal["run"] = "run"
    """Tells the header from records."""
    schema_: int = SCHEMA
    """Version of this format; readers refuse newer ones and read older ones."""
    run_id: str
    """Name of the run, and of its file."""
    created: str
    """When it began, ISO 8601, UTC."""
    linbench: str
    """Version of linbench."""
    argv: list[str] = []
    """The command that reproduces it."""
    suite: dict[str, Any] = {}
    """The settings that made the grid, all of them, as a suite file would have them."""
    device: str | None = None
    """What the device came to: `cpu` or `cuda`."""
    machine: Machine
    """Where it was measured."""
    git: dict[str, Any] | None = None
    """Commit, branch and whether anything was uncommitted, of the repository that the command was
    given in; null outside one."""
    code: str | None = None
    """Digest of linbench's source, torch's version and plug-in files; resuming needs the same."""
    warnings: list[str] = []
    """What was wrong with the machine when the run began."""

    model_config = ConfigDict(
        alias_generator=lambda name: "schema" if name == "schema_" else name,
        validate_by_name=True,
        serialize_by_alias=True,
    )


class Memory(_Line):
    """Memory of one call, in bytes, measured in a pass of its own before anything is timed."""

    peak_bytes: int | None = None
    """Highest use during the call above what was resident before it (weights, inputs)."""
    source: MemorySource | None = None
    """Which of the sources below `peak_bytes` is."""
    weights_bytes: int | None = None
    """Parameters and buffers, shared ones once."""
    inputs_bytes: int | None = None
    """Inputs of the call."""
    cpu_allocator_bytes: int | None = None
    """Peak of the framework's own allocations on the CPU: exact."""
    rss_hwm_bytes: int | None = None
    """Growth of the resident set's high-water mark, from the kernel: an independent check."""
    cuda_allocated_bytes: int | None = None
    """Peak of live tensors on the GPU above what was live before the call."""
    cuda_reserved_bytes: int | None = None
    """Peak of what the caching allocator held in all; depends on what ran before."""
    nvml_process_bytes: int | None = None
    """Peak that NVML showed for the process, sampled from outside it."""
    nvml_device_bytes: int | None = None
    """Peak that NVML showed for the whole device, sampled likewise."""
    nvml_samples: int | None = None
    """How often NVML was asked."""
    reasons: dict[str, str] = {}
    """Why a source above is null, by its name."""


class Check(_Line):
    """How far outputs, and in mode forward_backward gradients, were from the reference."""

    reference: str | None = None
    """The float64 reference; null where the implementation's mathematics is unknown."""
    max_rel_error: float | None = None
    """Largest absolute difference over the largest absolute reference value, on a few rows."""
    tolerance: float | None = None
    """What it may be at most, by dtype."""
    reason: str | None = None
    """Why there is no reference."""


class Timing(_Line):
    """How the samples were taken."""

    clock: str | None = None
    """`perf_counter` or `cuda_event`."""
    first_call_s: float | None = None
    """Time of the first call in the process, which measured memory."""
    warmup_calls: int | None = None
    """Calls between that one and the first sample."""
    steady: bool | None = None
    """Whether the warm-up became steady before its cap; null where a long call needed none."""
    calls_per_sample: int | None = None
    """More than one where a single call is too short for the clock."""
    threads: int | None = None
    """Threads of an operation."""
    freed_pages: str | None = None
    """What the C library does with freed memory while timing: `kept`, `returned`, or a reason."""


class Counts(_Line):
    """What a call must cost by counting, at least; see `linbench.attention.costs`."""

    flops: int
    """Operations of matrix products; a multiply-add is 2."""
    bytes_moved: int
    """The least that must be read and written."""
    parameters: int
    """Trained parameters that take part, shared ones once."""
    peak_bytes: int
    """Most memory in use at once above inputs and weights."""


class Ceilings(_Line):
    """How fast this machine was just then: a matrix product and a copy, timed in this process."""

    gemm_flops: int | None = None
    """Operations of the matrix product: square, in the dtype of the case."""
    gemm_seconds: list[float] = []
    """Raw seconds of each product."""
    copy_bytes: int | None = None
    """Bytes that the copy reads and writes, added up (as STREAM counts them)."""
    copy_seconds: list[float] = []
    """Raw seconds of each copy."""
    reason: str | None = None
    """Why there are no numbers."""


class BatchTry(_Line):
    """What is known of one batch in the search for the largest."""

    batch: int
    """Sequences in it."""
    bytes: int | None = None
    """Weights, inputs and the peak above them; null where a run ended out of memory."""
    fits: bool
    """Whether it fits the limit."""
    how: Literal["measured", "extrapolated", "counted"]
    """measured: it was run; extrapolated: from the bytes of smaller batches that were run; counted:
    operation counts alone exceed the limit by more than they may be off."""


class MaxBatch(_Line):
    """The largest batch of a case that fits a memory."""

    batch: int
    """Sequences in it; 0 where not even one fits."""
    limit_bytes: int
    """What weights, inputs and the peak above them had to fit."""
    how: Literal["measured", "extrapolated", "counted"]
    """The weaker of the grounds for which this batch fits and the next larger one does not."""
    tried: list[BatchTry] = []
    """All batches that were looked at, in order."""


class Record(_Line):
    """What one round of one case gave."""

    type: Literal["record"] = "record"
    """Tells records from the header."""
    case_id: str
    """Stable id of the case: the same in every run."""
    case: Case
    """What was measured."""
    round: int
    """Which visit to the case it was, from 0; (case, round) is unique in a run."""
    status: Status
    """ok, oom (no memory), timeout, skipped (predicted not to fit, or not runnable here), error
    (raised or died), incorrect (wrong outputs)."""
    reason: str | None = None
    """Why the status is not ok."""
    seconds: list[float] = []
    """Raw samples in seconds per call, in the order taken, none dropped."""
    memory: Memory | None = None
    """Memory of one call."""
    max_batch: MaxBatch | None = None
    """What task max_batch found; null in other tasks."""
    energy_j: float | None = None
    """Joules of one call."""
    energy_reason: str | None = None
    """Why there is no energy."""
    clocks: list[dict[str, Any]] | None = None
    """SM clock and throttle reasons at each sample, on a GPU."""
    check: Check | None = None
    """The comparison with the reference."""
    timing: Timing | None = None
    """How the samples were taken."""
    costs: Counts | None = None
    """What the call must cost by counting; null for a plug-in, of which nothing is known."""
    ceilings: Ceilings | None = None
    """What the machine reached at most, measured after the case; in one record of each round, dtype
    and device, null in the others."""
    warnings: list[str] = []
    """What makes this record suspect: outliers, sources that disagree, throttling."""
    started: str | None = None
    """When the round began, ISO 8601, UTC."""
    duration_s: float | None = None
    """How long it took in all, from sending the case to having the record."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of one line of a run file."""
    return TypeAdapter(Header | Record).json_schema(mode="serialization", by_alias=True)


def measured_on(header: Mapping[str, Any]) -> str | None:
    """Return the name of the device that a run was measured on, None where it is not known.

    Args:
        header: The header of the run, as a dict. Where it does not name a device, which older ones
            do not, the GPU is taken to have been used if there is one.
    """
    machine, device = header.get("machine") or {}, header.get("device")
    if device is None:
        return machine.get("gpu") or machine.get("cpu")
    return machine.get("cpu" if device == "cpu" else "gpu")


def wrong_in(record: Record) -> str | None:
    """Say what is wrong with a record that its types do not tell, or None."""
    if record.status == "ok" and record.case.task == "efficiency" and not record.seconds:
        return "status 'ok' without seconds"
    if record.status == "ok" and record.case.task == "max_batch" and record.max_batch is None:
        return "status 'ok' without max_batch"
    if not all(math.isfinite(second) and second > 0 for second in record.seconds):
        return f"seconds must be positive, got {min(record.seconds)}"
    return None


Line = TypeVar("Line", Header, Record)


def to_line(entry: Header | Record) -> str:
    """Write a header or record as one line of a run file, newline included."""
    return json.dumps(entry.model_dump(mode="json"), allow_nan=False) + "\n"


def read(path: Path) -> tuple[Header, list[Record]]:
    """Read a run: a run file, or what pytest-benchmark saved (see `linbench.pytest_benchmark`).

    Raises:
        RunFileError: there is no such file, a line is broken (other than a torn last one, which is
            dropped with a warning), or the file is of a newer schema.
    """
    from linbench import pytest_benchmark

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
    lines = content.split(b"\n")
    torn = lines.pop()  # what follows the last newline: empty, or a line whose writer was killed
    if torn:
        warnings.warn(f"{path}: the last line is torn (a killed writer); dropped", stacklevel=2)
    if not lines:
        raise RunFileError(f"'{path}' holds no complete line, expected a run header; sweep again")
    header = _parse(path, 1, lines[0], Header)
    records: list[Record] = []
    seen: dict[tuple[str, int], int] = {}
    for number, line in enumerate(lines[1:], start=2):
        record = _parse(path, number, line, Record)
        if wrong := wrong_in(record):
            raise RunFileError(f"{path} line {number}: {wrong}; delete that line")
        first = seen.setdefault((record.case_id, record.round), number)
        if first != number:
            twice = f"case '{record.case_id}' round {record.round} is on lines {first} and {number}"
            warnings.warn(f"{path}: {twice}; the later one counts", stacklevel=2)
        records.append(record)
    return header, records


def _parse(path: Path, number: int, line: bytes, kind: type[Line]) -> Line:
    wanted = "run" if kind is Header else "record"
    try:
        entry = json.loads(line.decode())
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
    header, records = read(Path(path))
    return header.model_dump(mode="json"), table(header, records)


def table(header: Header, records: list[Record]) -> "pd.DataFrame":
    """Return the table of a run, as `load` describes it."""
    import pandas as pd

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
    return frame


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=1))  # noqa: T201 (how docs/run-file.schema.json is made)
