"""Peak memory of one call on a CPU: the framework's own count, and the kernel's beside it.

The framework's count adds up every allocation and release that its CPU allocator reports: exact,
and the same on every machine. The resident set's high-water mark is read from the kernel for the
same call: it also sees what goes past the framework's allocator (scratch space of the BLAS,
stacks of threads), and is right only for the first big call of a fresh process, since memory that a
process has freed may stay resident and hide what is used again.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

T = TypeVar("T")


def allocation_peak(call: Callable[[], T]) -> tuple[T, int | None, str | None]:
    """Run a call; return its result and its peak allocation in bytes, or None and the reason."""
    autograd: Any = torch.autograd  # not part of what torch exports, hence the way out below
    try:
        # it reports the same events as torch.profiler, but does not start Kineto, which costs over
        # a second in a fresh process
        config = autograd.ProfilerConfig(
            autograd.ProfilerState.CPU,
            False,  # report_input_shapes
            True,  # profile_memory
            False,  # with_stack
            False,  # with_flops
            False,  # with_modules
            torch._C._profiler._ExperimentalConfig(),  # noqa: SLF001 (the constructor asks for it)
        )
        autograd._enable_profiler_legacy(config)  # noqa: SLF001 (no public way to it)
    except (AttributeError, TypeError, RuntimeError) as error:
        return call(), None, f"torch {torch.__version__} does not report allocations: {error}"
    try:
        result = call()
    finally:
        threads = autograd._disable_profiler_legacy()  # noqa: SLF001 (as above)
    now = peak = 0
    for event in itertools.chain.from_iterable(threads):
        if event.kind() == "memory_alloc":
            now += event.cpu_memory_usage()
            peak = max(peak, now)
    return result, peak, None


def resident_peak(call: Callable[[], T]) -> tuple[T, int | None, str | None]:
    """Run a call; return its result and by how many bytes its resident set's high-water mark grew.

    Where the kernel does not say, the growth is None, and the reason comes last.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM to VmRSS
        before = _status_bytes("VmRSS")
    except OSError as error:
        return call(), None, f"the kernel does not reset the high-water mark: {error.strerror}"
    result = call()
    return result, max(0, _status_bytes("VmHWM") - before), None


def _status_bytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(0, f"/proc/self/status has no {field}")
