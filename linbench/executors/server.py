"""The process that fresh workers are forked from: torch is loaded once, and nothing is ever run.

It reads one job a line from a pipe, forks a worker for it, waits without spinning, kills what
hangs, and answers one line. It must stay single-threaded and never run a parallel region, since a
fork would copy the locks of threads that do not exist in the child.

When its parent dies, by whatever cause, the kernel closes the pipe; the server then kills the
worker and leaves. On Linux the kernel also kills it, and the worker after it, directly
(PR_SET_PDEATHSIG).
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, BinaryIO

GRACE_S = 2.0
"""How long a worker that has given its result may take to leave."""


def main(requests: int, replies: int) -> None:
    """Serve jobs from one file descriptor and answer on another until the first one closes."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    os.dup2(2, 1)  # whatever prints while torch is imported must not reach the user's stdout
    _warm_up()
    with os.fdopen(requests, "rb", buffering=0) as jobs, os.fdopen(replies, "wb") as answers:
        _answer(answers, {"ready": True})
        while line := jobs.readline():
            _answer(answers, _run(json.loads(line), jobs, answers))


def _warm_up() -> None:
    """Load what every worker needs, and start the machinery whose first use is slow.

    The tensors are too small for a parallel region: the process stays single-threaded.
    """
    import torch

    from linbench.executors import worker
    from linbench.probes import memory

    worker.preload()
    memory.allocation_peak(lambda: torch.ones(2) + 1)


def _answer(answers: BinaryIO, reply: dict[str, Any]) -> None:
    answers.write(json.dumps(reply).encode() + b"\n")
    answers.flush()


def _run(job: dict[str, Any], jobs: BinaryIO, answers: BinaryIO) -> dict[str, Any]:
    """Run one job in a forked worker and return how it ended and what it sent."""
    reader, writer = os.pipe()
    with tempfile.TemporaryFile() as output, tempfile.TemporaryDirectory() as scratch:
        job["scratch"] = scratch
        pid = os.fork()
        if pid == 0:
            try:
                os.close(reader)
                jobs.close()
                answers.close()
                _work(job, writer, output.fileno())
            finally:
                os._exit(70)
        os.close(writer)
        try:
            reply = _wait(pid, reader, job, jobs)
        finally:
            os.close(reader)
        output.seek(max(0, output.seek(0, os.SEEK_END) - 2000))
        reply["output"] = output.read().decode(errors="replace")
        return reply


def _wait(pid: int, reader: int, job: dict[str, Any], jobs: BinaryIO) -> dict[str, Any]:
    """Follow a worker until it gives its result, dies, hangs past its timeout, or loses its parent.

    Lines from the worker: `{"phase": ...}` says what it does now, `{"result": ...}` ends it.
    """
    reply: dict[str, Any] = {"result": None, "timed_out": False, "phase": "start", "nvml": None}
    deadline = time.monotonic() + job["timeout_s"]
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    poll.register(jobs, select.POLLIN)
    sampler = None
    pending = b""
    while reply["result"] is None:
        left = deadline - time.monotonic()
        if left <= 0:
            reply["timed_out"] = True
            break
        ready = dict(poll.poll(1 if sampler else left * 1000 + 1))
        if sampler:
            sampler.sample()
        if jobs.fileno() in ready:  # the parent asks nothing while it waits: this is its end
            _kill(pid)
            os.waitpid(pid, 0)
            os._exit(0)
        if reader not in ready:
            continue
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for message in map(json.loads, lines):
            reply.update(message)
            if message.get("phase") == "memory" and job.get("device") == "cuda":
                from linbench.probes.nvml import PeakSampler

                sampler = PeakSampler(pid, message.get("gpu_uuid"))
            elif sampler:
                reply["nvml"] = sampler.close()
                sampler = None
    if sampler:
        reply["nvml"] = sampler.close()
    reply["exit"], reply["signal"] = _reap(pid, at_once=reply["timed_out"])
    return reply


def _reap(pid: int, *, at_once: bool) -> tuple[int | None, int | None]:
    """Collect a worker's exit code or signal; kill what is left of its process group."""
    end = time.monotonic() + (0 if at_once else GRACE_S)
    status = None
    while status is None and time.monotonic() < end:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status = code
        else:
            time.sleep(0.001)
    _kill(pid)
    if status is None:
        status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        return None, os.WTERMSIG(status)
    return os.WEXITSTATUS(status), None


def _kill(pid: int) -> None:
    """Kill a worker and every process it has started."""
    for kill, target in ((os.killpg, pid), (os.kill, pid)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(target, signal.SIGKILL)


def _work(job: dict[str, Any], writer: int, output: int) -> None:
    """Become the worker: own process group, own output, limits; then run the job and leave."""
    server = os.getppid()
    os.setpgid(0, 0)
    die_with_parent()
    if os.getppid() != server:  # it died before the line above
        os._exit(0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    if limit := job.get("memory_limit_bytes"):
        limit_memory(limit)
    from linbench.executors import worker

    def send(message: dict[str, Any]) -> None:
        left = memoryview(json.dumps(message).encode() + b"\n")
        while left:
            left = left[os.write(writer, left) :]

    send({"result": worker.run(job, send)})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # no destructors: what a plug-in left behind must not change the result


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux; elsewhere the pipe tells)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def limit_memory(extra_bytes: int) -> None:
    """Let this process take that much more memory: past it, allocation fails and nothing is killed.

    Private memory is limited (RLIMIT_DATA), not address space: libraries and GPU drivers map far
    more than they use.
    """
    if sys.platform != "linux":
        return
    status = Path("/proc/self/status").read_text()
    held = next(line for line in status.splitlines() if line.startswith("VmData:"))
    limit = int(held.split()[1]) * 1024 + extra_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
