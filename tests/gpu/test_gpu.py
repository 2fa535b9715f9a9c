"""On a real NVIDIA GPU: run with `pytest -m gpu`. Left out by default."""

import functools
import statistics
import time

import pytest
import torch

from linbench.executors.local import Local
from linbench.plan.measure import measure as measure_at
from linbench.plan.suite import Suite
from linbench.probes import nvml
from linbench.run.case import Case

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU and CUDA"),
]
MIB = 2**20


@pytest.fixture(scope="module")
def measure():
    with Local(Suite(case_timeout=120), "cuda") as local:
        yield functools.partial(measure_at, local)


def test_samples_hold_the_whole_of_a_call():
    """A kernel is launched long before it ends: samples must be as long as waiting for it takes."""
    from linbench.probes import cuda

    a = torch.randn(8192, 8192, device="cuda")

    def call():
        return a @ a

    call()
    torch.cuda.synchronize()
    walls = []
    for _ in range(5):
        begin = time.perf_counter()
        call()
        launched = time.perf_counter() - begin
        torch.cuda.synchronize()
        walls.append(time.perf_counter() - begin)
    samples, _ = cuda.sample(call)
    assert statistics.median(samples.seconds) == pytest.approx(statistics.median(walls), rel=0.2)
    assert statistics.median(samples.seconds) > 3 * launched


@pytest.mark.parametrize("impl", ["vanilla", "sdpa", "xformers", "linformer"])
@pytest.mark.parametrize("mode", ["forward", "forward_backward"])
def test_every_implementation_is_measured_and_right(measure, impl, mode):
    """In half precision too the outputs are held against the float64 reference."""
    fields = {"k": 128, "sharing": "headwise", "projection": "linear", "order": "auto"}
    case = Case(
        impl=impl, seq=2048, mode=mode, dtype="float16", device="cuda",
        **(fields if impl == "linformer" else {}),
    )  # fmt: skip
    record = measure(case, 0)
    assert record.status == "ok", record.reason
    detail = record.detail
    assert detail.check.max_rel_error <= detail.check.tolerance
    assert detail.timing.clock == record.metrics["time"].source == "cuda_event"
    assert record.metrics["memory"].source == "cuda_allocator"
    assert record.value("memory") == detail.memory.cuda_allocated_bytes
    assert detail.memory.cuda_reserved_bytes >= detail.memory.cuda_allocated_bytes > 0


def test_vanilla_memory_is_the_analytic_one(measure):
    """Two n x n matrices of 4 heads at n = 4096 in float32: 512 MiB, by the allocator."""
    case = Case(impl="vanilla", seq=4096, scope="core", device="cuda")
    record = measure(case, 0)
    memory = record.detail.memory
    assert record.value("memory") == pytest.approx(512 * MIB, rel=0.05)
    for name in ("nvml_process_bytes", "nvml_device_bytes"):
        assert getattr(memory, name) or memory.reasons[name]


def test_energy_and_clocks_are_there_or_say_why(measure):
    """Joules by the GPU's counter; clocks and throttle reasons at every sample."""
    record = measure(Case(impl="sdpa", seq=8192, device="cuda"), 0)
    energy = record.metrics["energy"]
    assert (energy.value is None) != (energy.reason is None)
    if energy.value:
        assert 0 < energy.value < 1000
        assert energy.source == "nvml"
    assert len(record.detail.clocks) == len(record.samples("time"))


@pytest.mark.parametrize("impl", ["vanilla", "sdpa"])
def test_the_largest_batch_is_found_by_running_out_of_memory(measure, impl):
    """Every answer comes from a run under the limit; the bytes of what fits are within it."""
    limit = {"memory_limit_bytes": 2**30}
    case = Case(task="max_batch", impl=impl, seq=1024, settings=limit, device="cuda")
    record = measure(case, 0)
    assert record.status == "ok", record.reason
    assert record.metrics["max_batch"].source == "measured"
    batch = record.value("max_batch")
    tried = {one["batch"]: one for one in record.detail.max_batch["tried"]}
    assert tried[batch]["fits"]
    assert tried[batch]["bytes"] <= 2**30
    assert tried[batch + 1]["bytes"] is None
    if impl == "vanilla":  # two n x n matrices of 4 heads each: 32 MiB a sequence
        assert 24 <= batch <= 34


def test_more_than_the_gpu_holds_is_oom(measure):
    """Out of memory is a result, with torch's words as the reason."""
    gpu, _ = nvml.first_gpu()
    n = 65536
    heads = 1 + gpu["memory_bytes"] // (n * n * 4)
    case = Case(impl="vanilla", seq=n, scope="core", heads=heads, d_model=64 * heads, device="cuda")
    record = measure(case, 0)
    assert record.status == "oom"
    assert "out of memory" in record.reason.lower()
