"""The machine a run was measured on, as its parent process sees it, without torch."""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import runpy
import time
from pathlib import Path
from typing import Any

import psutil

from linbench.probes import nvml

CPU = Path("/sys/devices/system/cpu")
BUSY_CORES = 0.3
"""Cores in use by others from which on a sweep warns."""


def describe() -> dict[str, Any]:
    """Return what this machine is, for the header of a run.

    `fingerprint` digests only what makes times comparable and stays put between runs (processor,
    cores, memory to the GiB, GPU, the threads allowed), never clocks or versions.
    """
    gpu, reason = nvml.first_gpu()
    memory = psutil.virtual_memory().total
    lasting = {
        "system": platform.system(),
        "arch": platform.machine(),
        "cpu": cpu_name(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "memory_gib": round(memory / 2**30),
        "gpu": gpu and gpu["name"],
        "threads": threads(),
    }
    digest = hashlib.sha256(repr(sorted(lasting.items())).encode()).hexdigest()[:12]
    return {
        "fingerprint": digest,
        **{name: lasting[name] for name in ("cpu", "cores", "threads")},
        "memory_bytes": memory,
        "gpu": lasting["gpu"],
        "gpu_memory_bytes": gpu and gpu["memory_bytes"],
        "gpu_reason": reason,
        "driver": gpu and gpu["driver"],
        "torch": version("torch"),
        "cuda": torch_cuda(),
        "xformers": version("xformers"),
        "python": platform.python_version(),
        "system": platform.platform(),
        "governor": governor(),
    }


def threads() -> str:
    """Return how many cores this process may use, and what the environment says of threads."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    said = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    return " ".join([f"{allowed} cores", *said])


def version(package: str) -> str | None:
    """Return the installed version of a package, or None."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def torch_cuda() -> str | None:
    """Return the CUDA version torch was built for, or None; reads one small file, not torch."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        found = runpy.run_path(str(Path(spec.origin).with_name("version.py"))).get("cuda")
    except OSError:
        return None
    return found if isinstance(found, str) else None


def no_cuda_reason() -> str | None:
    """Say why CUDA cannot be used here, or None where it can."""
    gpu, reason = nvml.first_gpu()
    if gpu and torch_cuda() is None:
        return f"torch {version('torch')} is built without CUDA"
    return reason


def cpu_name() -> str:
    """Return the processor's model name."""
    info = read(Path("/proc/cpuinfo"))
    if info is None:
        return platform.processor() or platform.machine()
    match = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    return match[1].strip() if match else platform.machine()


def read(path: Path) -> str | None:
    """Return the text of a file of the kernel, or None where it shows none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def governor(cpu: Path = CPU) -> str | None:
    """Return the frequency governor of the first core, or None where the kernel shows none."""
    return read(cpu / "cpu0/cpufreq/scaling_governor")


def busy(interval_s: float = 0.2) -> str | None:
    """Say that other programs use the processor now, which makes times long and noisy; or None."""
    used = psutil.cpu_percent(interval_s) / 100 * (os.cpu_count() or 1)
    if used < BUSY_CORES:
        return None
    return (
        f"other programs use {used:.1f} of {os.cpu_count()} cores; times will be too long and "
        "noisy: wait until they are done"
    )


def available_bytes() -> int:
    """Return the memory a new process may take: what is free, within the control group's limit."""
    free = psutil.virtual_memory().available
    groups = Path("/sys/fs/cgroup")
    for limit, usage in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max"
            left = int((groups / limit).read_text()) - int((groups / usage).read_text())
            free = min(free, max(0, left))
    return free


def free_bytes(device: str) -> int:
    """Return the memory a case may take on a device, `cpu` or `cuda`: 90 % of what is free."""
    if device == "cuda":
        gpu, _ = nvml.first_gpu()
        if gpu and gpu["free_bytes"]:
            return int(0.9 * gpu["free_bytes"])
    return int(0.9 * available_bytes())


def out_of_memory_kills() -> int | None:
    """Return how many processes the kernel has killed for memory since boot, or None."""
    counters = read(Path("/proc/vmstat")) or ""
    match = re.search(r"^oom_kill (\d+)$", counters, re.MULTILINE)
    return int(match[1]) if match else None


def matrix_product_rate(size: int = 768) -> float:
    """Return the operations per second of a float32 matrix product in numpy, the best of 5."""
    import numpy as np

    a = np.ones((size, size), dtype=np.float32)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        a @ a
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)
