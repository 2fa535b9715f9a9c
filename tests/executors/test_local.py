"""The local executor: real processes, and every way in which they fail."""

import os
import time
from pathlib import Path

import psutil
import pytest

from linbench.case import Case
from linbench.executors.local import Local

HERE = Path(__file__).parent
BAD = (
    "raises_building", "raises_running", "wrong_shape", "not_a_tensor", "nan", "prints", "exits",
    "leaves", "aborts", "segfaults", "hangs", "terabytes", "stopped", "realtime", "fickle",
    "impostor",
)  # fmt: skip


@pytest.fixture(scope="module")
def measure():
    """One executor for all tests: its server loads torch once."""
    plugins = [f"{name}={HERE / 'misbehaving.py'}:{name}" for name in BAD]
    with Local(plugins, {"keep_pages": True}, case_timeout_s=3.0) as local:
        yield local


def linformer(**fields):
    fields = {"k": 64, "sharing": "headwise", "projection": "linear", "order": "auto"} | fields
    return Case(impl="linformer", **fields)


@pytest.mark.parametrize(
    "case",
    [
        Case(impl="vanilla", seq=256),
        Case(impl="sdpa", seq=256, scope="core", batch=3),
        Case(impl="sdpa", seq=256, mode="forward_backward", dtype="bfloat16"),
        Case(impl="vanilla", seq=128, scope="encoder", layers=2),
        Case(impl="vanilla", seq=128, scope="encoder", layers=2, mode="forward_backward"),
        linformer(seq=256, mode="forward_backward", batch=2),
        linformer(seq=256, scope="core", mode="forward_backward", sharing="none"),
        linformer(seq=256, scope="encoder", layers=2, k=(64, 32), dtype="float64"),
        linformer(seq=256, projection="conv", sharing="kv"),
    ],
    ids=lambda case: f"{case.label} {case.scope} {case.mode} {case.dtype}".replace(" ", "-"),
)
def test_what_a_good_case_gives(measure, case):
    """Raw seconds, memory from two sources, a check against the reference, how it was timed."""
    record = measure(case, 2)
    assert record.status == "ok", record.reason
    assert (record.round, record.case_id) == (2, case.id)
    assert record.seconds
    assert all(second > 0 for second in record.seconds)
    assert record.memory.peak_bytes == record.memory.cpu_allocator_bytes > 0
    assert record.memory.source == "cpu_allocator"
    assert record.memory.rss_hwm_bytes > 0
    assert record.memory.weights_bytes > 0
    assert record.memory.inputs_bytes > 0
    assert record.check.reference.endswith("float64")
    assert 0 < record.check.max_rel_error <= record.check.tolerance
    timing = record.timing
    assert timing.threads >= 1
    assert timing.freed_pages == "kept"
    assert timing.clock == "perf_counter"


def test_memory_is_the_analytic_one(measure):
    """Vanilla core attention at n = 2048 and 4 heads holds two n x n matrices: 128 MiB."""
    memory = measure(Case(impl="vanilla", seq=2048, scope="core"), 0).memory
    assert memory.peak_bytes == pytest.approx(128 * 2**20, rel=0.05)
    assert memory.rss_hwm_bytes == pytest.approx(128 * 2**20, rel=0.1)
    assert memory.inputs_bytes == 3 * 2048 * 256 * 4


@pytest.mark.parametrize(
    ("name", "status", "says"),
    [
        ("raises_building", "error", "ValueError: no such width (in raises_building, misbehaving"),
        ("raises_running", "error", "IndexError: off by one (in _raise, misbehaving"),
        ("wrong_shape", "incorrect", "returned shape [1, 63, 256], expected [1, 64, 256]"),
        ("not_a_tensor", "incorrect", "returned list, expected a tensor"),
        ("nan", "incorrect", "returned NaN or infinity"),
        ("exits", "error", "SystemExit: 3"),
        ("leaves", "error", "left with exit code 0 and no result"),
        ("aborts", "error", "killed by SIGABRT"),
        ("segfaults", "error", "killed by SIGSEGV"),
        ("hangs", "timeout", "killed after 3 s (in phase"),
        ("terabytes", "oom", "can't allocate memory"),
        ("stopped", "error", "killed by SIGTERM"),
        ("realtime", "error", "killed by signal 40"),
        ("fickle", "incorrect", "the last timed call returned other values"),
        ("impostor", "incorrect", "differs from the reference (exact attention, float64) by"),
    ],
)
def test_every_fault_is_a_record(measure, name, status, says):
    """A plug-in may fail as it likes: the record has status and reason, and the next case runs."""
    record = measure(Case(impl=name, seq=64), 0)
    assert record.status == status, record.reason
    assert says in record.reason
    assert "\n" not in record.reason
    assert record.seconds == []
    assert record.duration_s < 20


