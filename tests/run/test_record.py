"""Records, and the run files they live in."""

import json

import jsonschema
import pytest

from linbench.errors import RunFileError
from linbench.record import load
from linbench.run.case import Case
from linbench.run.journal import Journal
from linbench.run.metrics import Measurement, Metric
from linbench.run.record import Header, Machine, Record, flaw_in, json_schema, read, to_line

HEADER = Header(
    run_id="r", created="2026-01-01T00:00:00+00:00", linbench="0", machine=Machine(fingerprint="f")
)
SDPA = Case(impl="sdpa", seq=512)
ACCURACY = Metric("accuracy", better="more", scale="linear")


def record(case=SDPA, round_=0, status="ok", **fields):
    return Record(case_id=case.id, case=case, round=round_, status=status, **fields)


def time(*samples):
    """The metrics of a record of which only time is known."""
    return {"time": Measurement(samples[0] if samples else None, list(samples))}


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
        peak = {"memory": Measurement(7, source="cpu_allocator")}
        journal.append(record(metrics=time(0.15, 0.2) | peak))
        journal.append(record(linformer, 1, "skipped", reason="why"))
    return tmp_path / "r.jsonl"


def test_round_trip(run_file):
    """What is written is read back: a header, and a frame with a row per record."""
    header, frame = load(run_file)
    assert header["schema"] == 2
    assert header["machine"]["fingerprint"] == "f"
    assert list(frame["impl"]) == ["sdpa", "linformer"]
    assert frame["seconds"][0] == [0.15, 0.2]
    assert frame["time"][0] == 0.15
    assert frame["memory"][0] == frame["peak_bytes"][0] == 7
    assert frame["memory_source"][0] == "cpu_allocator"
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
    where = {"device": device, "machine": Machine(fingerprint="f", **machine)}
    assert HEADER.model_copy(update=where).measured_on == name


def test_case_ids_are_stable():
    """The id of a case never changes: runs of other days and versions are matched by it."""
    assert SDPA.id == "sdpa-n512-ec067e92"
    other = Case(impl="linformer", seq=4096, k=(256, 128), sharing="kv", layers=2, scope="encoder")
    assert other.id.startswith("linformer-k=256_128-kv-n4096-")
    assert other.id != other.model_copy(update={"seed": 1}).id


def test_a_case_without_n_has_none_in_its_id():
    """A stranger's function of which no n is known is a case like any other."""
    case = Case(impl="f", seq=None, scope="function")
    assert case.id.startswith("f-")
    assert "None" not in case.id
    assert case.title == "f"
    assert case.key("seq").at(0) == case
    assert SDPA.title == "sdpa n=512"


def test_any_task_has_metrics_settings_and_detail(tmp_path):
    """What a task finds, whatever its name, is a column, a setting, a dict of the table."""
    case = Case(task="mine", impl="sdpa", seq=512, settings={"limit": 2**34})
    found = {"accuracy": Measurement(0.0, source="counted")}
    good = record(case, metrics=found, detail={"mine": {"tried": [1, 2]}})
    head = HEADER.model_copy(update={"metrics": [ACCURACY]})
    path = tmp_path / "run.jsonl"
    path.write_text(to_line(head) + to_line(good))
    header, (back,) = read(path)
    assert header.metric("accuracy") == ACCURACY
    assert back.case.id == case.id
    assert back.case.setting("limit") == 2**34
    frame = load(path)[1]
    assert frame["accuracy"][0] == 0.0
    assert frame["detail"][0]["mine"] == {"tried": [1, 2]}
    assert frame["settings"][0] == {"limit": 2**34}
    for line in path.read_text().splitlines():
        jsonschema.validate(json.loads(line), json_schema())


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ({}, "status 'ok' without a value of any metric"),
        ({"time": Measurement(reason="no clock")}, "status 'ok' without a value of any metric"),
        ({"accuracy": Measurement(0.5)}, None),
        ({"accuracy": Measurement(-0.5, [-1.0])}, None),
        ({"accuracy": Measurement(float("nan"))}, "accuracy must be finite"),
        ({"accuracy": Measurement(1.0, [float("inf")])}, "accuracy must be finite"),
        ({"time": Measurement(0.0)}, "time must be positive, got 0"),
        ({"time": Measurement(1.0, [1.0, -1.0])}, "time must not be negative, got -1"),
        ({"memory": Measurement(0)}, None),
        ({"memory": Measurement(-1)}, "memory must not be negative, got -1"),
        ({"strange": Measurement(-1)}, "strange must not be negative, got -1"),
    ],
)
def test_flaws_that_types_do_not_tell(metrics, says):
    """A value is judged by what its metric is; one that nobody described is on a log scale."""
    head = HEADER.model_copy(update={"metrics": [ACCURACY]})
    assert flaw_in(record(metrics=metrics), head) == says


def test_what_no_reader_takes_is_written_as_an_error(tmp_path):
    """A task that gives nonsense costs its own record, never the run file."""
    with Journal.create(tmp_path / "x.jsonl", HEADER) as journal:
        journal.append(record(metrics=time(float("nan"))))
        journal.append(record(round_=1, status="oom", metrics=time(-1.0)))
        journal.append(record(round_=2, metrics=time(1.0), detail={"loss": [float("inf"), 2.0]}))
        written = list(journal.records)
    records = read(tmp_path / "x.jsonl")[1]
    assert [one.status for one in records] == ["error", "oom", "ok"]
    assert records[0].reason == "time must be finite"
    assert records[1].warnings == ["time must not be negative, got -1"]
    assert records[2].detail.model_extra == {"loss": [None, 2.0]}
    assert records[:2] == written[:2]


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
        (_line(), "line 4: status 'ok' without a value of any metric"),
        (_line(metrics={"time": {"value": 0.0}}), "line 4: time must be positive"),
        (_line(metrics={"time": {"value": float("nan")}}), "line 4 is not JSON (NaN"),
        (_line(metrics={"time": {"value": "1 s"}}), "line 4: metrics.time.value"),
        (_line(metrics={"time": 1.0}), "line 4: metrics.time"),
        (_line(metrics=[1.0]), "line 4: metrics"),
        (_line(detail={"timing": 1}), "line 4: detail.timing"),
        ("[" * 200_000 + "\n", "line 4 is not JSON"),
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
    lines[0] = json.dumps({**json.loads(lines[0]), "schema": 3}) + "\n"
    run_file.write_text("".join(lines))
    with pytest.raises(RunFileError, match="schema 3, this linbench reads 1 to 2"):
        load(run_file)


def test_absent_optional_keys_read_as_null(tmp_path):
    """A minimal line, as an older or another writer leaves it, is enough."""
    path = tmp_path / "r.jsonl"
    case = {"impl": "sdpa", "seq": 512}
    path.write_text(
        '{"type":"run","schema":2,"run_id":"a","created":"x","linbench":"0",'
        '"machine":{"fingerprint":"f"}}\n'
        + json.dumps({"type": "record", "case_id": "c", "case": case, "round": 0, "status": "oom"})
        + "\n"
    )
    _, frame = load(path)
    assert frame["energy"].isna().all()
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
        journal.append(record(round_=2, metrics=time(1.0)))
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
            journal.append(record(round_=2, metrics=time(1.0)))
    assert run_file.read_text() == before


def test_a_folder_that_cannot_be_written(tmp_path):
    """The error names the folder and the flag."""
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFileError, match="--out"):
        Journal.create(tmp_path / "file" / "r.jsonl", HEADER)
