"""Case in, record out: what runs in the fresh process. Whatever goes wrong becomes a status."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linbench.case import Case

Send = Callable[[dict[str, Any]], None]


def preload() -> None:
    """Import what every job needs; called in the process that workers are forked from."""
    import linbench.attention.fused
    import linbench.attention.linformer
    import linbench.attention.reference
    import linbench.attention.vanilla
    import linbench.encoder
    import linbench.probes.ceilings
    import linbench.tasks  # noqa: F401 (imported to be there)


def run(job: dict[str, Any], send: Send) -> dict[str, Any]:
    """Measure one round of one case.

    Args:
        job: `case` (the fields of a Case), `plugins` (their specs), the task's `options`, whether
            to measure the machine's `ceilings` besides, after the case; and where two versions are
            measured side by side, the `root` of this one and the tree it may `not_from` load.
        send: Tells the process outside what is going on: `{"phase": ...}`.

    Returns:
        The fields of a record that measuring gives: `status` and what goes with it. An exception,
        also `SystemExit`, is a status and a reason, never raised.
    """
    from linbench import attention
    from linbench.probes import ceilings
    from linbench.tasks import TASKS

    try:
        case = Case.model_validate(job["case"])
        send({"phase": "build"})
        for spec in job["plugins"]:
            if spec.partition("=")[0] == case.impl:  # others' code stays out of this process
                attention.load_plugin(spec)
        if reason := attention.unavailable(case.impl, case.device):
            return {"status": "skipped", "reason": reason}
        fields = TASKS[case.task](case, send, **job["options"])
        if strays := _strays(job):
            return {"status": "error", "reason": strays}
        if job.get("ceilings") and fields["status"] == "ok":
            send({"phase": "ceilings"})
            fields["ceilings"] = ceilings.measure(case.device, case.dtype)
        return fields
    except BaseException as error:  # a plug-in may raise anything, SystemExit included
        return _failure(error)


def _strays(job: dict[str, Any]) -> str | None:
    """Say which modules came from the version measured beside this one, or None."""
    if "not_from" not in job:
        return None
    files = {
        name: Path(file).resolve()
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None))
    }
    prefix = Path(sys.prefix).resolve()
    # an environment within the repository is no part of the version, one around it is no excuse
    installed = prefix if prefix.is_relative_to(job["not_from"]) else None
    strays = [
        name
        for name, file in files.items()
        if file.is_relative_to(job["not_from"])
        and not file.is_relative_to(job["root"])
        and not (
            installed and installed != Path(job["not_from"]) and file.is_relative_to(installed)
        )
    ]
    if not strays:
        return None
    return (
        f"{', '.join(strays[:3])} came from {job['not_from']}, not from this version's own "
        "checkout; import by paths within the repository"
    )


def _failure(error: BaseException) -> dict[str, Any]:
    import torch

    text = " ".join(str(error).split())[:300]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    where = traceback.extract_tb(error.__traceback__)
    if where:
        last = where[-1]
        reason += f" (in {last.name}, {last.filename.rsplit('/', 1)[-1]}:{last.lineno})"
    out_of_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in text
    )
    return {"status": "oom" if out_of_memory else "error", "reason": reason}
