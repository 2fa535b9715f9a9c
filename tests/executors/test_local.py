"""The local executor: real processes, and every way in which they fail."""

import functools
import json
import statistics
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from linbench.executors.local import Local, fields_of
from linbench.plan.measure import measure as measure_at
from linbench.plan.suite import Suite
from linbench.run.case import Case
from linbench.run.record import Record

MISBEHAVING = Path(__file__).parents[1] / "misbehaving.py"
BAD = (
    "raises_building", "raises_running", "wrong_shape", "not_a_tensor", "nan", "prints", "exits",
    "leaves", "aborts", "segfaults", "hangs", "terabytes", "stopped", "realtime", "fickle",
    "impostor",
)  # fmt: skip


def suite(*plugins, **settings):
    return Suite(impl=[*plugins, "sdpa"], **settings)


@pytest.fixture(scope="module")
def measure():
    """One pool for all tests: its server loads torch once."""
    plugins = [f"{name}={MISBEHAVING}:{name}" for name in BAD]
    with Local(suite(*plugins, case_timeout=30)) as local:
        yield functools.partial(measure_at, local)


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
    seconds = record.samples("time")
    assert seconds
    assert all(second > 0 for second in seconds)
    assert record.value("time") == statistics.median(seconds)
    assert record.metrics["time"].source == "perf_counter"
    memory = record.detail.memory
    assert record.value("memory") == memory.cpu_allocator_bytes > 0
    assert record.metrics["memory"].source == "cpu_allocator"
    assert memory.rss_hwm_bytes > 0
    assert memory.weights_bytes > 0
    assert memory.inputs_bytes > 0
    energy = record.metrics["energy"]
    assert (energy.value is None) == (energy.reason is not None)
    check = record.detail.check
    assert check.reference.endswith("float64")
    assert check.mathematics == ("linformer" if case.impl == "linformer" else "exact")
    assert 0 < check.max_rel_error <= check.tolerance
    timing = record.detail.timing
    assert timing.threads >= 1
    assert timing.freed_pages == "kept"
    assert timing.clock == "perf_counter"
    assert record.duration_s > timing.first_call_s
    assert record.started


def test_memory_is_the_analytic_one(measure):
    """Vanilla core attention at n = 2048 and 4 heads holds two n x n matrices: 128 MiB."""
    record = measure(Case(impl="vanilla", seq=2048, scope="core"), 0)
    memory = record.detail.memory
    assert record.value("memory") == pytest.approx(128 * 2**20, rel=0.05)
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
    assert record.samples("time") == []
    assert record.duration_s < 20


def test_a_plugin_that_hangs_is_a_timeout():
    """Killed at the limit; the reason says at what it was, and the next case runs."""
    with Local(suite(f"hangs={MISBEHAVING}:hangs", case_timeout=2)) as local:
        record = measure_at(local, Case(impl="hangs", seq=64), 0)
        assert record.status == "timeout"
        assert record.reason.startswith("killed after 2 s (in phase")
        assert record.metrics == {}
        assert record.duration_s < 4
        assert local.slots()


def test_a_plugin_that_prints_is_measured_all_the_same(measure, capfd):
    """What a plug-in prints goes nowhere; its mathematics is unknown, and the record says so."""
    record = measure(Case(impl="prints", seq=64), 0)
    assert record.status == "ok"
    assert record.detail.check.reference is None
    assert "only shape and finiteness" in record.detail.check.reason
    assert capfd.readouterr() == ("", "")


def test_xformers_without_a_gpu_is_skipped_with_the_reason(measure):
    """What cannot run here is skipped, not failed."""
    record = measure(Case(impl="xformers", seq=64), 0)
    assert (record.status, record.reason) == ("skipped", "xformers runs on CUDA only, not on cpu")


def test_unknown_implementation_and_missing_plugin_are_errors_in_the_record():
    """A plug-in whose file is gone is an error of its cases."""
    with Local(suite("gone=/nowhere/x.py:build", case_timeout=10)) as local:
        record = measure_at(local, Case(impl="gone", seq=64), 0)
    assert record.status == "error"
    assert "/nowhere/x.py" in record.reason


def test_a_plugin_that_cannot_be_imported_harms_no_other(tmp_path):
    """Others' code is loaded only to measure itself."""
    (tmp_path / "bad.py").write_text("import os; os._exit(1)")
    with Local(suite(f"bad={tmp_path / 'bad.py'}:b", case_timeout=30)) as local:
        assert measure_at(local, Case(impl="sdpa", seq=64), 0).status == "ok"
        assert measure_at(local, Case(impl="bad", seq=64), 0).status == "error"


def test_each_round_is_a_fresh_process_and_none_is_left():
    """Leaving the executor ends the server and whatever it runs."""
    with Local(suite()) as local:
        first = measure_at(local, Case(impl="sdpa", seq=64), 0)
        server = psutil.Process(local._server.pid)
        assert first.status == "ok"
        assert server.num_threads() == 1, "a fork must copy no locks of other threads"
        assert server.children() == []
    assert not server.is_running()


def test_a_server_that_is_killed_costs_one_record():
    """The kernel may kill the server too; the next round has a new one."""
    with Local(suite()) as local:
        assert measure_at(local, Case(impl="sdpa", seq=64), 0).status == "ok"
        local._server.kill()
        local._server.wait()
        died = measure_at(local, Case(impl="sdpa", seq=64), 1)
        assert (died.status, died.reason[:26]) == ("error", "the measuring server died:")
        assert measure_at(local, Case(impl="sdpa", seq=64), 2).status == "ok"


