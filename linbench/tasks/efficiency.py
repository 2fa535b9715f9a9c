"""Time, peak memory and energy of one call of an attention, its outputs checked first."""

from __future__ import annotations

import functools
import statistics
import time
from typing import TYPE_CHECKING, Any

from linbench import words
from linbench.run.record import Counts
from linbench.run.shape import costs_of
from linbench.tasks import ENERGY, MEMORY, TIME, Context, Measurement, Outcome, Task
from linbench.tasks.support import predicting

if TYPE_CHECKING:
    from collections.abc import Callable

    from linbench.probes.timing import Samples
    from linbench.run.case import Case

MIB = 2**20


def run(case: Case, context: Context) -> Outcome:
    """Measure one round of a case: memory and outputs of its first call, then time."""
    import torch

    from linbench.probes import allocator
    from linbench.tasks.support import check, subject

    on_gpu = case.device == "cuda"
    allocator.return_freed_pages()
    torch.manual_seed(case.seed or 0)
    torch.set_grad_enabled(case.mode == "forward_backward")
    measured = subject.build(case)
    call = subject.step(case, measured)
    context.send({"phase": "wake"})
    subject.wake(case, measured, call)
    uuid = None
    if on_gpu:
        from linbench.probes import cuda

        uuid = cuda.uuid()
    context.send({"phase": "memory", "gpu_uuid": uuid})
    began = time.perf_counter()
    result, peak, sources = measure_memory(case, call)
    first_call_s = time.perf_counter() - began
    context.send({"phase": "check"})
    weights = [*measured.module.parameters(), *measured.module.buffers()]
    sources["weights_bytes"] = subject.storage_bytes(weights)
    sources["inputs_bytes"] = subject.storage_bytes(measured.inputs)
    costs = costs_of(case)
    detail: dict[str, Any] = {
        "memory": sources,
        "costs": costs and {name: getattr(costs, name) for name in Counts.model_fields},
    }
    metrics = {"memory": peak}
    try:
        detail["check"] = check.compare(case, measured, result).model_dump()
        checked = check.rows_of(check.output_of(result), measured)
        del result
        pages = _pages(case, peak, keep=bool(context.options.get("keep_pages", True)))
        context.send({"phase": "time"})
        samples, energy, clocks, warnings = measure_time(case, call, first_call_s)
        check.same(samples.result, checked, measured)
    except check.IncorrectOutput as incorrect:
        return Outcome(metrics, "incorrect", str(incorrect), detail)
    clock = "cuda_event" if on_gpu else "perf_counter"
    metrics["time"] = Measurement(statistics.median(samples.seconds), samples.seconds, clock)
    metrics["energy"] = energy
    detail["timing"] = {
        "clock": clock,
        "first_call_s": first_call_s,
        "warmup_calls": samples.warmup_calls,
        "steady": samples.steady,
        "calls_per_sample": samples.calls_per_sample,
        "threads": torch.get_num_threads(),
        "freed_pages": pages,
    }
    detail["clocks"] = clocks
    warnings = [*memory_warnings(sources), *warnings, *outlier_warnings(samples.seconds)]
    return Outcome(metrics, detail=detail, warnings=warnings)


def measure_memory(case: Case, call: Callable[[], Any]) -> tuple[Any, Measurement, dict[str, Any]]:
    """Run a call; return its result, its peak memory, and that by source."""
    if case.device == "cuda":
        from linbench.probes import cuda

        result, peaks = cuda.allocator_peaks(call)
        peak = Measurement(peaks["cuda_allocated_bytes"], source="cuda_allocator")
        return result, peak, {**peaks, "reasons": {}}
    from linbench.probes import memory

    (result, allocated, no_events), resident, no_mark = memory.resident_peak(
        lambda: memory.allocation_peak(call)
    )
    reasons = {"cpu_allocator_bytes": no_events, "rss_hwm_bytes": no_mark}
    told = {name: reason for name, reason in reasons.items() if reason}
    if allocated is not None:
        peak = Measurement(allocated, source="cpu_allocator")
    elif resident is not None:
        peak = Measurement(resident, source="rss_hwm")
    else:
        peak = Measurement(reason="; ".join(told.values()))
    by_source = {"cpu_allocator_bytes": allocated, "rss_hwm_bytes": resident, "reasons": told}
    return result, peak, by_source


def _pages(case: Case, peak: Measurement, *, keep: bool) -> str:
    """Have the C library keep freed pages, or not; say what it does."""
    from linbench.probes import allocator

    if case.device == "cuda":
        return "cuda caching allocator"
    return allocator.keep_freed_pages(int(peak.value or 0)) or "kept" if keep else "returned"


def measure_time(
    case: Case, call: Callable[[], Any], first_call_s: float
) -> tuple[Samples, Measurement, list[dict[str, Any]] | None, list[str]]:
    """Time a call; return the samples, its energy, the GPU's clocks, and warnings."""
    if case.device == "cuda":
        from linbench.probes import cuda

        samples, clocks = cuda.sample(call)
        joules, reason = cuda.energy_per_call(call, statistics.median(samples.seconds))
        energy = Measurement(joules, source="nvml" if reason is None else None, reason=reason)
        return samples, energy, clocks, cuda.clock_warnings(clocks)
    from linbench.probes import energy as meter
    from linbench.probes import timing

    before, reason = meter.rapl_joules()
    began = time.perf_counter()
    samples = timing.sample(call, first_call_s)
    span_s = time.perf_counter() - began
    joules = None
    if before is not None:
        after, reason = meter.rapl_joules()
        used = meter.rapl_used(before, after) if after else None
        # warm-up and samples are the same work: one call's share of the joules is that of the time
        joules = used and used * statistics.median(samples.seconds) / span_s
    source = None if joules is None else "rapl"
    return samples, Measurement(joules, source=source, reason=reason), None, []


def memory_warnings(sources: dict[str, Any]) -> list[str]:
    """Warn where the framework's count and the kernel's differ by over 10 % + 4 MiB."""
    allocated, resident = sources.get("cpu_allocator_bytes"), sources.get("rss_hwm_bytes")
    if allocated is None or resident is None:
        return []
    if abs(allocated - resident) <= 0.1 * allocated + 4 * MIB:
        return []
    own, whole = (words.quantity(size, "byte") for size in (allocated, resident))
    return [f"memory sources disagree: framework {own}, resident set {whole}"]


def outlier_warnings(seconds: list[float]) -> list[str]:
    """Flag samples above Tukey's far fence, Q3 + 3 IQR (Tukey 1977); they stay in the record."""
    if len(seconds) < 5:
        return []
    first, _, third = statistics.quantiles(seconds, n=4)
    slow = [value for value in seconds if value > third + 3 * (third - first)]
    if not slow:
        return []
    ratio = max(slow) / statistics.median(seconds)
    return [f"{len(slow)} of {len(seconds)} samples are slow outliers (up to {ratio:.1f} times)"]


TASK = Task(
    metrics=(TIME, MEMORY, ENERGY),
    run=run,
    predict=functools.partial(predicting.predict, timed=True),
)
