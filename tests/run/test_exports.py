"""A run in the formats of others: read back by the readers these formats are for, or by schema."""

import builtins
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import numpy as np
import pandas as pd
import pytest
import synthetic
from typer.testing import CliRunner

from linbench import export
from linbench.analysis.series import series_of
from linbench.case import Case
from linbench.cli import app
from linbench.cli.export import FORMATS
from linbench.errors import RunFileError, UsageError
from linbench.record import MaxBatch, Record, load, to_line

MIB = 2**20
BMF_SCHEMA = {  # https://bencher.dev/docs/reference/bencher-metric-format
    "$schema": "http://json-schema.org/draft-07/schema",
    "type": "object",
    "patternProperties": {
        ".+": {
            "type": "object",
            "patternProperties": {
                ".+": {
                    "type": "object",
                    "properties": {
                        "value": {"type": "number"},
                        "lower_value": {"type": "number"},
                        "upper_value": {"type": "number"},
                    },
                    "required": ["value"],
                    "additionalProperties": False,
                }
            },
        }
    },
}


@pytest.fixture
def run(tmp_path):
    """A run of all statuses: sdpa measured, vanilla half, linformer per layer wrong in a round."""
    rng = np.random.default_rng(7)
    records = synthetic.measured(
        rng, lambda n: 1e-6 * n, lambda n: n * MIB, sizes=(512, 1024), impl="sdpa"
    )
    records += synthetic.measured(rng, lambda n: 2e-6 * n, sizes=(512,), rounds=1, impl="vanilla")
    wrong = {"impl": "linformer", "k": (64, 32), "sharing": "none", "layers": 2, "scope": "encoder"}
    records += synthetic.measured(rng, lambda n: 3e-6 * n, sizes=(512,), rounds=2, **wrong)
    records[-1] = records[-1].model_copy(
        update={"status": "incorrect", "reason": "differs \x1b[1mby <2> & more", "seconds": []}
    )
    records.append(synthetic.failed("oom", "no memory", 2048))
    records.append(synthetic.failed("error", "died", 4096))
    records.append(synthetic.failed("skipped", "too long", 8192))
    return synthetic.write(tmp_path / "run.jsonl", records)


def call(*words, code=0):
    """Run `linbench export`; returns the result, whose streams are apart."""
    done = CliRunner().invoke(app, ["export", *map(str, words)])
    if code == 0:
        assert done.exit_code == 0, (done.output, done.exception)
    return done


def point(run, impl, n, metric):
    _, frame = load(run)
    (series,) = (one for one in series_of(frame, metric) if one.setup.impl == impl)
    return series.point(n).value


def id_of(run, impl, n):
    _, frame = load(run)
    return frame[(frame["impl"] == impl) & (frame["seq"] == n)]["case_id"].iloc[0]


def test_bmf_has_the_values_of_the_analysis_in_bencher_s_units(run):
    """Latency in nanoseconds, throughput per second, memory in bytes, with the same intervals."""
    found = json.loads(call(run, "--format", "bmf").stdout)
    jsonschema.validate(found, BMF_SCHEMA)
    case, time = found[id_of(run, "sdpa", 1024)], point(run, "sdpa", 1024, "time")
    assert np.isclose(case["latency"]["value"], 1e9 * time.value)
    assert np.isclose(case["latency"]["lower_value"], 1e9 * time.low)
    assert np.isclose(case["latency"]["upper_value"], 1e9 * time.high)
    assert np.isclose(case["throughput"]["value"], 1 / time.value)
    assert np.isclose(case["throughput"]["lower_value"], 1 / time.high)
    assert np.isclose(case["throughput"]["upper_value"], 1 / time.low)
    assert case["peak-memory"]["value"] == 1024 * MIB
    assert case["peak-memory"]["lower_value"] == case["peak-memory"]["upper_value"] == 1024 * MIB


def test_one_round_has_no_interval(run):
    """Where a case has one round, no bounds are made up."""
    bmf = json.loads(call(run, "--format", "bmf").stdout)[id_of(run, "vanilla", 512)]
    assert set(bmf["latency"]) == set(bmf["throughput"]) == {"value"}
    entries = json.loads(call(run, "--format", "github").stdout)
    (entry,) = (one for one in entries if one["name"].startswith("vanilla"))
    assert "range" not in entry
    assert "95 %: unknown" in entry["extra"]


