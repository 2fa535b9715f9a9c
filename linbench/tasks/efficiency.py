"""Time, peak memory and energy of one call of an attention, its outputs checked first."""

import contextlib
import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from linbench import attention
from linbench.case import Case
from linbench.encoder import Encoder
from linbench.predict import cost_of
from linbench.probes import allocator, energy, memory, timing
from linbench.suite import config_of
from linbench.tasks.check import Subject, Wrong, compare, output_of, rows_of, subject

Send = Callable[[dict[str, Any]], None]
MIB = 2**20


def efficiency(case: Case, send: Send, *, keep_pages: bool) -> dict[str, Any]:
    """Measure one round of a case: memory and outputs of its first call, then time.

    Args:
        case: What to measure.
        send: Tells the process outside which phase has begun.
        keep_pages: Whether the C library keeps freed pages while timing (see `probes.allocator`).

    Returns:
        The measured fields of a record.
    """
    allocator.return_freed_pages()
    torch.manual_seed(case.seed)
    torch.set_grad_enabled(case.mode == "forward_backward")
    of = build(case)
    call = step(case, of)
    send({"phase": "wake"})
    wake(case, of, call)
    send({"phase": "memory", "gpu_uuid": _uuid(case)})
    began = time.perf_counter()
    result, used = measure_memory(case, call)
    first_call_s = time.perf_counter() - began
    send({"phase": "check"})
    used["weights_bytes"] = storage_bytes([*of.module.parameters(), *of.module.buffers()])
    used["inputs_bytes"] = storage_bytes(of.inputs)
    try:
        check = compare(case, of, result)
    except Wrong as wrong:
        return {"status": "incorrect", "reason": str(wrong), "memory": used}
    checked = rows_of(output_of(result), of)
    del result
    if case.device == "cuda":
        freed_pages = "cuda caching allocator"
    elif keep_pages:
        freed_pages = allocator.keep_freed_pages(used["peak_bytes"] or 0) or "kept"
    else:
        freed_pages = "returned"
    send({"phase": "time"})
    samples, more, warnings = measure_time(case, call, first_call_s)
    last = rows_of(output_of(samples.result), of)
    if not torch.allclose(last, checked, rtol=1e-2, atol=1e-2 * float(checked.abs().max())):
        reason = "the last timed call returned other values than the checked call"
        return {"status": "incorrect", "reason": reason, "memory": used, "check": check}
    return {
        "status": "ok",
        "seconds": samples.seconds,
        "memory": used,
        "check": check,
        "warnings": memory_warnings(used) + warnings + outlier_warnings(samples.seconds),
        "timing": {
            "clock": "cuda_event" if case.device == "cuda" else "perf_counter",
            "first_call_s": first_call_s,
            "warmup_calls": samples.warmup_calls,
            "steady": samples.steady,
            "calls_per_sample": samples.calls_per_sample,
            "threads": torch.get_num_threads(),
            "freed_pages": freed_pages,
        },
        "costs": _counted(case),
        **more,
    }


def build(case: Case) -> Subject:
    """Build the module of a case and the inputs of one call, at random from torch's generator."""
    return subject(case, *modules_of(case), inputs_of(case))


def modules_of(case: Case) -> tuple[nn.Module, list[nn.Module]]:
    """Build what is called, and the attention modules in it, one per layer."""
    attentions = attention.build(case.impl, config_of(case))
    module = Encoder(attentions, case.d_model) if case.scope == "encoder" else attentions[0]
    module.to(device=case.device, dtype=getattr(torch, case.dtype))
    return module.train(case.mode == "forward_backward"), attentions