def test_there_is_one_place_and_it_is_free_or_not():
    """While a visit runs there is none; `next` waits no longer than it is told to."""
    with Local(suite()) as local:
        (slot,) = local.slots()
        assert slot.free_bytes > 2**20
        assert local.next(0) is None
        local.submit(slot, Case(impl="sdpa", seq=64), 3)
        assert local.slots() == ()
        assert local.next(1e-6) is None
        record = local.next(60)
        assert (record.status, record.round) == ("ok", 3)
        assert len(local.slots()) == 1


def test_a_worker_does_not_outlive_the_closed_pipe(tmp_path):
    """When the parent vanishes the server kills a worker that hangs, and leaves."""
    local = Local(suite(f"hangs={MISBEHAVING}:hangs", case_timeout=600))
    local._start()
    local.submit(local.slots()[0], Case(impl="hangs", seq=64), 0)
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
    assert measure(fails, 7).detail.ceilings is None
    assert measure(first, 7).detail.ceilings.gemm_seconds
    assert measure(second, 7).detail.ceilings is None
    assert measure(other, 7).detail.ceilings.copy_seconds
    assert measure(second, 8).detail.ceilings.gemm_flops == 2 * 1024**3


def test_a_record_counts_what_its_call_must_cost(measure):
    """Operations are those of the cost model; of a plug-in nothing is claimed."""
    costs = measure(Case(impl="sdpa", seq=64, scope="core"), 0).detail.costs
    assert costs.flops == 4 * 64 * 64 * 256
    assert costs.parameters == 0
    assert measure(Case(impl="prints", seq=64), 0).detail.costs is None


# ---- replies ----

OLD = {
    "status": "ok",
    "seconds": [0.3, 0.1, 0.2],
    "memory": {"peak_bytes": 2048, "source": "cpu_allocator", "weights_bytes": 4, "reasons": {}},
    "check": {"reference": "exact attention, float64", "max_rel_error": 1e-7, "tolerance": 1e-4},
    "timing": {"clock": "perf_counter", "first_call_s": 0.4},
    "energy_j": None,
    "energy_reason": "no counters",
    "warnings": ["slow"],
}
SDPA = Case(impl="sdpa", seq=64)


def record_of(reply, case=SDPA):
    return Record(case_id=case.id, case=case, round=0, **fields_of(reply, 3.0, case))


def test_a_worker_of_an_old_checkout_is_understood():
    """`gate --against` starts the server of whatever commit it is held against."""
    record = record_of({"result": OLD, "nvml": None})
    assert record.value("time") == 0.2
    assert record.samples("time") == [0.3, 0.1, 0.2]
    assert record.metrics["time"].source == "perf_counter"
    assert (record.value("memory"), record.metrics["memory"].source) == (2048, "cpu_allocator")
    assert record.detail.memory.weights_bytes == 4
    assert record.metrics["energy"].reason == "no counters"
    assert record.detail.check.mathematics == "exact"
    assert record.detail.timing.first_call_s == 0.4
    assert record.warnings == ["slow"]


def test_an_old_search_for_a_batch_is_understood():
    """What it found is the metric, how it went the detail."""
    case = Case(task="max_batch", impl="sdpa", seq=64, settings={"memory_limit_bytes": 2**24})
    found = {"batch": 7, "limit_bytes": 2**24, "how": "measured", "tried": []}
    record = record_of({"result": {"status": "ok", "max_batch": found}}, case)
    assert (record.value("max_batch"), record.metrics["max_batch"].source) == (7, "measured")
    assert record.detail.max_batch["limit_bytes"] == 2**24


@pytest.mark.parametrize("result", [OLD, {"metrics": {}, "detail": {}, "status": "error"}])
def test_what_nvml_saw_stands_beside_the_other_sources(result):
    """Whatever the worker's age; reasons are put together."""
    nvml = {"nvml_device_bytes": 99, "reasons": {"nvml_process_bytes": "hidden"}}
    memory = record_of({"result": result, "nvml": nvml}).detail.memory
    assert memory.nvml_device_bytes == 99
    assert memory.reasons["nvml_process_bytes"] == "hidden"


def test_a_worker_that_ran_out_of_memory_in_another_language_is_oom():
    """C++ says so before it dies."""
    reply = {"result": None, "timed_out": False, "phase": "memory", "exit": None, "signal": 6,
             "output": "terminate called after throwing\n 'std::bad_alloc'"}  # fmt: skip
    record = record_of(reply)
    assert record.status == "oom"
    assert record.reason.startswith("out of memory (in phase 'memory'); it said:")


def test_what_is_no_record_is_an_error_that_says_where(monkeypatch):
    """A worker of another version may send anything."""
    with Local(suite()) as local:
        local.submit(local.slots()[0], SDPA, 0)
        monkeypatch.setattr(
            local, "_read", lambda: {"ready": True, "result": {"status": "splendid", "metrics": {}}}
        )
        record = local.next()
    assert record.status == "error"
    assert record.reason.startswith("the worker sent what is no record: status: ")


def test_a_job_tells_a_worker_of_any_age(monkeypatch):
    """Round, options and limits; settings stand among the fields of the case, as they did first."""
    case = Case(task="max_batch", impl="sdpa", seq=64, settings={"memory_limit_bytes": 2**24})
    sent = []
    with Local(suite(keep_pages=False, case_timeout=9)) as local:
        local._wait_ready()
        pipe = SimpleNamespace(write=sent.append, close=local._jobs.close)
        monkeypatch.setattr(local, "_jobs", pipe)
        local.submit(local.slots()[0], case, 4)
    job = json.loads(sent[0])
    assert job["case"]["memory_limit_bytes"] == 2**24
    assert "settings" not in job["case"]
    assert (job["round"], job["timeout_s"], job["ceilings"]) == (4, 9.0, True)
    assert job["options"] == {"keep_pages": False}
    assert job["memory_limit_bytes"] > 2**20
    assert not {"root", "not_from"} & set(job)
