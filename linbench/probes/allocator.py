"""The C library's allocator: whether freed pages go back to the kernel or stay with the process.

By default glibc gives a large block back to the kernel and takes fresh, zeroed pages for the
next, one page fault each. That cost belongs to the allocator, not to attention, and it tilts
slopes, since it grows with the size of intermediate results. A process that keeps its pages is what
CUDA's caching allocator, jemalloc or a long-lived server amount to. For the resident set's
high-water mark it is the other way round: what was freed must be gone, or it hides what is used
next.
"""

import ctypes

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_LARGE_BYTES = 1 << 16


def return_freed_pages() -> str | None:
    """Have glibc return freed blocks from 64 KiB on to the kernel at once, or say why it cannot."""
    # set by hand, the threshold no longer grows to 32 MiB by itself
    return _set({_M_MMAP_THRESHOLD: _LARGE_BYTES})


def keep_freed_pages(expected_bytes: int) -> str | None:
    """Have glibc keep freed pages and touch what later calls will need, or say why it cannot."""
    reason = _set({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: -1, _M_TOP_PAD: 1 << 26})
    if reason is None:
        try:
            torch.empty(expected_bytes + expected_bytes // 8, dtype=torch.uint8).fill_(1)
        except RuntimeError:
            return "kept, though too few were free to touch them all first"
    return reason


def _set(options: dict[int, int]) -> str | None:
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return "the C library has no mallopt"
    if not all(mallopt(option, value) for option, value in options.items()):
        return "the C library refused mallopt"
    return None
