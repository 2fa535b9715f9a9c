"""Records, and the run files they live in."""

import json
from pathlib import Path

import pytest

from linbench.case import Case
from linbench.errors import RunFileError
from linbench.journal import Journal
from linbench.record import (
    Header,
    Machine,
    MaxBatch,
    Memory,
    Record,
    load,
    measured_on,
    read,
    to_line,
)

HEADER = Header(
    run_id="r", created="2026-01-01T00:00:00+00:00", linbench="0", machine=Machine(fingerprint="f")
)
SDPA = Case(impl="sdpa", seq=512)


def record(case=SDPA, round_=0, status="ok", **fields):
    return Record(case_id=case.id, case=case, round=round_, status=status, **fields)


def _line(seq=512, **fields):
    """A line that is well-formed and wrong."""
    case = {"impl": "sdpa", "seq": seq}
    whole = {"type": "record", "case_id": "c", "case": case, "round": 7, "status": "ok", **fields}
    return json.dumps(whole) + "\n"


@pytest.fixture
def run_file(tmp_path):
    """A run of two records."""
    with Journal.create(tmp_path / "r.jsonl", HEADER) as journal:
        linformer = Case(impl="linformer", seq=512, k=128, sharing="kv", projection="linear")
        journal.append(record(seconds=[0.1, 0.2], memory=Memory(peak_bytes=7)))
        journal.append(record(linformer, 1, "skipped", reason="why"))
    return tmp_path / "r.jsonl"


def test_round_trip(run_file):
    """What is written is read back: a header, and a frame with a row per record."""
    header, frame = load(run_file)
    assert header["schema"] == 1
    assert header["machine"]["fingerprint"] == "f"
    assert list(frame["impl"]) == ["sdpa", "linformer"]
    assert frame["seconds"][0] == [0.1, 0.2]
    assert frame["peak_bytes"][0] == 7
    assert frame["k"][0] is None
    assert frame["k"][1] == 128
    assert list(frame["status"]) == ["ok", "skipped"]


@pytest.mark.parametrize(
    ("device", "machine", "name"),
    [
        ("cpu", {"cpu": "C", "gpu": "G"}, "C"),
        ("cuda", {"cpu": "C", "gpu": "G"}, "G"),
        (None, {"cpu": "C", "gpu": "G"}, "G"),
        (None, {"cpu": "C"}, "C"),
        ("cpu", {"gpu": "G"}, None),
        ("cuda", {"cpu": "C"}, None),
    ],
)
def test_a_run_is_attributed_to_the_device_it_used(device, machine, name):
    """A GPU that was not used measured nothing; older runs do not say."""
    assert measured_on({"device": device, "machine": {"fingerprint": "f", **machine}}) == name


def test_case_ids_are_stable():
    """The id of a case never changes: runs of other days and versions are matched by it."""
    assert SDPA.id == "sdpa-n512-ec067e92"
    other = Case(impl="linformer", seq=4096, k=(256, 128), sharing="kv", layers=2, scope="encoder")
    assert other.id.startswith("linformer-k=256_128-kv-n4096-")
    assert other.id != other.model_copy(update={"seed": 1}).id


def test_committed_case_ids_are_those_of_today():
    """Fields added since, null where they do not apply, leave every id as it was."""
    for path in Path("reports/example").glob("*.jsonl"):
        _, records = read(path)
        assert records
        assert all(record.case_id == record.case.id for record in records)


def test_a_search_without_an_answer_is_a_broken_record(tmp_path):
    """A record of task max_batch that is ok holds the batch that was found."""
    case = Case(task="max_batch", impl="sdpa", seq=512, memory_limit_bytes=2**34)
    found = MaxBatch(batch=0, limit_bytes=2**34, how="counted")
    good = Record(case_id=case.id, case=case, round=0, status="ok", max_batch=found)
    lines = [to_line(HEADER), to_line(good)]
    path = tmp_path / "run.jsonl"
    path.write_text("".join(lines))
    frame = load(path)[1]
    assert frame["max_batch"][0]["batch"] == 0
    assert frame["memory_limit_bytes"][0] == 2**34
    path.write_text(lines[0] + to_line(good.model_copy(update={"max_batch": None})))
    with pytest.raises(RunFileError, match="line 2: status 'ok' without max_batch"):
        read(path)


