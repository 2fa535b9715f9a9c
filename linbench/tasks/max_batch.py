"""The largest batch that fits a memory: what Table 3 of the Linformer paper calls memory saved."""

import functools
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from linbench.batch_search import search
from linbench.case import Case
from linbench.predict import need_of
from linbench.probes import allocator, memory
from linbench.tasks.check import Subject, Wrong, compare, subject
from linbench.tasks.efficiency import inputs_of, modules_of, step, storage_bytes, wake

Send = Callable[[dict[str, Any]], None]
Done = tuple[int, Subject, Any]  # bytes needed, what was called, what it returned

ENOUGH = 0.9
"""A GPU with this share of the limit free is the card that was meant: what it has is the limit."""


def max_batch(case: Case, send: Send, **_: Any) -> dict[str, Any]:
    """Find the largest batch whose weights, inputs and peak of one call fit the case's limit.

    On a GPU every batch is run under a limit of the caching allocator; to run out of it is not to
    fit. On a CPU a batch that fills 16 GB takes minutes: exact peaks of a few small batches are
    measured, and a straight line gives the rest (`linbench.batch_search`).

    Args:
        case: What to measure; its own `batch` means nothing.
        send: Tells the process outside which batch is run.

    Returns:
        The measured fields of a record, `max_batch` among them. A batch of 0 is a result.
    """
    assert case.memory_limit_bytes
    on_gpu, limit_bytes, warnings = case.device == "cuda", case.memory_limit_bytes, []
    if on_gpu and (free := torch.cuda.mem_get_info()[0]) < limit_bytes:
        said = (
            f"{free / 2**30:.2f} GiB of the GPU are free, {limit_bytes / 2**30:.2f} are the limit"
        )
        if free < ENOUGH * limit_bytes:
            return {"status": "skipped", "reason": f"{said}; lower --memory-limit"}
        warnings, limit_bytes = [f"{said}: what is free was taken for the limit"], free
    allocator.return_freed_pages()
    torch.manual_seed(case.seed)
    torch.set_grad_enabled(case.mode == "forward_backward")
    modules = functools.cache(lambda: modules_of(case))
    checks: list[dict[str, Any]] = []

    def attempt(one: Case) -> Done:
        of = subject(one, *modules(), inputs_of(one))
        if one.compile:
            torch.compiler.reset()  # after a few shapes it would no longer compile, and not say so
        call = step(one, of)
        if one.compile or not checks:
            wake(one, of, call)
        return _need(one, of, call)

    def run(batch: int) -> int | None:
        send({"phase": f"batch {batch}"})
        one = case.model_copy(update={"batch": batch})
        done = _within(limit_bytes, lambda: attempt(one)) if on_gpu else attempt(one)
        if done is None:
            return None
        need, of, result = done
        if not checks:
            checks.append(compare(one, of, result))
        return need

    try:
        found = search(
            run,
            limit_bytes,
            frugal=not on_gpu,
            counted=functools.partial(need_of, case),
            weights=lambda: _weights(modules()[0]),
        )
    except Wrong as wrong:
        return {"status": "incorrect", "reason": str(wrong)}
    return {
        "status": "ok",
        "max_batch": {
            "batch": found.batch,
            "limit_bytes": limit_bytes,
            "how": found.how,
            "tried": [asdict(one) for one in found.tried],
        },
        "check": checks[0] if checks else None,
        "warnings": warnings,
    }


def _need(case: Case, of: Subject, call: Callable[[], Any]) -> Done:
    """Run a call; bytes are those of weights, inputs and the peak above them."""
    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        result = call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated(), of, result
    result, peak, reason = memory.allocation_peak(call)
    if peak is None:
        raise RuntimeError(reason)
    return _weights(of.module) + storage_bytes(of.inputs) + peak, of, result


def _weights(module: nn.Module) -> int:
    return storage_bytes([*module.parameters(), *module.buffers()])


def _within(limit_bytes: int, attempt: Callable[[], Done]) -> Done | None:
    """Attempt something under a limit of the GPU's caching allocator; None: it ran out of it."""
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit_bytes / torch.cuda.mem_get_info()[1])
    try:
        return attempt()
    except torch.OutOfMemoryError:
        return None
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
