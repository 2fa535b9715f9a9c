"""Task max_batch in real processes: what it finds is what the efficiency task confirms."""

from pathlib import Path

import pytest
import torch

from linbench.case import Case
from linbench.executors.local import Local
from linbench.predict import need_of
from linbench.tasks import TASKS
from linbench.tasks.max_batch import _within

HERE = Path(__file__).parent
MIB = 2**20
SMALL = {"seq": 256, "d_model": 64, "heads": 2}
LINFORMER = {"k": 32, "sharing": "layerwise", "projection": "linear", "order": "auto"}


@pytest.fixture(scope="module")
def measure():
    plugins = [f"wrong_shape={HERE / 'misbehaving.py'}:wrong_shape", f"mine={__file__}:mine"]
    with Local(plugins, {"keep_pages": True}, case_timeout_s=20.0) as local:
        yield local


def mine(config):
    """A plug-in that is torch's own attention: nothing is counted of it."""
    from linbench.attention import build

    return build("sdpa", config)


def searching(limit_bytes, **fields):
    return Case(task="max_batch", memory_limit_bytes=limit_bytes, **{**SMALL, **fields})


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
    found = record.max_batch
    assert found.batch > 4
    assert found.limit_bytes == limit
    needs = []
    for batch in (found.batch, found.batch + 1):
        memory = measure(Case(**{**SMALL, **fields}, batch=batch), 0).memory
        needs.append(memory.peak_bytes + memory.weights_bytes + memory.inputs_bytes)
    assert needs[0] <= limit < needs[1]
    tried = {one.batch: one for one in found.tried}
    assert [tried[found.batch].fits, tried[found.batch + 1].fits] == [True, False]
    assert tried[found.batch].bytes == pytest.approx(needs[0], rel=0.01)
    assert record.check.max_rel_error <= record.check.tolerance
    assert record.seconds == []


def test_nothing_fits_is_a_result(measure):
    """Zero, by counting where that is enough and by a run where it is close."""
    case = searching(MIB, impl="vanilla", seq=2048)
    record = measure(case, 0)
    assert (record.status, record.max_batch.batch, record.max_batch.how) == ("ok", 0, "counted")
    assert record.max_batch.tried[0].fits is False
    close = searching(int(need_of(case, 1) / 1.1), impl="vanilla", seq=2048)
    record = measure(close, 0)
    assert (record.status, record.max_batch.batch, record.max_batch.how) == ("ok", 0, "measured")


def test_wrong_outputs_have_no_largest_batch(measure):
    """What does not compute attention is incorrect here too."""
    record = measure(searching(16 * MIB, impl="wrong_shape"), 0)
    assert record.status == "incorrect"
    assert record.max_batch is None


def test_a_timeout_says_which_batch_was_run():
    """The phase of a search is its batch."""
    with Local([f"hangs={HERE / 'misbehaving.py'}:hangs"], {}, case_timeout_s=1.0) as quick:
        record = quick(searching(16 * MIB, impl="hangs"), 0)
    assert record.status == "timeout"
    assert "batch 1" in record.reason


def test_a_gpu_without_that_much_memory_is_skipped(monkeypatch):
    """A limit that the GPU cannot give tells nothing of the case."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * 2**30, 16 * 2**30))
    case = searching(16 * 2**30, impl="sdpa", device="cuda")
    fields = TASKS["max_batch"](case, lambda _: None)
    assert fields["status"] == "skipped"
    assert "8.00 GiB of the GPU are free" in fields["reason"]


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