def test_torn_last_line_is_dropped_with_a_warning(run_file):
    """A writer killed in the middle of a line loses that line, not the run."""
    with run_file.open("a") as file:
        file.write('{"type":"record","case_')
    with pytest.warns(UserWarning, match="torn"):
        _, records = read(run_file)
    assert len(records) == 2


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense\n", "line 4 is not JSON"),
        ("[]\n", "line 4 is of type 'list'"),
        ('{"type":"run"}\n', "line 4 is of type 'run'"),
        ('{"type":"record","round":"x"}\n', "line 4: case_id"),
        (_line(seconds=[]), "line 4: status 'ok' without seconds"),
        (_line(seconds=[0.0]), "line 4: seconds must be positive"),
        (_line(seconds=[float("nan")]), "line 4"),
        (_line(seq=-4), "line 4: case.seq"),
        (b'{"type":"\xff"}\n'.decode(errors="surrogateescape"), "line 4 is not JSON"),
    ],
)
def test_any_other_bad_line_is_an_error_that_names_it(run_file, line, says):
    """Broken lines are never passed over in silence."""
    with run_file.open("a", errors="surrogateescape") as file:
        file.write(line)
    with pytest.raises(RunFileError) as caught:
        read(run_file)
    assert says in str(caught.value)


def test_a_round_that_is_there_twice_is_told(run_file):
    """Two lines of one round of one case are no reason to lose the run, but are said."""
    with run_file.open("a") as file:
        file.write(run_file.read_text().splitlines(keepends=True)[1])
    with pytest.warns(UserWarning, match="round 0 is on lines 2 and 4"):
        assert len(read(run_file)[1]) == 3


def test_newer_schema_is_refused(run_file):
    """A file of a later linbench is not guessed at."""
    lines = run_file.read_text().splitlines(keepends=True)
    lines[0] = json.dumps({**json.loads(lines[0]), "schema": 2}) + "\n"
    run_file.write_text("".join(lines))
    with pytest.raises(RunFileError, match="schema 2, this linbench reads up to 1"):
        load(run_file)


def test_absent_optional_keys_read_as_null(tmp_path):
    """A minimal line, as an older or another writer leaves it, is enough."""
    path = tmp_path / "r.jsonl"
    case = {"impl": "sdpa", "seq": 512}
    path.write_text(
        '{"type":"run","schema":1,"run_id":"a","created":"x","linbench":"0",'
        '"machine":{"fingerprint":"f"}}\n'
        + json.dumps({"type": "record", "case_id": "c", "case": case, "round": 0, "status": "oom"})
        + "\n"
    )
    _, frame = load(path)
    assert frame["energy_j"].isna().all()
    assert frame["reason"][0] is None


def test_missing_and_empty_files(tmp_path):
    """No file and no header are errors that say so."""
    with pytest.raises(RunFileError, match="cannot read"):
        read(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(RunFileError, match="no complete line"):
        read(tmp_path / "empty.jsonl")


def test_an_existing_run_is_not_overwritten(run_file):
    """Creating a run of a name that is taken names the two ways out."""
    before = run_file.read_text()
    with pytest.raises(RunFileError, match="--resume r"):
        Journal.create(run_file, HEADER)
    assert run_file.read_text() == before


def test_a_second_writer_is_refused(run_file):
    """Two sweeps never write into one file."""
    with (
        Journal.reopen(run_file),
        pytest.raises(RunFileError, match="being written by another sweep"),
    ):
        Journal.reopen(run_file)


def test_reopening_cuts_a_torn_line_and_goes_on(run_file):
    """After a kill the file continues with whole lines."""
    with run_file.open("a") as file:
        file.write('{"torn')
    with Journal.reopen(run_file) as journal:
        assert len(journal.records) == 2
        journal.append(record(round_=2, seconds=[1.0]))
    assert [r.round for r in read(run_file)[1]] == [0, 1, 2]


def test_a_full_disk_keeps_what_is_there(run_file, monkeypatch):
    """A line that cannot be written whole is taken back; the error names the remedy."""
    import os

    real, before = os.write, run_file.read_text()

    def half_then_full(descriptor, data):
        if len(data) > 40:
            return real(descriptor, data[:40])
        raise OSError(28, "No space left on device")

    with Journal.reopen(run_file) as journal:
        monkeypatch.setattr(os, "write", lambda d, b: half_then_full(d, bytes(b[:80])))
        with pytest.raises(RunFileError, match="No space left on device; its 2 records are whole"):
            journal.append(record(round_=2))
    assert run_file.read_text() == before


def test_a_folder_that_cannot_be_written(tmp_path):
    """The error names the folder and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFileError, match="--out"):
        Journal.create(tmp_path / "file" / "r.jsonl", HEADER)
