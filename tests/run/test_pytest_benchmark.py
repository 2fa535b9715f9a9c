"""pytest-benchmark's files as runs: real ones, of a project that knows nothing of linbench."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from linbench.cli import app
from linbench.cli.common import find_run
from linbench.errors import RunFileError
from linbench.run.formats import pytest_benchmark
from linbench.run.journal import Journal
from linbench.run.record import Git, read
from linbench.run.runs import Runs, series_of
from linbench.run.shape import costs_of
from linbench.studies.compare.cases import compare

PROJECT = """
import pytest

@pytest.mark.parametrize("sort", [sorted, list], ids=lambda function: function.__name__)
@pytest.mark.parametrize("n", [100, 400, 1600])
def test_sort(benchmark, sort, n):
    benchmark(sort, list(range(n, 0, -1)))

@pytest.mark.parametrize("n", [8])
@pytest.mark.parametrize("s,t", [("8", "8"), ("8", "n"), ("n", "8"), ("n", "n")])
def test_alike(benchmark, s, t, n):
    benchmark(lambda: (s + t) * n)

@pytest.mark.parametrize("size", [4, 8], ids=["small", "large"])
def test_named(benchmark, size):
    benchmark(lambda: size)

class TestPlain:
    def test_sort(self, benchmark):
        benchmark.pedantic(sum, args=(range(99),), rounds=3, iterations=2)

@pytest.mark.parametrize("made", [object(), object()])
def test_objects(benchmark, made):
    benchmark.group = "objects"
    benchmark(lambda: made)

def test_that_fails(benchmark):
    benchmark(lambda: 1 / 0)
