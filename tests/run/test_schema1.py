"""Files of schema 1 are read as those of today: nothing is lost, no id and no value changes."""

import json
import statistics
from pathlib import Path

import pytest

from linbench.errors import RunFileError
from linbench.run.formats.schema1 import fields_upgraded
from linbench.run.journal import Journal
from linbench.run.metrics import Measurement
from linbench.run.record import Record, read, to_line

COMMITTED = [*sorted(Path("reports/example").glob("*.jsonl")), Path("results/baselines/ci.jsonl")]
HEADER = {
    "type": "run", "schema": 1, "run_id": "old", "created": "2026-01-01T00:00:00+00:00",
    "linbench": "0.1", "machine": {"fingerprint": "f"}, "suite": {"task": ["efficiency"]},
}  # fmt: skip
CASE = {"task": "efficiency", "impl": "sdpa", "seq": 64, "scope": "core"}
RECORD = {
    "type": "record", "case_id": "c", "case": CASE, "round": 0, "status": "ok",
    "seconds": [0.3, 0.1, 0.2], "memory": {"peak_bytes": 7, "source": "cpu_allocator",
                                           "cpu_allocator_bytes": 7, "weights_bytes": 3},
    "energy_reason": "no GPU", "timing": {"clock": "perf_counter"},
    "check": {"reference": "exact attention in float64", "max_rel_error": 1e-7},
}  # fmt: skip


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize("path", COMMITTED, ids=str)
def test_committed_files_read_as_they_were_measured(path):
    """Ids are those of today, and every number is the one in the file."""
    header, records = read(path)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert header.run_id == lines[0]["run_id"]
    assert len(records) == len(lines) - 1
    for record, line in zip(records, lines[1:], strict=True):
        assert record.case_id == record.case.id == line["case_id"]
        assert (record.round, record.status, record.reason) == (
            line["round"], line["status"], line.get("reason"),
        )  # fmt: skip
        if "metrics" in line:
            continue
        seconds, memory = line.get("seconds") or [], line.get("memory") or {}
        assert record.samples("time") == seconds
        assert record.value("time") == (statistics.median(seconds) if seconds else None)
        assert record.value("memory") == memory.get("peak_bytes")
        assert record.value("energy") == line.get("energy_j")
        for name in ("check", "timing", "costs", "ceilings", "clocks"):
            was, now = line.get(name), getattr(record.detail, name)
            assert (now is None) == (was is None)
            if isinstance(was, dict):
                assert was.items() <= now.model_dump(mode="json").items()
        if found := line.get("max_batch"):
            assert record.value("max_batch") == found["batch"]
            assert record.model_dump(mode="json")["detail"]["max_batch"] == found


def test_a_line_of_the_first_schema_in_todays_form(tmp_path):
    """Each field of old stands where its like stands now."""
    (record,) = read(write(tmp_path / "old.jsonl", HEADER, RECORD))[1]
    assert record.metrics["time"] == Measurement(0.2, [0.3, 0.1, 0.2], "perf_counter")
    assert record.metrics["memory"] == Measurement(7, source="cpu_allocator")
    assert record.metrics["energy"] == Measurement(reason="no GPU")
    assert record.detail.memory.weights_bytes == 3
    assert record.detail.check.mathematics == "exact"
    assert not record.model_extra
    assert not record.detail.model_extra


def test_what_is_read_and_written_reads_the_same(tmp_path):
    """A file that is written anew is of today's schema and says the same."""
    header, records = read(write(tmp_path / "old.jsonl", HEADER, RECORD))
    (tmp_path / "new.jsonl").write_text("".join(map(to_line, (header, *records))))
    assert json.loads((tmp_path / "new.jsonl").read_text().splitlines()[0])["schema"] == 2
    assert read(tmp_path / "new.jsonl") == (header, records)


def test_a_search_had_fields_of_its_own(tmp_path):
    """The limit is a setting now, the batch a metric of which more is better."""
    case = {**CASE, "task": "max_batch", "memory_limit_bytes": 2**34}
    found = {"batch": 0, "limit_bytes": 2**34, "how": "counted", "tried": []}
    path = write(
        tmp_path / "old.jsonl",
        {**HEADER, "suite": {"task": ["efficiency", "max_batch"]}},
        {**RECORD, "case": case, "seconds": [], "memory": None, "max_batch": found},
    )
    header, (record,) = read(path)
    assert record.case.setting("memory_limit_bytes") == 2**34
    assert record.metrics["max_batch"] == Measurement(0, source="counted")
    assert header.metric("max_batch").better == "more"
    assert header.metric("max_batch").noise == "exact"


