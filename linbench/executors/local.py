"""Measure on this machine: each round of a case in a fresh process, with limits and a timeout."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from linbench.case import Case
from linbench.errors import LinbenchError
from linbench.probes import machine
from linbench.record import Record
from linbench.versions import Version, git_environment

SHARE_OF_FREE_MEMORY = 0.9
"""A worker may take this share of what is free; past it allocation fails, nothing is killed."""


class Local:
    """Measures rounds of cases one at a time; use as a context manager, call with case and round.

    A server process loads torch once and forks a worker for each round. It starts at once and loads
    while the caller goes on; the first call waits for it.
    """

    def __init__(
        self,
        plugins: Sequence[str],
        options: dict[str, Any],
        case_timeout_s: float,
        version: Version | None = None,
        not_from: Path | None = None,
    ) -> None:
        """Prepare to measure.

        Args:
            plugins: Specs of plug-ins, `NAME=module:builder`, loaded in each worker.
            options: Keyword arguments for the task.
            case_timeout_s: A worker that takes longer is killed.
            version: Where implementations, and linbench itself if it is there, are loaded from;
                None: from this folder and what is installed.
            not_from: A tree that nothing may be loaded from: the one measured beside this.
        """
        self._timeout_s = case_timeout_s
        self._version = version
        self._job = {"plugins": list(plugins), "options": options, "timeout_s": case_timeout_s}
        if version and not_from:
            self._job |= {"root": str(version.root), "not_from": str(not_from)}
        self._has_ceilings: set[tuple[int, str, str]] = set()

    def __enter__(self) -> Self:
        """Start the server."""
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
        kept = {name: value for name, value in git_environment().items() if name not in left_out}
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

    def __call__(self, case: Case, round_: int) -> Record:
        """Measure one round of one case; every failure of the worker is a record, never raised.

        Raises:
            LinbenchError: the server itself cannot start (torch does not import, for instance).
        """
        self._wait_ready()
        job = {
            **self._job,
            # an older linbench, measured beside this one, knows fewer fields
            "case": case.model_dump(mode="json", exclude_none=True),
            "ceilings": (round_, case.device, case.dtype) not in self._has_ceilings,
            "device": case.device,
            "memory_limit_bytes": int(SHARE_OF_FREE_MEMORY * machine.available_bytes())
            if case.device == "cpu"
            else None,
        }
        kills = machine.out_of_memory_kills()
        started = datetime.now(UTC)
        begin = time.monotonic()
        try:
            self._jobs.write(json.dumps(job).encode() + b"\n")
            reply = self._read()
        except (BrokenPipeError, EOFError):
            reply = {"server": f"the measuring server died: {self._last_words()}"}
            self._stop()
            self._start()
        fields = fields_of(reply, self._timeout_s)
        killed = reply.get("signal") == signal.SIGKILL or "server" in reply
        if killed and not reply.get("timed_out") and machine.out_of_memory_kills() != kills:
            fields = {"status": "oom", "reason": "the kernel killed a process for lack of memory"}
        if fields.get("ceilings"):
            self._has_ceilings.add((round_, case.device, case.dtype))
        return Record(
            case_id=case.id,
            case=case,
            round=round_,
            started=started.isoformat(timespec="milliseconds"),
            duration_s=round(time.monotonic() - begin, 4),
            **fields,
        )

    def _read(self) -> dict[str, Any]:
        line = self._replies.readline()
        if not line:
            raise EOFError
        reply: dict[str, Any] = json.loads(line)
        return reply

    def _wait_ready(self) -> None:
        if self._ready:
            return
        try:
            self._ready = bool(self._read()["ready"])
        except EOFError:
            raise LinbenchError(
                f"the measuring process{f' of {self._version.label}' if self._version else ''} "
                f"cannot start: {self._last_words()}; "
                "does 'python -c \"import torch\"' work?"
            ) from None

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def fields_of(reply: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Turn a server's reply into the measured fields of a record, `status` among them."""
    fields: dict[str, Any]
    during = f" (in phase '{reply.get('phase')}')"
    if reply.get("result"):
        fields = reply["result"]
        if nvml := reply.get("nvml"):
            fields["memory"] = _with_nvml(fields.get("memory") or {}, nvml)
        return fields
    if "server" in reply:
        return {"status": "error", "reason": reply["server"]}
    if reply["timed_out"]:
        return {"status": "timeout", "reason": f"killed after {timeout_s:g} s{during}"}
    said = " ".join(reply["output"].split())[-200:]
    said = f"; it said: {said}" if said else ""
    if "bad_alloc" in said or "std::bad_alloc" in said:
        return {"status": "oom", "reason": f"out of memory{during}{said}"}
    if reply["signal"]:
        reason = f"the worker was killed by {_signal_name(reply['signal'])}{during}{said}"
        return {"status": "error", "reason": reason}
    left = f"the worker left with exit code {reply['exit']} and no result{during}{said}"
    return {"status": "error", "reason": left}


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # real-time signals have no names
        return f"signal {number}"


def _with_nvml(memory: dict[str, Any], nvml: dict[str, Any]) -> dict[str, Any]:
    reasons = {**memory.get("reasons", {}), **nvml.pop("reasons", {})}
    return {**memory, **nvml, "reasons": reasons}