"""
TESTS = 6 + 4 + 2 + 1 + 2


def run_pytest(folder, *words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words],
        cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, **environment},
    )  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a folder `with_data` of one file and a storage `.benchmarks` of another."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "test_sort.py").write_text(PROJECT)
    (folder / "with_data").mkdir()
    quick = ("--benchmark-max-time=0.01", "--benchmark-min-time=0.00001")
    done = run_pytest(folder, *quick, "--benchmark-json=with_data/1.json", "--benchmark-autosave")
    assert f"1 failed, {TESTS} passed" in done.stdout, done.stdout
    return folder


@pytest.fixture
def document(project):
    """The content of a file, for tests to break."""
    return json.loads((project / "with_data" / "1.json").read_text())


def quietly(path):
    with pytest.warns(UserWarning, match="one process, thus one round"):
        return read(path)


def quiet_runs(project):
    """The run of the file with data."""
    return Runs.of(*quietly(project / "with_data" / "1.json"))


def repeated(document, index):
    """The document of another run of the same benchmarks, a minute and a little slower each."""
    again = json.loads(json.dumps(document))
    again["datetime"] = f"2026-01-02T03:{index:02}:05.678901+00:00"
    for bench in again["benchmarks"]:
        bench["stats"]["data"] = [(1 + index / 100) * 1e-3]
    return again


def write(path, document):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def test_every_benchmark_is_a_case_of_its_own(project, document):
    """No two benchmarks share an id or a point of a series; one that failed is not there."""
    _, records = quietly(project / "with_data" / "1.json")
    assert len(records) == TESTS
    assert len({record.case_id for record in records}) == TESTS
    assert len({(record.case.impl, record.case.seq) for record in records}) == TESTS
    for record, bench in zip(records, document["benchmarks"], strict=True):
        assert record.status == "ok"
        assert record.case_id == record.case.id
        assert record.samples("time") == bench["stats"]["data"]
        assert record.value("time") == pytest.approx(bench["stats"]["median"])
        assert record.detail.timing.calls_per_sample == bench["stats"]["iterations"]


def test_a_parameter_n_makes_a_series(project):
    """Benchmarks of one test that differ in n are one series; other parameters tell them apart."""
    found = {series.key.impl: series.sizes for series in quiet_runs(project).series("time")}
    assert found["test_sort.py::test_sort[n-sorted]"] == [100, 400, 1600]
    assert found["test_sort.py::test_sort[n-list]"] == [100, 400, 1600]
    assert found["test_sort.py::test_named[small]"] == [4]


def test_nothing_is_invented(project):
    """What the file does not say is unknown: shape, device, and n where no parameter gives it."""
    _, records = quietly(project / "with_data" / "1.json")
    for record in records:
        case = record.case
        assert (case.d_model, case.heads, case.dtype, case.device) == (None,) * 4
    plain = next(r for r in records if r.case.impl == "test_sort.py::TestPlain::test_sort")
    assert plain.case.seq is None
    assert plain.case_id == plain.case.id
    assert plain.case.title == "test_sort.py::TestPlain::test_sort"


def test_without_n_a_benchmark_is_a_case_but_no_series(project):
    """It has its value, to be exported, compared and gated, and no place along n."""
    runs = quiet_runs(project)
    name = "test_sort.py::test_objects[made0]"
    assert name not in {series.key.impl for series in runs.series("time")}
    (run,) = runs.runs
    (series,) = series_of(run.only(lambda record: record.case.impl == name), "time")
    assert series.sizes == [0]
    assert series.points()[0].value.value > 0
    assert series.key.at(0).title == name


def test_names_that_would_be_alike_stay_whole(project):
    """Where `n` in the place of n would name two benchmarks, all of the test keep their names."""
    _, records = quietly(project / "with_data" / "1.json")
    alike = {r.case.impl for r in records if "alike" in r.case.impl}
    ids = ("8-8-8", "8-n-8", "n-8-8", "n-n-8")
    assert alike == {f"test_sort.py::test_alike[{id_}]" for id_ in ids}
    assert all(r.case.seq == 8 for r in records if "alike" in r.case.impl)


def test_a_file_without_data_gives_its_median_and_says_so(project):
    """Without raw samples the median is the only honest one, with a warning in the record."""
    (file,) = (project / ".benchmarks").rglob("0001_*.json")
    stored = json.loads(file.read_text())["benchmarks"]
    header, records = quietly(file)
    assert header.linbench.startswith("pytest-benchmark ")
    for record, bench in zip(records, stored, strict=True):
        assert "data" not in bench["stats"]
        assert record.samples("time") == [bench["stats"]["median"]]
        assert "--benchmark-save-data" in record.warnings[0]


def test_ids_are_the_same_in_every_run(project):
    """Runs are compared by ids, which depend on names and parameters alone."""
    (file,) = (project / ".benchmarks").rglob("0001_*.json")
    ids = [record.case_id for record in quietly(file)[1]]
    assert ids == [record.case_id for record in quietly(project / "with_data" / "1.json")[1]]
    assert ids[0] == "test_sort.py::test_sort[n-sorted]-n100-ab371034"


def test_one_file_has_no_interval(project):
    """One process is one round: however many samples it holds, nothing is decided from it."""
    (run,) = quiet_runs(project).runs
    found = compare(run, run)
    assert len(found) == TESTS
    assert {one.verdict for one in found} == {"unclear"}
    assert all(one.ratio.low is None for one in found)


def test_a_folder_is_a_run_with_a_round_per_file(document, tmp_path):
    """Three files of one commit are three rounds, and have intervals between processes."""
    for index in range(3):
        write(tmp_path / "runs" / f"{index}.json", repeated(document, index))
    path = find_run(str(tmp_path / "runs"), tmp_path)
    header, records = read(path)
    assert header.run_id.startswith("runs-2")
    assert {record.round for record in records} == {0, 1, 2}
    series = Runs.of(header, records).series("time")[0]
    value = series.points()[0].value
    assert np.isclose(value.value, 1.01e-3)
    assert value.low < 1e-3
    assert value.high > 1.02e-3


def test_every_verb_reads_it(document, tmp_path):
    """Names with brackets are shown whole, and the report says what a round was."""
    for index in range(2):
        write(tmp_path / "runs" / f"{index}.json", repeated(document, index))
    runs, out = str(tmp_path / "runs"), tmp_path / "reports"
    for words in (("show", runs), ("compare", runs, runs), ("scaling", runs)):
        done = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        assert "test_sort.py::test_sort[n-sorted]" in done.output
    done = CliRunner().invoke(app, ["report", runs, "--out", str(out)])
    assert done.exit_code == 0, done.output
    text = (out / "runs" / "report.md").read_text()
    assert "(each a round in one process with all others of its round)" in text
    assert "drift within a round may tilt slopes" in text
    assert "fresh process" not in text


def test_a_jittering_clock_is_the_same_machine(document, tmp_path):
    """What changes from boot to boot, or from container to container, tells no machines apart."""
    write(tmp_path / "runs" / "1.json", document)
    document["machine_info"]["cpu"]["hz_actual"] = [1, 0]
    document["machine_info"]["node"] = "another-container"
    document["machine_info"]["release"] = "another-kernel"
    write(tmp_path / "runs" / "2.json", repeated(document, 2))
    assert len(read(tmp_path / "runs")[1]) == 2 * TESTS


@pytest.mark.parametrize("same", ["datetime", "benchmarks"])
def test_a_round_that_is_there_twice_is_refused(document, tmp_path, same):
    """A copy is no other process, and would make intervals narrow; both files are named."""
    again = repeated(document, 1)
    write(tmp_path / "runs" / "1.json", document)
    write(tmp_path / "runs" / "2.json", {**again, same: document[same]})
    with pytest.raises(RunFileError, match=r"1\.json' and .*2\.json'.*delete the copy"):
        read(tmp_path / "runs")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("commit_info", {"id": "ab" * 20, "dirty": False}, "several commits (abab"),
        ("commit_info", {"id": "unversioned", "dirty": True}, "unknown with changes"),
        ("machine_info", {"system": "Linux", "cpu": {"brand_raw": "x"}}, "several machines"),
        ("python", "3.99.0", "several versions of Python (3."),
    ],
)
def test_a_folder_of_several_runs_is_refused(document, tmp_path, key, value, says):
    """Rounds of different code or machines are no rounds of one run."""
    write(tmp_path / "runs" / "1.json", document)
    if key == "python":
        key, value = "machine_info", {**document["machine_info"], "python_version": value}
    write(tmp_path / "runs" / "2.json", {**document, key: value})
    with pytest.raises(RunFileError) as caught:
        read(tmp_path / "runs")
    assert says in str(caught.value)


def test_a_commit_is_in_the_header(document, tmp_path):
    """The commit that pytest-benchmark noted is the run's."""
    document["commit_info"] = {"id": "ab" * 20, "branch": "main", "dirty": True}
    header, _ = quietly(write(tmp_path / "x.json", document))
    assert header.git == Git(commit="ab" * 20, branch="main", dirty=True)