def test_somebodys_function_had_a_made_up_shape(tmp_path):
    """What stood for unknown is unknown now, and the id is that of a run read today."""
    unknown = {"d_model": 1, "heads": 1, "dtype": "unknown", "device": "unknown"}
    case = {"impl": "test_it", "scope": "function", **unknown}
    lines = [{**RECORD, "case": {**case, "seq": n}, "case_id": f"was-{n}"} for n in (1, 64)]
    _, records = read(write(tmp_path / "old.jsonl", HEADER, *lines))
    assert [record.case.seq for record in records] == [None, 64]
    for record in records:
        assert record.case_id == record.case.id
        assert (record.case.d_model, record.case.dtype, record.case.device) == (None, None, None)


def test_a_resumed_run_goes_on_in_todays_form(tmp_path):
    """Lines of both schemas stand in one file, under a header of the first."""
    path = write(tmp_path / "old.jsonl", HEADER, RECORD)
    _, (first,) = read(path)
    with Journal.reopen(path) as journal:
        journal.append(first.model_copy(update={"round": 1}))
    _, records = read(path)
    assert [record.round for record in records] == [0, 1]
    assert records[1].metrics == first.metrics
    assert records[1].detail == first.detail


def test_what_nobody_described_is_kept(tmp_path):
    """Fields of another writer, in the record and in its parts, survive."""
    memory = {**RECORD["memory"], "swap_bytes": 5}
    line = {**RECORD, "memory": memory, "mood": "good"}
    (record,) = read(write(tmp_path / "old.jsonl", HEADER, line))[1]
    assert record.model_extra == {"mood": "good"}
    assert record.detail.memory.model_extra == {"swap_bytes": 5}


@pytest.mark.parametrize(
    "change",
    [
        {"seconds": "soon"}, {"seconds": ["a"]}, {"seconds": [[1]]}, {"seconds": 5},
        {"seconds": {"a": 1}}, {"seconds": [True, None]}, {"seconds": [0.0]}, {"seconds": [-1]},
        {"seconds": [], "memory": None}, {"memory": 7}, {"memory": [1]},
        {"memory": {"peak_bytes": "x"}}, {"memory": {"peak_bytes": -1}},
        {"memory": {"peak_bytes": 1, "reasons": 3}}, {"energy_j": []}, {"energy_reason": 4},
        {"check": "fine"}, {"check": {"reference": 5}}, {"timing": [1]}, {"timing": "fast"},
        {"costs": {"flops": "many"}}, {"ceilings": 3}, {"clocks": {}}, {"round": None},
        {"status": "fine"}, {"case": None}, {"case": []}, {"case": {**CASE, "task": []}},
        {"case": {**CASE, "task": {}}}, {"case": {**CASE, "memory_limit_bytes": [1]}},
        {"case": {**CASE, "scope": []}}, {"case": {**CASE, "scope": "function", "impl": 5}},
        {"case": {**CASE, "task": "max_batch"}, "max_batch": {"batch": "x"}},
        {"case": {**CASE, "task": "max_batch"}, "max_batch": 3, "seconds": [],
         "memory": None},
        {"case": {**CASE, "settings": 3}}, {"warnings": "hot"}, {"started": 5},
    ],
    ids=str,
)  # fmt: skip
def test_wrong_types_are_one_line_that_names_the_line(tmp_path, change):
    """However broken an old line is, it is an error of one line, never a traceback."""
    path = write(tmp_path / "old.jsonl", HEADER, {**RECORD, **change})
    with pytest.raises(RunFileError, match="line 2") as caught:
        read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [{"suite": 5}, {"suite": {"task": 3}}, {"machine": "big"}, {"machine": {}}, {"schema": "1"},
     {"schema": None}, {"schema": -1}, {"git": "abc"}, {"argv": 3}, {"merged": 1}],
    ids=str,
)  # fmt: skip
def test_wrong_types_in_a_header(tmp_path, change):
    """The header is as well guarded."""
    path = write(tmp_path / "old.jsonl", {**HEADER, **change}, RECORD)
    if change == {"suite": {"task": 3}}:
        assert read(path)[0].metrics == []
        return
    with pytest.raises(RunFileError, match="line 1") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_worker_of_an_older_checkout_is_understood():
    """What it sends has the fields of the first schema; those of today pass through."""
    old = {name: RECORD[name] for name in ("status", "seconds", "memory", "timing")}
    record = Record(case_id="c", case=CASE, round=0, **fields_upgraded(old, "efficiency"))
    assert record.value("time") == 0.2
    new = {"metrics": {}, "status": "oom"}
    assert fields_upgraded(new, "efficiency") == new