def test_github_entries_are_what_its_action_reads(run):
    """A list of name, unit, value, range and extra, each name once; the range can be parsed."""
    entries = json.loads(call(run, "--format", "github").stdout)
    assert all({"name", "unit", "value"} <= set(one) for one in entries)
    assert all(set(one) <= {"name", "unit", "value", "range", "extra"} for one in entries)
    assert len({one["name"] for one in entries}) == len(entries) == 5
    time = point(run, "sdpa", 512, "time")
    (entry,) = (one for one in entries if one["name"] == f"{id_of(run, 'sdpa', 512)} time")
    assert entry["unit"] == "ms"
    assert np.isclose(entry["value"], 1e3 * time.value)
    half = re.fullmatch(r"± (\d+\.\d+)", entry["range"])
    assert np.isclose(float(half[1]), 1e3 * (time.high - time.low) / 2, atol=1e-6)


@pytest.mark.parametrize("format_", ["bmf", "github"])
def test_what_has_no_measurement_is_left_out_and_named(run, format_):
    """A case that failed, or was wrong in any round, gives no number; stderr says which and why."""
    done = call(run, "--format", format_)
    assert "linformer" not in done.stdout
    assert len(done.stderr.splitlines()) == 4
    for said in ("incorrect: differs", "oom: no memory", "error: died", "skipped: too long"):
        assert said in done.stderr


def test_another_task_is_left_out_and_named(run):
    """The largest batch is no time, memory or energy of a call."""
    case = Case(impl="sdpa", seq=64, task="max_batch", memory_limit_bytes=MIB)
    batch = MaxBatch(batch=4, limit_bytes=MIB, how="counted")
    with run.open("a") as file:
        file.write(
            to_line(Record(case_id=case.id, case=case, round=0, status="ok", max_batch=batch))
        )
    done = call(run, "--format", "bmf")
    assert case.id not in done.stdout
    assert f"left out {case.id}: a case of task max_batch" in done.stderr
    assert case.id in call(run, "--format", "csv").stdout


@pytest.mark.parametrize("format_", ["bmf", "github"])
def test_a_run_of_largest_batches_says_what_it_holds(tmp_path, format_):
    """It did measure something, which these formats do not carry."""
    run = synthetic.write(tmp_path / "run.jsonl", [synthetic.largest(512, 16)])
    done = call(run, "--format", format_, code=2)
    assert isinstance(done.exception, RunFileError)
    assert "holds only largest batches" in str(done.exception)
    assert format_ in str(done.exception)
    assert "--format csv" in str(done.exception)


def test_a_run_without_any_measurement_is_an_error(tmp_path):
    """An empty upload would look like a run in which all is well."""
    run = synthetic.write(tmp_path / "run.jsonl", [synthetic.failed("oom", "no memory", 2048)])
    done = call(run, "--format", "bmf", code=2)
    assert isinstance(done.exception, RunFileError)
    assert "measured no case" in str(done.exception)


def test_csv_comes_back_through_pandas(run):
    """Every column of `record.load` and every record, with samples to the last bit."""
    _, frame = load(run)
    back = pd.read_csv(io.StringIO(call(run, "--format", "csv").stdout))
    assert list(back.columns) == list(frame.columns)
    assert list(back["seconds"].map(json.loads)) == list(frame["seconds"])
    assert list(back["warnings"].map(json.loads)) == list(frame["warnings"])
    assert back["memory"].dropna().map(json.loads).tolist() == frame["memory"].dropna().tolist()
    for name in ("case_id", "status", "seq", "round", "impl", "compile", "d_model"):
        assert list(back[name]) == list(frame[name])
    assert back["peak_bytes"].equals(frame["peak_bytes"])
    assert set(back["sharing"].dropna()) == {"none"}
    assert set(back["k"].dropna()) == {"64/32"}


def test_csv_keeps_whole_numbers(tmp_path):
    """A k beside exact attention, which has none, is written as 128, not as 128.0."""
    records = synthetic.default_sweep(np.random.default_rng(1))
    run = synthetic.write(tmp_path / "run.jsonl", records)
    text = call(run, "--format", "csv").stdout
    assert set(pd.read_csv(io.StringIO(text), dtype=str)["k"].dropna()) == {"128", "256"}


