"""What the machine reaches at most, just now: a matrix product and a copy.

These are the two roofs of the roofline model (Williams, Waterman, Patterson 2009, DOI
10.1145/1498765.1498785). The copy counts bytes read and bytes written, as STREAM does (McCalpin
1995); its buffers are too large for caches.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

GEMM_SIZE = {"cpu": 1024, "cuda": 8192}
COPY_BYTES = {"cpu": 128 * 2**20, "cuda": 2**30}
TARGET_S = 0.06
"""Time spent on each of the two, after a call to warm up."""

MIN_CALLS = 3


def measure(device: str, dtype: str) -> dict[str, Any]:
    """Time a product of a dtype and a copy, in the fields of `linbench.run.record.Ceilings`."""
    size, copied = GEMM_SIZE[device], COPY_BYTES[device]
    try:
        with torch.no_grad():
            # random, as the case's own data: constant data takes less power, and so is faster
            a = torch.randn((size, size), device=device, dtype=getattr(torch, dtype))
            out = torch.empty_like(a)
            gemm_seconds = _times(lambda: torch.mm(a, a, out=out), device)
            source = torch.ones(copied // 4, device=device, dtype=torch.float32)
            target = torch.empty_like(source)
            copy_seconds = _times(lambda: target.copy_(source), device)
    except (RuntimeError, MemoryError) as error:
        return {"reason": f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"}
    return {
        "gemm_flops": 2 * size**3,
        "gemm_seconds": gemm_seconds,
        "copy_bytes": 2 * copied,
        "copy_seconds": copy_seconds,
    }


def _times(call: Callable[[], object], device: str) -> list[float]:
    _wait_for(call, device)
    seconds: list[float] = []
    while len(seconds) < MIN_CALLS or (sum(seconds) < TARGET_S and len(seconds) < 1000):
        begin = time.perf_counter()
        _wait_for(call, device)
        seconds.append(time.perf_counter() - begin)
    return seconds


def _wait_for(call: Callable[[], object], device: str) -> None:
    call()
    if device == "cuda":
        torch.cuda.synchronize()