def test_files_of_one_name_are_different_runs(document, tmp_path):
    """Files are often all called out.json; runs are told apart by the time as well."""
    first, _ = quietly(write(tmp_path / "a" / "out.json", document))
    document["datetime"] = "2026-01-02T03:04:05.678901+00:00"
    second, _ = quietly(write(tmp_path / "b" / "out.json", document))
    assert second.run_id == "out-20260102T030405.678901Z"
    assert first.run_id != second.run_id


def test_a_benchmark_that_is_there_twice(document, tmp_path):
    """As in a run file, the later one counts, and that is said."""
    document["benchmarks"] = [document["benchmarks"][0]] * 2
    path = write(tmp_path / "x.json", document)
    with (
        pytest.warns(UserWarning, match="there twice"),
        pytest.warns(UserWarning, match="one round"),
    ):
        _, records = read(path)
    assert len(records) == 1


def _change(path, value):
    """Return a function that sets one place of a document."""

    def change(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return json.dumps(document)

    return change


@pytest.mark.filterwarnings("ignore:.*one process")
@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lambda document: json.dumps(document)[:-200], "is not whole JSON"),
        (lambda document: json.dumps(document, indent=4)[:300], "is not whole JSON"),
        (lambda _: '{\n "name": "package"\n}', "neither a run of linbench nor of pytest-benchmark"),
        (lambda _: "[1]", "neither a run of linbench nor of pytest-benchmark"),
        (lambda _: "", "is not whole JSON"),
        (_change(["benchmarks"], []), "holds no benchmark"),
        (_change(["machine_info"], []), "machine_info: Input should be a valid dictionary"),
        (_change(["machine_info", "cpu"], {"brand_raw": 5}), "machine_info.cpu.brand_raw: Input"),
        (_change(["datetime"], "yesterday"), "datetime: Input should be a valid datetime"),
        (_change(["benchmarks"], {}), "benchmarks: Input should be a valid list"),
        (_change(["benchmarks", 0, "stats"], {}), "benchmarks.0.stats.median: Field required"),
        (_change(["benchmarks", 0, "stats", "data"], [0.0]), "time must be positive"),
        (_change(["benchmarks", 0, "options"], {"timer": 5}), "benchmarks.0.options.timer: Input"),
        (_change(["benchmarks", 0, "extra_info"], {"linbench": {"case": {"impl": "x"}}}),
         "seq: Field required; was it written by another version"),
        (_change(["benchmarks", 0, "extra_info"], {"linbench": {}}), "case: Field required"),
    ],
)  # fmt: skip
def test_a_broken_file_is_an_error_of_one_line(document, tmp_path, content, says):
    """The error names the file and what is wrong with it."""
    path = tmp_path / "out.json"
    path.write_text(content(document))
    with pytest.raises(RunFileError) as caught:
        read(path)
    assert says in str(caught.value)
    assert "out.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_files(tmp_path):
    """A folder that holds no file of pytest-benchmark is not a run."""
    with pytest.raises(RunFileError, match=r"holds no \*.json"):
        read(tmp_path)
    with pytest.raises(RunFileError, match="no run"):
        find_run(str(tmp_path), tmp_path)


