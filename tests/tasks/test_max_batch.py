"""Task max_batch in real processes: what it finds is what the efficiency task confirms."""

import functools
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from linbench.executors.local import Local
from linbench.plan.measure import measure as measure_at
from linbench.plan.suite import Suite
from linbench.run.case import Case
from linbench.tasks import Context, max_batch
from linbench.tasks.max_batch import _within, need_of

MISBEHAVING = Path(__file__).parents[1] / "misbehaving.py"
MIB = 2**20
SMALL = {"seq": 256, "d_model": 64, "heads": 2}
LINFORMER = {"k": 32, "sharing": "layerwise", "projection": "linear", "order": "auto"}


@pytest.fixture(scope="module")
def measure():
    plugins = [f"wrong_shape={MISBEHAVING}:wrong_shape", f"mine={__file__}:mine"]
    with Local(Suite(impl=plugins, case_timeout=20)) as local:
        yield functools.partial(measure_at, local)


def mine(config):
    """A plug-in that is torch's own attention: nothing is counted of it."""
    from linbench.attention import build

    return build("sdpa", config)


def searching(limit_bytes, **fields):
    limit = {"memory_limit_bytes": limit_bytes}
    return Case(task="max_batch", settings=limit, **{**SMALL, **fields})


def found_in(record):
    """What the search says of itself, its tries among it."""
    found = SimpleNamespace(**record.detail.max_batch)
    found.tried = {one["batch"]: SimpleNamespace(**one) for one in found.tried}
    assert record.value("max_batch") == found.batch
    assert record.metrics["max_batch"].source == found.how
    return found


@pytest.mark.parametrize(
    "fields",
    [
        {"impl": "vanilla"},
        {"impl": "sdpa", "scope": "core", "mode": "forward_backward"},
        {"impl": "linformer", **LINFORMER, "scope": "encoder", "mode": "forward_backward"},
        {"impl": "linformer", **LINFORMER, "sharing": "none"},
        {"impl": "mine"},
    ],
    ids=lambda fields: " ".join(map(str, fields.values())).replace(" ", "-"),
)
def test_the_batch_found_fits_and_the_next_does_not(measure, fields):
    """Measured anew at that batch by the efficiency task, memory is within the limit, then not."""
    limit = 16 * MIB
    record = measure(searching(limit, **fields), 0)
    assert record.status == "ok", record.reason
    found = found_in(record)
    assert found.batch > 4
    assert found.limit_bytes == limit
    needs = []
    for batch in (found.batch, found.batch + 1):
        confirmed = measure(Case(**{**SMALL, **fields}, batch=batch), 0)
        memory = confirmed.detail.memory
        needs.append(confirmed.value("memory") + memory.weights_bytes + memory.inputs_bytes)
    assert needs[0] <= limit < needs[1]
    tried = found.tried
    assert [tried[found.batch].fits, tried[found.batch + 1].fits] == [True, False]
    assert tried[found.batch].bytes == pytest.approx(needs[0], rel=0.01)
    if fields["impl"] != "mine":
        assert record.detail.check.mathematics
    assert record.detail.check.max_rel_error <= record.detail.check.tolerance
    assert record.samples("time") == []


def test_nothing_fits_is_a_result(measure):
    """Zero, by counting where that is enough and by a run where it is close."""
    case = searching(MIB, impl="vanilla", seq=2048)
    record = measure(case, 0)
    found = found_in(record)
    assert (record.status, found.batch, found.how) == ("ok", 0, "counted")
    assert found.tried[1].fits is False
    close = searching(int(need_of(case, 1) / 1.1), impl="vanilla", seq=2048)
    record = measure(close, 0)
    found = found_in(record)
    assert (record.status, found.batch, found.how) == ("ok", 0, "measured")


def test_wrong_outputs_have_no_largest_batch(measure):
    """What does not compute attention is incorrect here too."""
    record = measure(searching(16 * MIB, impl="wrong_shape"), 0)
    assert record.status == "incorrect"
    assert record.metrics == {}


def test_a_timeout_says_which_batch_was_run():
    """The phase of a search is its batch."""
    with Local(Suite(impl=[f"hangs={MISBEHAVING}:hangs"], case_timeout=1)) as quick:
        record = measure_at(quick, searching(16 * MIB, impl="hangs"), 0)
    assert record.status == "timeout"
    assert "batch 1" in record.reason


def test_a_gpu_without_that_much_memory_is_skipped(monkeypatch):
    """A limit that the GPU cannot give tells nothing of the case."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * 2**30, 16 * 2**30))
    case = searching(16 * 2**30, impl="sdpa", device="cuda")
    outcome = max_batch.TASK.run(case, Context())
    assert outcome.status == "skipped"
    assert "8.00 GiB of the GPU are free" in outcome.reason
    assert outcome.metrics == {}


def test_a_gpu_is_held_to_the_limit_and_let_go(monkeypatch):
    """To run out of the allocator's share is None; the share is given back whatever happens."""
    shares = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (60 * 2**30, 64 * 2**30))
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)

    def exhausted():
        raise torch.OutOfMemoryError

    assert _within(16 * 2**30, exhausted) is None
    with pytest.raises(ZeroDivisionError):
        _within(16 * 2**30, lambda: 1 / 0)
    assert shares == [0.25, 1.0, 0.25, 1.0]
