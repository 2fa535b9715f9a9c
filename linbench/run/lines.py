"""The lines of a run file as typed objects: a header, and a record per round of a case."""

import json
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from linbench.run.case import Case
from linbench.run.metrics import KNOWN, Measurement, Metric

SCHEMA = 2
Status = Literal["ok", "oom", "timeout", "skipped", "error", "incorrect"]


class _Line(BaseModel):
    """Fields that a later linbench adds to a line of the same schema are kept."""

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


class Git(_Line):
    """The repository that the command was given in."""

    commit: str | None = None
    """Full hash."""
    branch: str | None = None
    """Name of the branch; null where there is none."""
    dirty: bool = False
    """Whether anything was uncommitted."""


class Header(_Line):
    """The first line of a run file: what was asked, of which code, on which machine."""

    type: Literal["run"] = "run"
    """Distinguishes the header from records."""
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
    metrics: list[Metric] = []
    """The metrics of its tasks; those that are not here are `time`, `memory` and `energy`."""
    device: str | None = None
    """The device that was used: `cpu` or `cuda`."""
    machine: Machine
    """Where it was measured."""
    git: Git | None = None
    """Null outside a repository."""
    code: str | None = None
    """Digest of linbench's source, torch's version and plug-in files; resuming needs the same."""
    merged: list[dict[str, Any]] | None = None
    """Of a baseline: the runs it was made of, each of which is one of its rounds."""
    warnings: list[str] = []
    """What was wrong with the machine when the run began."""

    model_config = ConfigDict(
        alias_generator=lambda name: "schema" if name == "schema_" else name,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    def metric(self, name: str) -> Metric:
        """Return the description of a metric; of an undescribed one, less is better."""
        own = (metric for metric in self.metrics if metric.name == name)
        return next(own, None) or KNOWN.get(name) or Metric(name)

    @property
    def measured_on(self) -> str | None:
        """The model of the device it was measured on; older headers do not say: then any GPU."""
        if self.device is None:
            return self.machine.gpu or self.machine.cpu
        return self.machine.cpu if self.device == "cpu" else self.machine.gpu


class Memory(_Line):
    """Memory of one call by source, in bytes, taken in a pass of its own before anything is timed.

    The metric `memory` is one of them: the highest use during the call above what was resident
    before it (weights, inputs).
    """

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

    mathematics: str | None = None
    """What the reference computes, in a word: exact, linformer; null where there is none."""
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


class Detail(_Line):
    """What else a task found, by name; tasks may add anything that JSON holds."""

    memory: Memory | None = None
    """Memory of one call, by source."""
    check: Check | None = None
    """The comparison with the reference."""
    timing: Timing | None = None
    """How the samples of time were taken."""
    costs: Counts | None = None
    """What the call must cost by counting; null for a plug-in, of which nothing is known."""
    ceilings: Ceilings | None = None
    """What the machine reached at most, measured after the case; in one record of each round, dtype
    and device, null in the others."""
    clocks: list[dict[str, Any]] | None = None
    """SM clock and throttle reasons at each sample, on a GPU."""


class Node(_Line):
    """The machine of one record, where a run has several."""

    id: str
    """Its name within the run."""
    host: str | None = None
    """Its host name."""
    fingerprint: str | None = None
    """That of `Machine`."""
    gpu_uuid: str | None = None
    """The GPU that was used."""


class Record(_Line):
    """What one round of one case gave."""

    type: Literal["record"] = "record"
    """Distinguishes records from the header."""
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
    metrics: dict[str, Measurement] = {}
    """What was measured, by the name of the metric."""
    detail: Detail = Detail()
    """What else the task found."""
    node: Node | None = None
    """Where it was measured; null where the run has one machine."""
    warnings: list[str] = []
    """What makes this record suspect: outliers, sources that disagree, throttling."""
    started: str | None = None
    """When the round began, ISO 8601, UTC."""
    duration_s: float | None = None
    """How long it took in all, from sending the case to having the record."""

    def value(self, metric: str) -> float | None:
        """Return what was measured of a metric, None where it was not."""
        return self.metrics[metric].value if metric in self.metrics else None

    def samples(self, metric: str) -> list[float]:
        """Return the raw samples of a metric, none where it has none."""
        return self.metrics[metric].samples if metric in self.metrics else []

    @property
    def failure(self) -> str:
        """Why it is no measurement: the status, and the reason if there is one."""
        return f"{self.status}: {self.reason}" if self.reason else self.status


def flaw_in(record: Record, header: Header | None = None) -> str | None:
    """Say what is wrong with a record that its types do not tell; the header describes metrics."""
    if record.status == "ok" and all(record.value(name) is None for name in record.metrics):
        return "status 'ok' without a value of any metric"
    for name, measured in record.metrics.items():
        metric = header.metric(name) if header else KNOWN.get(name) or Metric(name, scale="linear")
        numbers = measured.samples + ([] if measured.value is None else [measured.value])
        if not all(map(math.isfinite, numbers)):
            return f"{name} must be finite"
        if metric.scale == "log" and numbers and min(numbers) < 0:
            return f"{name} must not be negative, got {min(numbers):g}"
        if metric.unit == "s" and numbers and min(numbers) <= 0:
            return f"{name} must be positive, got {min(numbers):g}"
    return None


def sound(record: Record, header: Header) -> Record:
    """Return a record that every reader accepts: a flaw costs it its metrics, and is named."""
    flaw = flaw_in(record, header)
    if flaw is None:
        return record
    ok = {"status": "error", "reason": flaw}
    said = ok if record.status == "ok" else {"warnings": [*record.warnings, flaw]}
    return record.model_copy(update={"metrics": {}, **said})


def to_line(entry: _Line) -> str:
    """Write one line of a run file, newline included; numbers that JSON cannot hold become null."""
    fields = entry.model_dump(mode="json")
    try:
        return json.dumps(fields, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_finite(fields)) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(own) for name, own in value.items()}
    if isinstance(value, list):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def first_fault(error: ValidationError) -> str:
    """Say in words which field is wrong, and how."""
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
