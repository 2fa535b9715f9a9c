"""What NVML, NVIDIA's management library, tells of a GPU: memory, energy, clocks, throttling.

Every function gives None with a reason where NVML cannot answer: no driver, a call that the device
does not support, a container that hides process ids. Nothing here needs torch or CUDA.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pynvml

T = TypeVar("T")


@contextmanager
def opened(uuid: str | None = None) -> Iterator[tuple[Any | None, str | None]]:
    """Open NVML for a while; yields the handle of a GPU, by UUID or the first, or the reason."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        yield None, f"no NVIDIA driver answers: {error}"
        return
    try:
        if uuid is None:
            yield ask("first device", pynvml.nvmlDeviceGetHandleByIndex, 0)
        else:
            yield ask("device by UUID", pynvml.nvmlDeviceGetHandleByUUID, uuid)
    finally:
        pynvml.nvmlShutdown()


def ask(what: str, call: Callable[..., T], *arguments: Any) -> tuple[T | None, str | None]:
    """Ask NVML once; returns the answer and None, or None and the reason."""
    try:
        return call(*arguments), None
    except pynvml.NVMLError as error:
        return None, f"NVML {what}: {error}"


def first_gpu() -> tuple[dict[str, Any] | None, str | None]:
    """Return name, memory and driver of the first GPU; or None and the reason."""
    with opened() as (handle, reason):
        if handle is None:
            return None, reason
        memory, _ = ask("memory", pynvml.nvmlDeviceGetMemoryInfo, handle)
        return {
            "name": ask("name", pynvml.nvmlDeviceGetName, handle)[0],
            "memory_bytes": memory and int(memory.total),
            "free_bytes": memory and int(memory.free),
            "driver": ask("driver", pynvml.nvmlSystemGetDriverVersion)[0],
            "count": ask("count", pynvml.nvmlDeviceGetCount)[0],
        }, None


def memory_used(handle: Any, pid: int) -> dict[str, tuple[int | None, str | None]]:
    """Return the bytes used by one process and on the whole device, each with a reason if None."""
    info, info_reason = ask("device memory", pynvml.nvmlDeviceGetMemoryInfo, handle)
    listed, reason = ask("process list", pynvml.nvmlDeviceGetComputeRunningProcesses_v3, handle)
    used = None
    if listed is not None:
        own = [process.usedGpuMemory for process in listed if process.pid == pid]
        if not own:
            reason = f"NVML lists no process {pid} (a container may hide process ids)"
        elif own[0] is None:
            reason = "NVML shows no memory for this process"
        else:
            used = int(own[0])
    return {
        "nvml_process_bytes": (used, reason),
        "nvml_device_bytes": (info and int(info.used), info_reason),
    }


class PeakSampler:
    """Samples a process's and its device's memory from outside the process, and keeps the peaks."""

    def __init__(self, pid: int, uuid: str | None) -> None:
        self._pid = pid
        self._opened = opened(uuid)
        self._handle, self._missing = self._opened.__enter__()
        self.samples = 0
        self.peaks: dict[str, int | None] = {"nvml_process_bytes": None, "nvml_device_bytes": None}
        self.reasons: dict[str, str] = {}

    def sample(self) -> None:
        """Look once; peaks only grow."""
        if self._handle is None:
            return
        self.samples += 1
        for name, (used, reason) in memory_used(self._handle, self._pid).items():
            peak = self.peaks[name]
            if used is not None:
                self.peaks[name] = used if peak is None else max(peak, used)
                self.reasons.pop(name, None)
            elif peak is None and reason:
                self.reasons[name] = reason

    def close(self) -> dict[str, Any]:
        """Close NVML; return the peaks, the reasons for those missing, and how often it looked."""
        if self._missing:
            self.reasons = dict.fromkeys(self.peaks, self._missing)
        self._opened.__exit__(None, None, None)
        return {**self.peaks, "reasons": self.reasons, "nvml_samples": self.samples}


THROTTLES = {
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "thermal slowdown (software)",
    "HwThermalSlowdown": "thermal slowdown (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "SyncBoost": "sync boost",
}
"""Reasons for lowered clocks that make a sample suspect; idle and application clocks do not."""


def clocks(handle: Any) -> dict[str, Any]:
    """Return the SM clock in MHz, the reasons for which clocks are lowered, and the time."""
    mhz, mhz_reason = ask("SM clock", pynvml.nvmlDeviceGetClockInfo, handle, pynvml.NVML_CLOCK_SM)
    bits, bits_reason = ask(
        "throttle reasons", pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, handle
    )
    throttles = None
    if bits is not None:
        throttles = [
            text
            for name, text in THROTTLES.items()
            if bits & getattr(pynvml, f"nvmlClocksThrottleReason{name}", 0)
        ]
    return {
        "sm_mhz": mhz,
        "throttles": throttles,
        "reason": mhz_reason or bits_reason,
        "at_s": time.monotonic(),
    }


def energy_j(handle: Any) -> tuple[float | None, str | None]:
    """Return the energy in joules that the GPU has used since its driver was loaded."""
    used, reason = ask("total energy", pynvml.nvmlDeviceGetTotalEnergyConsumption, handle)
    return (None if used is None else used / 1000), reason
