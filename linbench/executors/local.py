"""Measure on this machine: each round of a case in a fresh process, with limits and a timeout."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from linbench import git
from linbench.errors import LinbenchError
from linbench.executors import worker
from linbench.plan.schedule import Slot
from linbench.plan.suite import Suite
from linbench.plan.versions import Version
from linbench.probes import machine
from linbench.run.case import Case
from linbench.run.formats import schema1
from linbench.run.record import Record

SHARE_OF_FREE_MEMORY = 0.9
"""A worker may take this share of what is free; past it allocation fails, nothing is killed."""


@dataclass(frozen=True)
class _Begun:
    """A visit that is being measured."""

    case: Case
    round: int
    kills: int | None
    started: datetime
    begin: float


class Local:
    """A pool with one place: this machine. Use it as a context manager.

    A server process loads torch once and forks a worker for each round. It starts at once and loads
    while the caller goes on; the first visit waits for it.
    """

    def __init__(
        self,
        suite: Suite,
        device: str = "cpu",
        version: Version | None = None,
        forbidden_root: Path | None = None,
    ) -> None:
        """Prepare to measure.

        Args:
            suite: Whose plug-ins are loaded in each worker, and whose limits hold.
            device: What the suite's device came to.
            version: Where implementations, and linbench itself if it is there, are loaded from;
                None: from this folder and what is installed.
            forbidden_root: A tree that nothing may be loaded from: the one measured beside this.
        """
        self._timeout_s = suite.case_timeout
        self._device = device
        self._version = version
        self._job: dict[str, Any] = {
            "plugins": suite.plugins,
            "tasks": suite.task_plugins,
            "metrics": [asdict(metric) for metric in suite.metrics],
            "options": {"keep_pages": suite.keep_pages},
            "timeout_s": suite.case_timeout,
        }
        if version and forbidden_root:
            self._job |= {"root": str(version.root), "not_from": str(forbidden_root)}
        self._has_ceilings: set[tuple[int, str | None, str | None]] = set()
        self._begun: _Begun | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        """End the server and, with it, a worker that still runs."""
        self._stop()

    def _start(self) -> None:
        job_reader, job_writer = os.pipe()
        reply_reader, reply_writer = os.pipe()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in _stop)
        self._server = subprocess.Popen(
            [sys.executable, "-m", "linbench.executors.server", str(job_reader), str(reply_writer)],
            pass_fds=(job_reader, reply_writer),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            cwd=self._version.folder if self._version else None,
            env=self._environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for the parent alone
        )
        os.close(job_reader)
        os.close(reply_writer)
        self._jobs = os.fdopen(job_writer, "wb", buffering=0)
        self._replies = os.fdopen(reply_reader, "rb")
        self._ready = False

    def _environment(self) -> dict[str, str] | None:
        if self._version is None:
            return None
        path = [*self._version.path, *filter(None, [os.environ.get("PYTHONPATH")])]
        # a version's bytecode must not come from a cache that both versions share
        left_out = ("PYTHONSAFEPATH", "PYTHONPYCACHEPREFIX")
        kept = {name: value for name, value in git.environment().items() if name not in left_out}
        return {**kept, "PYTHONPATH": os.pathsep.join(path)}

    def _stop(self) -> None:
        self._jobs.close()  # the server sees it, kills its worker and leaves
        try:
            self._server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._replies.close()
        self._log.close()

    def slots(self) -> Sequence[Slot]:
        """Return this machine, where nothing is being measured on it."""
        if self._begun:
            return ()
        return (Slot(free_bytes=machine.free_bytes(self._device)),)

    def submit(self, slot: Slot, case: Case, round_: int) -> None:
        """Begin to measure one round of one case; a LinbenchError where no server starts."""
        del slot  # there is one
        self._wait_ready()
        job = {
            **self._job,
            "case": worker.as_job(case),
            "round": round_,
            "ceilings": (round_, case.device, case.dtype) not in self._has_ceilings,
            "device": case.device,
            "memory_limit_bytes": int(SHARE_OF_FREE_MEMORY * machine.available_bytes())
            if case.device == "cpu"
            else None,
        }
        kills, now = machine.out_of_memory_kills(), time.monotonic()
        self._begun = _Begun(case, round_, kills, datetime.now(UTC), now)
        with contextlib.suppress(BrokenPipeError):  # `next` finds that out too
            self._jobs.write(json.dumps(job).encode() + b"\n")

    def next(self, timeout_s: float | None = None) -> Record | None:
        """Wait for the visit that was begun; every failure of the worker is a record.

        None where it is not over by then, or none was begun.
        """
        begun = self._begun
        if begun is None or not select.select([self._replies], [], [], timeout_s)[0]:
            return None
        reply = self._read()
        if reply is None:
            reply = {"server": f"the measuring server died: {self._last_words()}"}
            self._stop()
            self._start()
        self._begun = None
        return self._record(begun, reply)

    def _record(self, begun: _Begun, reply: dict[str, Any]) -> Record:
        case = begun.case
        fields = fields_of(reply, self._timeout_s, case)
        killed = reply.get("signal") == signal.SIGKILL or "server" in reply
        lacking = killed and machine.out_of_memory_kills() != begun.kills
        if lacking and not reply.get("timed_out"):
            fields = {"status": "oom", "reason": "the kernel killed a process for lack of memory"}
        common: dict[str, Any] = {
            "case_id": case.id,
            "case": case,
            "round": begun.round,
            "started": begun.started.isoformat(timespec="milliseconds"),
            "duration_s": round(time.monotonic() - begun.begin, 4),
        }
        try:
            record = Record.model_validate({**fields, **common})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            reason = f"the worker sent what is no record: {where}: {first['msg']}"
            record = Record(status="error", reason=reason, **common)
        if record.detail.ceilings:
            self._has_ceilings.add((begun.round, case.device, case.dtype))
        return record

    def _read(self) -> dict[str, Any] | None:
        """Return the server's next reply, None where it has died."""
        line = self._replies.readline()
        reply: dict[str, Any] | None = json.loads(line) if line else None
        return reply

    def _wait_ready(self) -> None:
        self._ready = self._ready or self._read() is not None
        if not self._ready:
            raise LinbenchError(
                f"the measuring process{f' of {self._version.label}' if self._version else ''} "
                f"cannot start: {self._last_words()}; "
                "does 'python -c \"import torch\"' work?"
            )

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def fields_of(reply: Mapping[str, Any], timeout_s: float, case: Case) -> dict[str, Any]:
    """Turn a server's reply (it may be of an older linbench) into fields of a record."""
    during = f" (in phase '{reply.get('phase')}')"
    if reply.get("result"):
        fields = schema1.fields_upgraded(dict(reply["result"]), case.task)
        if nvml := reply.get("nvml"):
            detail = fields.setdefault("detail", {})
            memory = detail.get("memory") or {}
            reasons = {**memory.get("reasons", {}), **nvml.get("reasons", {})}
            detail["memory"] = {**memory, **nvml, "reasons": reasons}
        return fields
    said = " ".join(reply.get("output", "").split())[-200:]
    said = f"; it said: {said}" if said else ""
    status = "error"
    if "server" in reply:
        reason = reply["server"]
    elif reply["timed_out"]:
        status, reason = "timeout", f"killed after {timeout_s:g} s{during}"
    elif "bad_alloc" in said:
        status, reason = "oom", f"out of memory{during}{said}"
    elif reply["signal"]:
        reason = f"the worker was killed by {_signal_name(reply['signal'])}{during}{said}"
    else:
        reason = f"the worker left with exit code {reply['exit']} and no result{during}{said}"
    return {"status": status, "reason": reason}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"
