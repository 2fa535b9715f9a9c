"""A suite under pytest-benchmark: each case is a benchmark, its check and peak memory beside it.

    pytest suites/bench_attention.py --benchmark-only --benchmark-json=out.json
    LINBENCH_SUITE=sharing pytest suites/bench_attention.py --benchmark-only

LINBENCH_SUITE names the suite as `linbench sweep` does: a name or a .toml file, `smoke` by default.
Its grid is used, not its rounds and budget. The JSON is a run for every verb of linbench
(`linbench compare out.json other.json`), with the same case ids as those of `linbench sweep`.

All cases share one process here, so that one file is one round: run it several times into one
folder, in turns with what it is compared with, and name the folders. `linbench sweep` measures
every round of every case in a process of its own, and its memory beside the kernel's count.
"""

import os
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from linbench import attention
from linbench.plan import suite as suites
from linbench.probes import allocator, machine, memory
from linbench.run.case import DEFAULT_TASK, Case
from linbench.run.formats.pytest_benchmark import EXTRA
from linbench.run.metrics import Measurement
from linbench.run.record import Detail, Memory, Timing
from linbench.tasks.efficiency import measure_memory
from linbench.tasks.support import check
from linbench.tasks.support.subject import build, step, wake

SUITE = suites.load(os.environ.get("LINBENCH_SUITE", "smoke"), {})
DEVICE = "cpu" if SUITE.device == "cpu" or machine.no_cuda_reason() else "cuda"
suites.check_plugins(SUITE)
for plugin in SUITE.plugins:
    attention.load_plugin(plugin)
CASES = [case for case in suites.expand(SUITE, DEVICE)[0] if case.task == DEFAULT_TASK]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
@pytest.mark.benchmark(disable_gc=True)
def test_case(benchmark: BenchmarkFixture, case: Case) -> None:
    if reason := attention.unavailable(str(case.impl), str(case.device)):
        pytest.skip(reason)
    benchmark.group = f"{case.scope} {case.mode} n={case.seq}"
    torch.manual_seed(case.seed or 0)
    with torch.set_grad_enabled(case.mode == "forward_backward"):
        subject = build(case)
        call = step(case, subject)
        wake(case, subject, call)
        result, peak, sources = peak_memory(case, call)
        try:
            checked = check.compare(case, subject, result)
        except check.IncorrectOutput as incorrect:
            pytest.fail(str(incorrect))
        expected = check.rows_of(check.output_of(result), subject)
        del result
        pages = "cuda caching allocator"
        if case.device == "cpu":
            pages = allocator.keep_freed_pages(int(peak.value or 0)) or "kept"
        timing = Timing(threads=torch.get_num_threads(), freed_pages=pages)
        detail = Detail(memory=Memory(**sources), check=checked, timing=timing)
        record: dict[str, Any] = {
            "case": case.model_dump(mode="json"),
            "metrics": {"memory": asdict(peak)},
            "detail": detail.model_dump(mode="json", exclude_none=True),
        }
        benchmark.extra_info[EXTRA] = record
        last = benchmark(waiting(case, call))
        try:
            check.same(last, expected, subject)
        except check.IncorrectOutput as incorrect:
            record |= {"status": "incorrect", "reason": str(incorrect)}
            pytest.fail(str(incorrect))


def peak_memory(case: Case, call: Callable[[], Any]) -> tuple[Any, Measurement, dict[str, Any]]:
    """Return the result of a call, its peak memory, and that by source.

    The framework's count alone on a CPU: the kernel's is wrong but in a fresh process.
    """
    if case.device == "cuda":
        return measure_memory(case, call)
    result, peak, reason = memory.allocation_peak(call)
    reasons = {"rss_hwm_bytes": "not a fresh process"}
    if reason:
        reasons["cpu_allocator_bytes"] = reason
    source = None if peak is None else "cpu_allocator"
    by_source = {"cpu_allocator_bytes": peak, "reasons": reasons}
    return result, Measurement(peak, source=source, reason=reason), by_source


def waiting(case: Case, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that ends when its work has ended; on a GPU it is only queued by then."""
    if case.device == "cpu":
        return call

    def synchronized() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return synchronized
