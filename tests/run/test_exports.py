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

from linbench.cli import app
from linbench.cli.export import FORMATS
from linbench.errors import RunFileError, UsageError
from linbench.record import load, parquet
from linbench.run.case import Case
from linbench.run.formats.junit import TestCase, document
from linbench.run.metrics import Measurement, Metric
from linbench.run.record import read, to_line
from linbench.run.runs import Runs

MIB = 2**20
ACCURACY = Metric("accuracy", better="more", scale="linear")
LOSS = Metric("loss", "nats")
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
        update={"status": "incorrect", "reason": "differs \x1b[1mby <2> & more", "metrics": {}}
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
    every = Runs.read([run]).series(metric)
    (series,) = (one for one in every if one.key.impl == impl)
    return series.point(n).value


def id_of(run, impl, n):
    return next(r.case_id for r in read(run)[1] if (r.case.impl, r.case.seq) == (impl, n))


@pytest.fixture
def trained(tmp_path):
    """A run of another task: how right and how wrong it was, three rounds of one case."""
    case = Case(impl="sdpa", seq=64, task="train", settings={"steps": 5})
    records = [
        synthetic.ok(case, round_, []).model_copy(
            update={"metrics": {"accuracy": Measurement(0.5 + x), "loss": Measurement(2.0 + x)}}
        )
        for round_, x in enumerate((0.0, 0.1, 0.2))
    ]
    head = synthetic.header("trained").model_copy(update={"metrics": [ACCURACY, LOSS]})
    return synthetic.write(tmp_path / "trained.jsonl", records, head)


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


def test_any_metric_is_a_measure_of_bencher(trained):
    """Under its name, in its unit, with its interval."""
    ((case_id, measures),) = json.loads(call(trained, "--format", "bmf").stdout).items()
    assert set(measures) == {"accuracy", "loss"}
    for name, unit in (("accuracy", 0.6), ("loss", 2.1)):
        value = point(trained, "sdpa", 64, name)
        assert np.isclose(measures[name]["value"], unit)
        assert np.isclose(measures[name]["lower_value"], value.low)
        assert np.isclose(measures[name]["upper_value"], value.high)
    assert case_id == id_of(trained, "sdpa", 64)


def test_github_holds_only_what_is_better_smaller(trained):
    """Its tool would call a gain of accuracy a regression: the metric is left out and named."""
    done = call(trained, "--format", "github")
    (entry,) = json.loads(done.stdout)
    assert entry["name"].endswith(" loss")
    assert entry["unit"] == "nats"
    assert done.stderr == "linbench: left out accuracy: github holds what is better smaller\n"


def test_a_column_for_every_metric(trained, tmp_path):
    """CSV and Parquet have them as numbers, and the settings of the task as an object."""
    back = pd.read_csv(io.StringIO(call(trained, "--format", "csv").stdout))
    assert list(back["accuracy"]) == [0.5, 0.6, 0.7]
    assert json.loads(back["settings"][0]) == {"steps": 5}
    call(trained, "--format", "parquet", "--out", tmp_path / "run.parquet")
    back = pd.read_parquet(tmp_path / "run.parquet")
    assert back["loss"].dtype == np.float64
    assert list(back["loss"]) == [2.0, 2.1, 2.2]


def test_a_metric_named_as_a_field_takes_nothing_from_it(tmp_path):
    """Both have a column."""
    case = Case(impl="sdpa", seq=64, batch=3)
    record = synthetic.ok(case, 0, []).model_copy(update={"metrics": {"batch": Measurement(7.0)}})
    frame = load(synthetic.write(tmp_path / "run.jsonl", [record]))[1]
    assert (frame["batch"][0], frame["metric_batch"][0]) == (3, 7.0)


def test_any_metric_is_a_property_of_junit(trained):
    """With its unit, if it has one, beside the settings of the case."""
    test = ET.fromstring(call(trained, "--format", "junit").stdout).find("testsuite/testcase")
    properties = {one.get("name"): one.get("value") for one in test.find("properties")}
    assert float(properties["accuracy"]) == pytest.approx(0.6)
    assert float(properties["loss_nats"]) == pytest.approx(2.1)
    assert properties["steps"] == "5"


def test_cases_of_several_tasks_stand_side_by_side(run):
    """The largest batch is a measure like any other."""
    case = synthetic.largest(64, 16, impl="sdpa")
    head, *lines = run.read_text().splitlines(keepends=True)
    described = {**json.loads(head), "metrics": [
        {"name": "max_batch", "unit": "sequences", "better": "more", "noise": "exact"}
    ]}  # fmt: skip
    run.write_text("".join([json.dumps(described) + "\n", *lines, to_line(case)]))
    found = json.loads(call(run, "--format", "bmf").stdout)
    assert found[case.case_id] == {"max_batch": {"value": 16.0}}
    assert "latency" in found[id_of(run, "sdpa", 512)]
    done = call(run, "--format", "github")
    assert case.case_id not in done.stdout
    assert "left out max_batch" in done.stderr


def test_github_says_what_a_run_holds_instead(tmp_path):
    """A run of largest batches did measure something, which this format does not carry."""
    head = synthetic.header().model_copy(update={"metrics": [Metric("max_batch", better="more")]})
    run = synthetic.write(tmp_path / "run.jsonl", [synthetic.largest(512, 16)], head)
    done = call(run, "--format", "github", code=2)
    assert isinstance(done.exception, RunFileError)
    assert "measured only max_batch, of which more is better" in str(done.exception)
    assert "--format bmf, csv" in str(done.exception)


def test_a_count_of_nothing_is_named(tmp_path):
    """A batch of 0 has no logarithm, and no place in a log-scaled measure."""
    run = synthetic.write(
        tmp_path / "run.jsonl", [synthetic.largest(512, 0), synthetic.largest(64, 4)]
    )
    assert "nothing above 0 was measured" in call(run, "--format", "bmf").stderr


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
    assert list(back["detail"].map(json.loads)) == list(frame["detail"])
    assert back["memory"].equals(frame["memory"])
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
    assert back["memory"].equals(frame["memory"])
    assert list(back["seq"]) == list(frame["seq"])
    assert set(back["k"].dropna()) == {"64/32"}
    assert json.loads(back["detail"][0]) == frame["detail"][0]


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

    (found,) = Runs.read([run]).runs
    monkeypatch.setattr(builtins, "__import__", no_pyarrow)
    with pytest.raises(UsageError, match=r"pip install 'linbench\[parquet\]'"):
        parquet(found, tmp_path / "run.parquet")
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


def test_a_document_holds_any_tests():
    """Outcomes are counted, times added up, and texts made safe."""
    tests = [
        TestCase("a.b", "good", time_s=1.5, properties={"n": 4}),
        TestCase("a.b", "bad\x00", "failure", "wrong", "<1> \x1b"),
        TestCase("a.b", "broken", "error"),
        TestCase("a.b", "left", "skipped", time_s=0.5),
    ]
    suite = ET.fromstring(document("s", tests)).find("testsuite")
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert suite.get("time") == "2.000000"
    assert suite.get("timestamp") is None
    failure = suite[1].find("failure")
    assert (suite[1].get("name"), suite[1].get("time")) == ("bad\ufffd", None)
    assert (failure.get("type"), failure.text) == ("wrong", "<1> \ufffd")


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
