"""Time and peak memory of one call on a GPU, by CUDA events and the caching allocator."""

import itertools
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from linbench.probes import nvml
from linbench.probes.timing import MIN_SAMPLES, STEADY, TARGET_S, WARM_UP_S, Samples

T = TypeVar("T")


def allocator_peaks(call: Callable[[], T]) -> tuple[T, dict[str, int]]:
    """Run a call and return its result and the allocator's peaks in bytes.

    Only live tensors above those before the call measure the call: what the allocator has reserved
    depends on what ran before.
    """
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    result = call()
    torch.cuda.synchronize()
    return result, {
        "cuda_allocated_bytes": torch.cuda.max_memory_allocated() - before,
        "cuda_reserved_bytes": torch.cuda.max_memory_reserved(),
    }


def sample(call: Callable[[], object]) -> tuple[Samples, list[dict[str, Any]]]:
    """Warm up and time a call by CUDA events, the L2 cache flushed before each call.

    Beside the samples stand the GPU's clocks and throttle reasons at each. The host waits for the
    end of each call, so that no sample holds another call's work.
    """
    l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
    flush = torch.empty(2 * l2_bytes, dtype=torch.uint8, device="cuda")
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]  # torch

    def once() -> tuple[float, object]:
        flush.zero_()
        start.record()
        result = call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1000, result

    warm: list[float] = []
    steady = False
    while sum(warm) < WARM_UP_S and not steady:
        warm.append(once()[0])
        steady = len(warm) > 3 and max(warm[-4:]) / min(warm[-4:]) - 1 < STEADY
    seconds: list[float] = []
    clocks: list[dict[str, Any]] = []
    result: object = None
    with nvml.opened(uuid()) as (handle, _):
        while len(seconds) < MIN_SAMPLES or (sum(seconds) < TARGET_S and len(seconds) < 1000):
            result = None
            spent, result = once()
            seconds.append(spent)
            if handle is not None:
                clocks.append(nvml.clocks(handle))
    return Samples(seconds, len(warm), steady, 1, result), clocks


def energy_per_call(
    call: Callable[[], object], call_s: float, batch_s: float = 1.0
) -> tuple[float | None, str | None]:
    """Return the joules of one call, idle power among them: the GPU's counter over a batch."""
    with nvml.opened(uuid()) as (handle, missing):
        if handle is None:
            return None, missing
        # the counter moves every 20 to 100 ms: a batch must take much longer
        calls = max(1, round(batch_s / max(call_s, 1e-6)))
        torch.cuda.synchronize()
        before, reason = nvml.energy_j(handle)
        if before is None:
            return None, reason
        for _ in range(calls):
            call()
        torch.cuda.synchronize()
        after, reason = nvml.energy_j(handle)
        return (None, reason) if after is None else ((after - before) / calls, None)


def clock_warnings(clocks: list[dict[str, Any]]) -> list[str]:
    """Say which samples were taken at lowered or shifted clocks."""
    warnings = []
    throttled = [sample["throttles"] for sample in clocks if sample["throttles"]]
    if throttled:
        reasons = ", ".join(sorted(set(itertools.chain.from_iterable(throttled))))
        warnings.append(f"throttled in {len(throttled)} of {len(clocks)} samples: {reasons}")
    rates = [sample["sm_mhz"] for sample in clocks if sample["sm_mhz"]]
    if rates and min(rates) < 0.95 * max(rates):
        warnings.append(f"SM clock moved between {min(rates)} and {max(rates)} MHz while timing")
    return warnings


def uuid() -> str:
    """Return NVML's name for torch's current device."""
    return f"GPU-{torch.cuda.get_device_properties(0).uuid}"