def test_a_plugin_that_prints_is_measured_all_the_same(measure, capfd):
    """What a plug-in prints goes nowhere; its mathematics is unknown, and the record says so."""
    record = measure(Case(impl="prints", seq=64), 0)
    assert record.status == "ok"
    assert record.check.reference is None
    assert "only shape and finiteness" in record.check.reason
    assert capfd.readouterr() == ("", "")


def test_xformers_without_a_gpu_is_skipped_with_the_reason(measure):
    """What cannot run here is skipped, not failed."""
    record = measure(Case(impl="xformers", seq=64), 0)
    assert (record.status, record.reason) == ("skipped", "xformers runs on CUDA only, not on cpu")


def test_unknown_implementation_and_missing_plugin_are_errors_in_the_record():
    """A plug-in whose file is gone is an error of its cases."""
    with Local(["gone=/nowhere/x.py:build"], {"keep_pages": True}, 10.0) as measure:
        record = measure(Case(impl="gone", seq=64), 0)
    assert record.status == "error"
    assert "/nowhere/x.py" in record.reason


def test_a_plugin_that_cannot_be_imported_harms_no_other(tmp_path):
    """Others' code is loaded only to measure itself."""
    (tmp_path / "bad.py").write_text("import os; os._exit(1)")
    with Local([f"bad={tmp_path / 'bad.py'}:b"], {"keep_pages": True}, 30.0) as measure:
        assert measure(Case(impl="sdpa", seq=64), 0).status == "ok"
        assert measure(Case(impl="bad", seq=64), 0).status == "error"


def test_each_round_is_a_fresh_process_and_none_is_left():
    """Leaving the executor ends the server and whatever it runs."""
    with Local([], {"keep_pages": True}, 30.0) as measure:
        first = measure(Case(impl="sdpa", seq=64), 0)
        server = psutil.Process(measure._server.pid)
        assert first.status == "ok"
        assert server.num_threads() == 1, "a fork must copy no locks of other threads"
        assert server.children() == []
    assert not server.is_running()


def test_a_server_that_is_killed_costs_one_record():
    """The kernel may kill the server too; the next round has a new one."""
    with Local([], {"keep_pages": True}, 30.0) as measure:
        assert measure(Case(impl="sdpa", seq=64), 0).status == "ok"
        measure._server.kill()
        measure._server.wait()
        died = measure(Case(impl="sdpa", seq=64), 1)
        assert (died.status, died.reason[:26]) == ("error", "the measuring server died:")
        assert measure(Case(impl="sdpa", seq=64), 2).status == "ok"


def test_a_worker_does_not_outlive_the_closed_pipe(tmp_path):
    """When the parent vanishes the server kills a worker that hangs, and leaves."""
    spec = f"hangs={HERE / 'misbehaving.py'}:hangs"
    local = Local([spec], {"keep_pages": True}, 600.0)
    local._start()
    local._wait_ready()
    job = {**local._job, "case": Case(impl="hangs", seq=64).model_dump(mode="json")}
    import json

    os.write(local._jobs.fileno(), json.dumps(job).encode() + b"\n")
    server = psutil.Process(local._server.pid)
    end = time.monotonic() + 10
    while not server.children() and time.monotonic() < end:
        time.sleep(0.01)
    (worker,) = server.children()
    local._stop()
    psutil.wait_procs([worker], timeout=5)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
    assert not server.is_running()


def test_ceilings_come_once_a_round_for_each_dtype(measure):
    """The first good record of a round carries them; one that fails leaves them to the next."""
    fails = Case(impl="raises_running", seq=64)
    first, second = Case(impl="vanilla", seq=64), Case(impl="sdpa", seq=64)
    other = Case(impl="sdpa", seq=64, dtype="float64")
    assert measure(fails, 7).ceilings is None
    assert measure(first, 7).ceilings.gemm_seconds
    assert measure(second, 7).ceilings is None
    assert measure(other, 7).ceilings.copy_seconds
    assert measure(second, 8).ceilings.gemm_flops == 2 * 1024**3


def test_a_record_counts_what_its_call_must_cost(measure):
    """Operations are those of the cost model; of a plug-in nothing is claimed."""
    costs = measure(Case(impl="sdpa", seq=64, scope="core"), 0).costs
    assert costs.flops == 4 * 64 * 64 * 256
    assert costs.parameters == 0
    assert measure(Case(impl="fickle", seq=64), 0).costs is None