def inputs_of(case: Case) -> list[Tensor]:
    """Draw the inputs of one call from torch's generator: x, or q, k and v at scope core."""
    shape: tuple[int, ...] = (case.batch, case.seq, case.d_model)
    if case.scope == "core":
        shape = (case.batch, case.heads, case.seq, case.d_model // case.heads)
    dtype, grad = getattr(torch, case.dtype), torch.is_grad_enabled()
    return [
        torch.randn(shape, device=case.device, dtype=dtype).requires_grad_(grad)
        for _ in range(3 if case.scope == "core" else 1)
    ]


def step(case: Case, of: Subject) -> Callable[[], Any]:
    """Return the call to measure: forward, or forward and the gradients of inputs and weights.

    Gradients are asked for directly, so that none is added up from call to call. What flows in is
    zero but for the rows compared; dense arithmetic takes as long with zeros.
    """
    forward: Callable[..., Tensor] = of.module
    if case.scope == "core":
        if not hasattr(of.module, "core"):
            raise TypeError(f"'{case.impl}' has no core(q, k, v), which --scope core measures")
        forward = cast("Callable[..., Tensor]", of.module.core)
    if case.compile:
        forward = torch.compile(forward, dynamic=False)
    if case.mode == "forward":
        return lambda: forward(*of.inputs)
    wanted = [*of.inputs, *of.parameters]

    def forward_backward() -> tuple[Tensor, tuple[Tensor | None, ...]]:
        output = forward(*of.inputs)
        gradients = torch.autograd.grad(output, wanted, of.gradient, allow_unused=True)
        return output.detach(), gradients

    return forward_backward


def wake(case: Case, of: Subject, call: Callable[[], Any]) -> None:
    """Load what is loaded on first use, so that it is not taken for memory of the call.

    On a CPU a call on a few tokens maps the code of kernels and starts their threads. Compilers,
    and the handles and workspaces of a GPU's libraries, need the call itself.
    """
    if case.compile or case.device == "cuda":
        call()
        return
    few = [x.detach().narrow(-2, 0, min(64, case.seq)) for x in of.inputs]
    with torch.no_grad(), contextlib.suppress(Exception):  # a plug-in may want its n and no other
        (of.module.core if case.scope == "core" else of.module)(*few)  # type: ignore[operator]  # a Module's attribute


def measure_memory(case: Case, call: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Run a call and return its result and the memory fields of a record."""
    if case.device == "cuda":
        from linbench.probes import cuda

        result, peaks = cuda.allocator_peaks(call)
        peak = peaks["cuda_allocated_bytes"]
        return result, {"peak_bytes": peak, "source": "cuda_allocator", **peaks, "reasons": {}}
    (result, allocated, no_events), resident, no_mark = memory.resident_peak(
        lambda: memory.allocation_peak(call)
    )
    if allocated is None:
        peak_bytes, source = resident, "rss_hwm"
    else:
        peak_bytes, source = allocated, "cpu_allocator"
    reasons = {"cpu_allocator_bytes": no_events, "rss_hwm_bytes": no_mark}
    return result, {
        "peak_bytes": peak_bytes,
        "source": None if peak_bytes is None else source,
        "cpu_allocator_bytes": allocated,
        "rss_hwm_bytes": resident,
        "reasons": {name: reason for name, reason in reasons.items() if reason},
    }


def memory_warnings(used: dict[str, Any]) -> list[str]:
    """Warn where the framework's count and the kernel's differ by over 10 % + 4 MiB."""
    allocated, resident = used.get("cpu_allocator_bytes"), used.get("rss_hwm_bytes")
    if allocated is None or resident is None:
        return []
    if abs(allocated - resident) <= 0.1 * allocated + 4 * MIB:
        return []
    sources = f"framework {allocated / MIB:.1f} MiB, resident set {resident / MIB:.1f} MiB"
    return [f"memory sources disagree: {sources}"]


def measure_time(
    case: Case, call: Callable[[], Any], first_call_s: float
) -> tuple[timing.Samples, dict[str, Any], list[str]]:
    """Time a call; returns the samples, the energy fields of a record, and warnings."""
    if case.device == "cuda":
        from linbench.probes import cuda

        samples, clocks = cuda.sample(call)
        joules, reason = cuda.energy_per_call(call, statistics.median(samples.seconds))
        more = {"energy_j": joules, "energy_reason": reason, "clocks": clocks}
        return samples, more, cuda.clock_warnings(clocks)
    before, reason = energy.rapl_joules()
    began = time.perf_counter()
    samples = timing.sample(call, first_call_s)
    span_s = time.perf_counter() - began
    joules = None
    if before is not None:
        after, reason = energy.rapl_joules()
        used = energy.rapl_used(before, after) if after else None
        # warm-up and samples are the same work: one call's share of the joules is that of the time
        joules = used and used * statistics.median(samples.seconds) / span_s
    return samples, {"energy_j": joules, "energy_reason": reason}, []


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


def storage_bytes(tensors: list[Tensor]) -> int:
    """Return the bytes that tensors hold, storages shared between them counted once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def _counted(case: Case) -> dict[str, int] | None:
    """Count what a call of a case must cost, in the fields of `linbench.record.Counts`."""
    cost = cost_of(case)
    if cost is None:
        return None
    return {
        "flops": cost.flops,
        "bytes_moved": cost.bytes_moved,
        "parameters": cost.parameters,
        "peak_bytes": cost.peak_bytes,
    }


def _uuid(case: Case) -> str | None:
    if case.device != "cuda":
        return None
    from linbench.probes import cuda

    return cuda.uuid()
