"""Case in, record out: what runs in the fresh process. Whatever goes wrong becomes a status."""

import json
import math
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from linbench.run.case import Case
from linbench.run.metrics import Measurement
from linbench.tasks import Context, Outcome, Task

Send = Callable[[dict[str, Any]], None]


def preload() -> None:
    """Import what every job needs; called in the process that workers are forked from."""
    import linbench.attention.fused
    import linbench.attention.linformer
    import linbench.attention.reference
    import linbench.attention.vanilla
    import linbench.probes.ceilings
    import linbench.tasks.support.check  # noqa: F401 (imported to be there)


def run(job: dict[str, Any], send: Send) -> dict[str, Any]:
    """Measure one round of one case.

    Args:
        job: `case` (its fields, the task's settings among them), `round`, `plugins` and `tasks`
            (specs of others' code), `options` for the task, whether to measure the machine's
            `ceilings` besides, after the case; and where two versions are measured side by side,
            the `root` of this one and the tree it may `not_from` load. Another version may know
            more keys or fewer: those that are missing have defaults.
        send: Tells the process outside what is going on: `{"phase": ...}`.

    Returns:
        The fields of a record that measuring gives: `status` and what goes with it. An exception,
        also `SystemExit`, is a status and a reason, never raised.
    """
    from linbench import attention, tasks
    from linbench.probes import ceilings

    try:
        case = case_of(job["case"])
        send({"phase": "build"})
        for spec in job["plugins"]:
            if spec.partition("=")[0] == case.impl:  # others' code stays out of this process
                attention.load_plugin(spec)
        for spec in job.get("tasks", ()):
            if spec.partition("=")[0] == case.task:
                tasks.plug_in(spec)
        if reason := attention.unavailable(str(case.impl), case.device or "cpu"):
            return {"status": "skipped", "reason": reason}
        task = tasks.find(case.task)
        if otherwise := _described_otherwise(task, job.get("metrics", ())):
            return {"status": "error", "reason": otherwise}
        fields = fields_of(task.run(case, _context(case, task, job, send)), task)
        if foreign := _foreign_modules(job):
            return {"status": "error", "reason": foreign}
        timed = any(metric.unit == "s" for metric in task.metrics)
        if job.get("ceilings") and timed and fields["status"] == "ok":
            send({"phase": "ceilings"})
            fields["detail"]["ceilings"] = ceilings.measure(case.device or "cpu", str(case.dtype))
        return fields
    except BaseException as error:  # a plug-in may raise anything, SystemExit included
        return _failure(error)


def as_job(case: Case) -> dict[str, Any]:
    """Return a case as jobs have it: settings stand among its fields, as they did at first."""
    fields = case.model_dump(mode="json", exclude_none=True)
    settings = fields.pop("settings", {})
    return {**fields, **settings}


def case_of(fields: Mapping[str, Any]) -> Case:
    """Return the case of a job."""
    own = {name: value for name, value in fields.items() if name in Case.model_fields}
    settings = {name: value for name, value in fields.items() if name not in own}
    return Case.model_validate({**own, "settings": settings} if settings else own)


def _described_otherwise(task: Task, metrics: Iterable[Mapping[str, Any]]) -> str | None:
    """Say which metric this version has otherwise than the header of the run; None: all agree."""
    described = {metric["name"]: metric for metric in metrics}
    for metric in task.metrics:
        if (expected := described.get(metric.name)) and expected != asdict(metric):
            return (
                f"the metric '{metric.name}' is described otherwise in this version "
                f"({metric.unit or 'no unit'}, better {metric.better}); call the new one "
                "otherwise"
            )
    return None


def _context(case: Case, task: Task, job: dict[str, Any], send: Send) -> Context:
    settings = task.settings and task.settings.model_validate(
        dict(case.settings or ()), by_name=True
    )
    return Context(
        round=job.get("round", 0),
        seed=case.seed or 0,
        send=send,
        scratch=Path(job.get("scratch", ".")),
        settings=settings,
        options=job.get("options", {}),
    )


def fields_of(outcome: Outcome | Mapping[str, float | Measurement], task: Task) -> dict[str, Any]:
    """Return what a task gave in the fields of a record.

    Raises:
        TypeError: it gave something else than its metrics, or what JSON cannot hold.
    """
    if isinstance(outcome, Mapping):
        outcome = Outcome(outcome)
    if not isinstance(outcome, Outcome):
        raise TypeError(
            f"the task returned {type(outcome).__name__}, expected a mapping of metrics to numbers "
            "or an Outcome"
        )
    known = {metric.name: metric for metric in task.metrics}
    metrics: dict[str, Any] = {}
    for name, found in outcome.metrics.items():
        if name not in known:
            raise TypeError(
                f"the task gave the metric '{name}', expected {', '.join(known)}; add it to the "
                "task's metrics"
            )
        measured = found if isinstance(found, Measurement) else Measurement(float(found))
        for value in (measured.value, *measured.samples):
            if value is not None and not math.isfinite(value):
                raise TypeError(f"the task gave {name} = {value}, expected a finite number")
            if value is not None and value < 0 and known[name].scale == "log":
                raise TypeError(
                    f"the task gave {name} = {value:g}, expected no negative number on a scale "
                    "'log'; give the metric scale='linear'"
                )
        metrics[name] = asdict(measured)
    fields = {
        "status": outcome.status,
        "reason": outcome.reason,
        "metrics": metrics,
        "detail": dict(outcome.detail),
        "warnings": list(outcome.warnings),
    }
    json.dumps(fields)  # what it cannot hold is the task's mistake, told here
    return fields


def _foreign_modules(job: dict[str, Any]) -> str | None:
    """Say which modules came from the version measured beside this one, or None."""
    if "not_from" not in job:
        return None
    forbidden, root = Path(job["not_from"]), Path(job["root"])
    prefix = Path(sys.prefix).resolve()
    # an environment within the repository is no part of the version, one around it is no excuse
    installed = prefix.is_relative_to(forbidden) and prefix != forbidden
    allowed = [root, prefix] if installed else [root]
    foreign = []
    for name, module in list(sys.modules.items()):
        file = Path(getattr(module, "__file__", None) or "/").resolve()
        if file.is_relative_to(forbidden) and not any(map(file.is_relative_to, allowed)):
            foreign.append(name)
    if not foreign:
        return None
    return (
        f"{', '.join(foreign[:3])} came from {forbidden}, not from this version's own checkout; "
        "import by paths within the repository"
    )


def _failure(error: BaseException) -> dict[str, Any]:
    import torch

    text = " ".join(str(error).split())[:300]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    for last in traceback.extract_tb(error.__traceback__)[-1:]:
        reason += f" (in {last.name}, {last.filename.rsplit('/', 1)[-1]}:{last.lineno})"
    out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in text
    )
    return {"status": "oom" if out_of_memory else "error", "reason": reason}