def test_parquet_has_native_lists_and_numbers(run, tmp_path):
    """Every column and record; seconds are lists of numbers."""
    _, frame = load(run)
    call(run, "--format", "parquet", "--out", tmp_path / "new" / "run.parquet")
    back = pd.read_parquet(tmp_path / "new" / "run.parquet")
    assert list(back.columns) == list(frame.columns)
    assert [list(one) for one in back["seconds"]] == list(frame["seconds"])
    assert back["peak_bytes"].equals(frame["peak_bytes"])
    assert list(back["seq"]) == list(frame["seq"])
    assert set(back["k"].dropna()) == {"64/32"}
    assert json.loads(back["memory"][0]) == frame["memory"][0]


def test_parquet_files_of_all_runs_can_be_put_together(tmp_path):
    """The types are those of the fields, also where a run has nothing in a column."""
    from pyarrow import parquet as pq

    rng = np.random.default_rng(1)
    full = synthetic.write(tmp_path / "full.jsonl", synthetic.default_sweep(rng, tokens=65536))
    bare = synthetic.write(tmp_path / "bare.jsonl", [synthetic.failed("oom", "no memory", 2048)])
    schemas = []
    for run in (full, bare):
        call(run, "--format", "parquet", "--out", run.with_suffix(".parquet"))
        schemas.append(pq.read_schema(run.with_suffix(".parquet")))
    assert schemas[0].equals(schemas[1])
    types = {
        name: str(schemas[0].field(name).type) for name in ("k", "tokens", "compile", "seconds")
    }
    assert types["k"] == types["tokens"] == "int64"
    assert types["compile"] == "bool"
    assert types["seconds"].startswith("list<")


def test_parquet_without_pyarrow_says_how_to_get_it(run, tmp_path, monkeypatch):
    """The extra is named, and nothing is written."""
    real = builtins.__import__

    def no_pyarrow(name, *rest, **more):
        if name.partition(".")[0] == "pyarrow":
            raise ImportError(name)
        return real(name, *rest, **more)

    _, frame = load(run)
    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    with pytest.raises(UsageError, match=r"pip install 'linbench\[parquet\]'"):
        export.parquet(frame, tmp_path / "run.parquet")
    assert not (tmp_path / "run.parquet").exists()


def test_junit_says_of_each_case_how_it_went(run, tmp_path):
    """Measured cases pass; wrong ones fail, crashes are errors, what did not fit is skipped."""
    call(run, "--format", "junit", "--out", tmp_path / "junit.xml")
    suite = ET.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "1", "errors": "1", "skipped": "2"}
    tests = {test.get("name"): test for test in suite}
    assert len(tests) == 7
    measured = tests[id_of(run, "sdpa", 1024)]
    assert [child.tag for child in measured] == ["properties"]
    properties = {one.get("name"): one.get("value") for one in measured.find("properties")}
    assert float(properties["time_s"]) == point(run, "sdpa", 1024, "time").value
    assert float(properties["memory_bytes"]) == 1024 * MIB
    assert properties["seq"] == "1024"
    assert properties["rounds"] == "5"
    skipped = tests[id_of(run, "vanilla", 2048)].find("skipped")
    assert skipped.get("message") == "oom: no memory"
    assert tests[id_of(run, "vanilla", 4096)].find("error").get("message") == "error: died"
    failure = tests[id_of(run, "linformer", 512)].find("failure")
    assert failure.get("message") == "incorrect: differs \ufffd[1mby <2> & more"
    took = sum(float(test.get("time")) for test in suite)
    assert np.isclose(float(suite.get("time")), took, atol=1e-5)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--format", "cvs"), "did you mean 'csv'"),
        (("--format", "parquet"), "add --out run.parquet"),
    ],
)
def test_wrong_usage_is_said(run, words, says):
    """The value, what was expected, the remedy."""
    done = call(run, *words, code=2)
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)


@pytest.mark.parametrize("path", sorted(Path("reports/example").glob("*.jsonl")), ids=str)
@pytest.mark.parametrize("format_", FORMATS)
def test_real_runs_are_written_in_every_format(path, format_, tmp_path):
    """Committed runs of real machines go through every format."""
    call(path, "--format", format_, "--out", tmp_path / "out")
    assert (tmp_path / "out").stat().st_size > 1000
