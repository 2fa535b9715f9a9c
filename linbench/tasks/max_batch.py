"""The largest batch that fits a memory: what Table 3 of the Linformer paper calls memory saved."""

from __future__ import annotations

import functools
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from linbench import ranges, words
from linbench.run.shape import costs_of
from linbench.tasks import Context, Measurement, Metric, Outcome, Task
from linbench.tasks.support import predicting
from linbench.tasks.support.batch_search import Found, search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import nn

    from linbench.run.case import Case
    from linbench.tasks import Known, Prediction
    from linbench.tasks.support.subject import Subject

    Done = tuple[int, Subject, Any]  # bytes needed, what was called, what it returned

NAME = "max_batch"
METRIC = Metric(NAME, "sequences", better="more", noise="exact")

ENOUGH = 0.9
"""A GPU with this share of the limit free is the card that was meant: what it has is the limit."""


class Settings(BaseModel):
    """What batches must fit."""

    model_config = ConfigDict(extra="forbid", validate_by_name=True)

    memory_limit_bytes: Annotated[
        int, BeforeValidator(lambda value: ranges.size(str(value), "--memory-limit"))
    ] = Field(
        16 * 2**30,  # the paper's GPU
        alias="memory_limit",
        description="What the largest batch must fit: 16GB, 8GiB (both of 1024³ bytes).",
        json_schema_extra={"shown": "16GB"},
    )


def expand(case: Case, settings: Settings) -> Iterable[Case]:
    """Return one case for all batches: the batch is what is looked for."""
    asked = tuple(sorted(settings.model_dump().items()))
    return [case.model_copy(update={"batch": 1, "tokens": None, "settings": asked})]


def run(case: Case, context: Context) -> Outcome:
    """Find the largest batch whose weights, inputs and peak of one call fit the case's limit.

    On a GPU every batch is run under a limit of the caching allocator; to run out of it is not to
    fit. On a CPU a batch that fills 16 GB takes minutes: exact peaks of a few small batches are
    measured, and a straight line gives the rest (`linbench.tasks.support.batch_search`). A batch of
    0 is a result.
    """
    import torch

    from linbench.probes import allocator
    from linbench.tasks.support import check, subject

    limit_bytes, warnings = limit_of(case), []
    on_gpu = case.device == "cuda"
    if on_gpu and (free := torch.cuda.mem_get_info()[0]) < limit_bytes:
        there, limit = (words.quantity(size, "byte") for size in (free, limit_bytes))
        said = f"{there} of the GPU are free, {limit} are the limit"
        if free < ENOUGH * limit_bytes:
            return Outcome(status="skipped", reason=f"{said}; lower --memory-limit")
        warnings, limit_bytes = [f"{said}: what is free was taken for the limit"], free
    allocator.return_freed_pages()
    torch.manual_seed(case.seed or 0)
    torch.set_grad_enabled(case.mode == "forward_backward")
    modules = functools.cache(lambda: subject.modules_of(case))
    checks: list[dict[str, Any]] = []

    def attempt(tried: Case) -> Done:
        measured = subject.subject_of(tried, *modules(), subject.inputs_of(tried))
        if tried.compile:
            torch.compiler.reset()  # after a few shapes it would no longer compile, and not say so
        call = subject.step(tried, measured)
        if tried.compile or not checks:
            subject.wake(tried, measured, call)
        return _need(tried, measured, call)

    def need(batch: int) -> int | None:
        context.send({"phase": f"batch {batch}"})
        tried = case.model_copy(update={"batch": batch})
        done = _within(limit_bytes, lambda: attempt(tried)) if on_gpu else attempt(tried)
        if done is None:
            return None
        needed, measured, result = done
        if not checks:
            checks.append(check.compare(tried, measured, result).model_dump())
        return needed

    try:
        found = search(
            need,
            limit_bytes,
            frugal=not on_gpu,
            counted=functools.partial(need_of, case),
            weights=lambda: _weights(modules()[0]),
        )
    except check.IncorrectOutput as incorrect:
        return Outcome(status="incorrect", reason=str(incorrect))
    detail: dict[str, Any] = {
        NAME: {
            "batch": found.batch,
            "limit_bytes": limit_bytes,
            "how": found.how,
            "tried": [asdict(attempted) for attempted in found.tried],
        },
        "check": checks[0] if checks else None,
    }
    metrics = {NAME: Measurement(found.batch, source=found.how)}
    return Outcome(metrics, detail=detail, warnings=warnings)


def limit_of(case: Case) -> int:
    """Return what the batches of a case must fit, in bytes."""
    return int(case.setting("memory_limit_bytes"))


def need_of(case: Case, batch: int) -> int | None:
    """Return weights, inputs and peak of a case at a batch by counting, None where not known."""
    costs = costs_of(case.model_copy(update={"batch": batch, "settings": None}))
    return None if costs is None else costs.weights_bytes + costs.inputs_bytes + costs.peak_bytes


def _need(case: Case, measured: Subject, call: Callable[[], Any]) -> Done:
    """Run a call; bytes are those of weights, inputs and the peak above them."""
    import torch

    from linbench.probes import memory
    from linbench.tasks.support.subject import storage_bytes

    if case.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        result = call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated(), measured, result
    result, peak, reason = memory.allocation_peak(call)
    if peak is None:
        raise RuntimeError(reason)
    return _weights(measured.module) + storage_bytes(measured.inputs) + peak, measured, result


def _weights(module: nn.Module) -> int:
    from linbench.tasks.support.subject import storage_bytes

    return storage_bytes([*module.parameters(), *module.buffers()])


def _within(limit_bytes: int, attempt: Callable[[], Done]) -> Done | None:
    """Attempt something under a limit of the GPU's caching allocator; None: it ran out of it."""
    import torch

    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit_bytes / torch.cuda.mem_get_info()[1])
    try:
        return attempt()
    except torch.OutOfMemoryError:
        return None
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def predict(case: Case, known: Known) -> Prediction:
    """Predict a search as one call of all the sequences it will run, if counts are right."""
    found = _foreseen(case)
    most = max((tried.bytes or 0 for tried in found.ran), default=0) if found else None
    return predicting.predict(
        case,
        known,
        timed=False,
        sequences=_sequences,
        memory_bytes=None if case.device == "cuda" else most,  # on a GPU the search has a limit
    )


def _sequences(case: Case) -> float | None:
    found = _foreseen(case)
    return float(sum(tried.batch for tried in found.ran)) if found else None


@functools.lru_cache(maxsize=1 << 15)
def _foreseen(case: Case) -> Found | None:
    """Return how the search goes if counts are right, None where nothing is counted."""
    if costs_of(case) is None:
        return None
    counted = functools.partial(need_of, case)
    frugal = case.device == "cpu"
    return search(counted, limit_of(case), frugal=frugal, counted=counted, weights=lambda: 0)


TASK = Task(
    metrics=(METRIC,),
    run=run,
    settings=Settings,
    expand=expand,
    rounds=lambda _: 1,  # another round would only repeat it
    predict=predict,
)
