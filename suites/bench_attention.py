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
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from linbench import attention
from linbench import suite as suites
from linbench.case import Case
from linbench.probes import allocator, machine, memory
from linbench.pytest_benchmark import EXTRA
from linbench.tasks import check
from linbench.tasks.efficiency import build, measure_memory, step, wake

SUITE = suites.load(os.environ.get("LINBENCH_SUITE", "smoke"), {})
DEVICE = "cpu" if SUITE.device == "cpu" or machine.no_cuda_reason() else "cuda"
suites.check_plugins(SUITE)
for plugin in SUITE.plugins:
    attention.load_plugin(plugin)
CASES = [case for case in suites.expand(SUITE, DEVICE)[0] if case.task == "efficiency"]


@pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])
@pytest.mark.benchmark(disable_gc=True)
def test_case(benchmark: BenchmarkFixture, case: Case) -> None:
    if reason := attention.unavailable(case.impl, case.device):
        pytest.skip(reason)
    benchmark.group = f"{case.scope} {case.mode} n={case.seq}"
    torch.manual_seed(case.seed)
    with torch.set_grad_enabled(case.mode == "forward_backward"):
        of = build(case)
        call = step(case, of)
        wake(case, of, call)
        result, used = peak_memory(case, call)
        try:
            checked = check.compare(case, of, result)
        except check.Wrong as wrong:
            pytest.fail(str(wrong))
        expected = check.rows_of(check.output_of(result), of)
        del result
        pages = "cuda caching allocator"
        if case.device == "cpu":
            pages = allocator.keep_freed_pages(used["peak_bytes"] or 0) or "kept"
        record: dict[str, Any] = {
            "case": case.model_dump(mode="json"),
            "memory": used,
            "check": checked,
            "timing": {"threads": torch.get_num_threads(), "freed_pages": pages},
        }
        benchmark.extra_info[EXTRA] = record
        last = check.rows_of(check.output_of(benchmark(waiting(case, call))), of)
    if not torch.allclose(last, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
        record["status"] = "incorrect"
        record["reason"] = "the last timed call returned other values than the checked call"
        pytest.fail(record["reason"])


def peak_memory(case: Case, call: Callable[[], Any]) -> tuple[Any, dict[str, Any]]:
    """Return the result of a call and the memory fields of a record.

    The framework's count alone on a CPU: the kernel's is wrong but in a fresh process.
    """
    if case.device == "cuda":
        return measure_memory(case, call)
    result, peak, reason = memory.allocation_peak(call)
    reasons = {"rss_hwm_bytes": "not a fresh process"}
    if reason:
        reasons["cpu_allocator_bytes"] = reason
    source = None if peak is None else "cpu_allocator"
    return result, {
        "peak_bytes": peak, "source": source, "cpu_allocator_bytes": peak, "reasons": reasons,
    }  # fmt: skip


def waiting(case: Case, call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that ends when its work has ended; on a GPU it is only queued by then."""
    if case.device == "cpu":
        return call

    def synchronized() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return synchronized