def test_a_sweep_does_not_go_on_with_it(project):
    """Nothing is ever appended to another tool's file."""
    path = project / "with_data" / "1.json"
    before = path.read_bytes()
    with pytest.raises(RunFileError, match="line 1 is not JSON"):
        Journal.reopen(path)
    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def attention(tmp_path_factory):
    """What `suites/bench_attention.py` leaves behind, of a small suite, and what pytest said."""
    folder = tmp_path_factory.mktemp("attention")
    (folder / "small.toml").write_text(
        'impl = ["sdpa", "linformer"]\nseq = [32, 64]\nk = 16\nd_model = 32\nscope = "core"\n'
        'mode = ["forward", "forward_backward"]\n'
    )
    done = run_pytest(
        folder, str(Path("suites/bench_attention.py").resolve()), "-c", os.devnull,
        "--benchmark-only", "--benchmark-max-time=0.01", "--benchmark-json=out.json",
        LINBENCH_SUITE="small.toml",
    )  # fmt: skip
    assert "8 passed" in done.stdout, done.stdout + done.stderr
    return folder / "out.json"


def test_nothing_of_a_suite_is_lost(attention):
    """Cases, checks and peak memory of a suite come back from pytest-benchmark's file."""
    from linbench.plan.suite import expand
    from linbench.plan.suite import load as load_suite

    _, records = quietly(attention)
    cases, _ = expand(load_suite(str(attention.with_name("small.toml")), {"device": "cpu"}), "cpu")
    assert [record.case for record in records] == cases
    assert all(record.case_id == record.case.id for record in records)
    for record in records:
        detail, peak = record.detail, record.metrics["memory"]
        assert detail.check.max_rel_error < detail.check.tolerance
        assert detail.timing.threads
        assert len(record.samples("time")) > 1
        assert peak.source == "cpu_allocator"
        assert peak.value == detail.memory.cpu_allocator_bytes > 0
    forward = next(r for r in records if r.case.impl == "linformer" and r.case.seq == 64)
    assert forward.value("memory") == costs_of(forward.case).peak_bytes


def test_a_case_that_turned_out_wrong_has_no_samples(attention, tmp_path):
    """Where the last timed call differed from the checked one, its times are not read."""
    document = json.loads(attention.read_text())
    document["benchmarks"][0]["extra_info"][pytest_benchmark.EXTRA] |= {
        "status": "incorrect", "reason": "other values",
    }  # fmt: skip
    _, records = quietly(write(tmp_path / "out.json", document))
    assert (records[0].status, records[0].reason, records[0].samples("time")) == (
        "incorrect", "other values", [],
    )  # fmt: skip
    assert records[1].status == "ok"


def test_what_an_earlier_suite_left_is_read(attention, tmp_path):
    """Files that were saved before metrics had names hold memory and check as fields of old."""
    document = json.loads(attention.read_text())
    extra = document["benchmarks"][0]["extra_info"]
    today = extra[pytest_benchmark.EXTRA]
    peak, detail = today.pop("metrics")["memory"], today.pop("detail")
    memory = {"peak_bytes": peak["value"], "source": peak["source"], **detail["memory"]}
    extra[pytest_benchmark.EXTRA] = {**today, **detail, "memory": memory}
    _, (old, *_) = quietly(write(tmp_path / "old.json", document))
    _, (new, *_) = quietly(attention)
    assert (old.case, old.metrics, old.detail) == (new.case, new.metrics, new.detail)
