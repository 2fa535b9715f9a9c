"""`show`, `list` and the tables that a sweep ends with: what was measured, and why not the rest."""

import json
import warnings

import numpy as np
import pytest
import synthetic
from typer.testing import CliRunner

from linbench.cli import app, tables
from linbench.errors import RunFileError
from linbench.run.case import Case
from linbench.run.journal import Journal
from linbench.run.metrics import Measurement, Metric
from linbench.run.record import Record

ACCURACY = Metric("accuracy", better="more", scale="linear")
BATCH = Metric("max_batch", "sequences", better="more", noise="exact")


def show(*words, code=0):
    done = CliRunner().invoke(app, list(map(str, words)), env={"COLUMNS": "200"})
    assert done.exit_code == code, (done.output, done.exception)
    return done.output


def write(tmp_path, records, *metrics):
    head = synthetic.header("r").model_copy(update={"metrics": list(metrics)})
    return synthetic.write(tmp_path / "r.jsonl", records, head)


def row(text, *words):
    """Return the line of a table that begins with some words, as words."""
    (found,) = (
        line.split() for line in text.splitlines() if line.split()[: len(words)] == [*words]
    )
    return found


def test_a_row_per_case_with_a_column_per_metric(tmp_path):
    """Typical values in the units that fit, with how sure those are that scatter."""
    case = Case(impl="sdpa", seq=64, scope="core")
    records = [
        synthetic.ok(case, round_, [seconds], 3 * 2**20)
        for round_, seconds in enumerate((0.1, 0.11))
    ]
    text = show("show", write(tmp_path, records))
    head = next(line for line in text.splitlines() if line.startswith("implementation"))
    assert head.split() == [
        "implementation", "n", "rounds", "time", "±", "95", "%", "peak", "memory", "status",
    ]  # fmt: skip
    assert row(text, "sdpa") == ["sdpa", "64", "2", "105", "ms", "83.2%", "3.00", "MiB", "ok"]
    assert "machine  Example CPU, 2 cores, torch 2.13.0, fingerprint machine-a" in text
    assert "git      0123456789ab" in text


def test_metrics_of_any_task_have_columns(tmp_path):
    """What a task calls accuracy is shown by that name; what was counted says how, 0 too."""
    case = Case(impl="sdpa", seq=64, task="train")
    records = [
        Record(case_id=case.id, case=case, round=round_, status="ok",
               metrics={"accuracy": Measurement(value)})
        for round_, value in enumerate((0.5, 0.6, 0.7))
    ]  # fmt: skip
    records += [synthetic.largest(64, 16, impl="sdpa"), synthetic.largest(128, 0, "counted")]
    text = show("show", write(tmp_path, records, ACCURACY, BATCH))
    assert row(text, "sdpa", "train")[-5:] == ["64", "3", "0.600", "0.248", "ok"]
    assert "16 sequences (extrapolated)" in text
    assert "0 sequences (counted)" in text
    assert "max batch" in text


def test_what_is_wrong_in_a_round_has_no_value(tmp_path):
    """The other rounds of a wrong case are no measurement."""
    rng = np.random.default_rng(1)
    records = synthetic.measured(rng, lambda n: 1e-3, sizes=(64,), rounds=2, impl="mine")
    records[1] = records[1].model_copy(
        update={"status": "incorrect", "reason": "off by 2", "metrics": {}}
    )
    text = show("show", write(tmp_path, records))
    assert row(text, "mine", "64") == ["mine", "64", "0", "ok,", "incorrect"]
    assert "mine n=64 core: incorrect: off by 2" in text


def test_an_unknown_n_is_left_blank(tmp_path):
    """A benchmark without n is shown by its name."""
    case = Case(impl="t.py::test[quick]", seq=None, scope="function", device=None, dtype=None)
    text = show("show", write(tmp_path, [synthetic.ok(case, 0, [0.1])]))
    assert row(text, "t.py::test[quick]") == ["t.py::test[quick]", "1", "100", "ms", "ok"]


def test_equal_causes_are_one_line(tmp_path, capsys):
    """Up to five cases are named, the rest counted."""
    skipped = [synthetic.failed("skipped", "raise --budget to 9 s", 64 * n) for n in range(1, 9)]
    other = [synthetic.failed("oom", "no memory", 2048), synthetic.failed("error", "died", 64)]
    tables.print_reasons([*skipped, *other])
    lines = capsys.readouterr().out.splitlines()
    named = ", ".join(f"vanilla n={64 * n} core" for n in range(1, 6))
    assert lines == [
        f"{named} and 3 more: skipped: raise --budget to 9 s",
        "vanilla n=2048 core: oom: no memory",
        "vanilla n=64 core: error: died",
    ]


def test_a_sweep_ends_with_what_it_measured(tmp_path, capsys):
    """Cases that were never visited have a line by cause and no row; the counts are of all."""
    case = Case(impl="sdpa", seq=64)
    never = synthetic.failed("skipped", "raise --budget to 9 s", 4096)
    with Journal.create(tmp_path / "r.jsonl", synthetic.header("r")) as journal:
        journal.append(synthetic.ok(case, 0, [0.1], warnings=["hot"]))
        journal.append(never)
        tables.closing(journal, [case, never.case], {"linformer n=64": "k is longer"})
        said = tables.closing_json(journal, [case, never.case], {})
    text = capsys.readouterr().out
    assert row(text, "sdpa", "64")[-1] == "ok"
    assert [line for line in text.splitlines() if "4096" in line] == [
        "vanilla n=4096 core: skipped: raise --budget to 9 s"
    ]
    assert "left out: linformer n=64: k is longer" in text
    assert "1 of 2 cases measured, 2 records, 1 with warnings ('linbench show r')" in text
    assert f"next: linbench report {tmp_path / 'r.jsonl'}" in text
    assert (said["measured"], said["statuses"]) == (1, {"ok": 1, "skipped": 1})


def test_a_dry_run_says_what_it_would_take(capsys):
    """A row per case with time and memory, and what would be skipped says why."""
    from linbench.plan.suite import Suite
    from linbench.tasks import Prediction

    small, large = Case(impl="sdpa", seq=64), Case(impl="sdpa", seq=4096)
    rows = [(small, Prediction(2.0, 2**20, 0.01), None), (large, Prediction(50.0), "too long")]
    tables.predictions(rows, {}, Suite())
    text = capsys.readouterr().out
    assert "10.0 ms" in text
    assert "1.00 MiB" in text
    assert "skipped: too long" in text
    assert "1 of 2 cases, 2 s a round" in text
    said = tables.predictions_json(rows, {"x": "y"})
    assert [case["skipped"] for case in said["cases"]] == [None, "too long"]
    assert said["cases"][1]["predicted_memory_bytes"] is None
    assert said["left_out"] == {"x": "y"}


def test_warnings_of_the_machine_are_shown(tmp_path):
    """What the header says was wrong when the run began."""
    head = synthetic.header("r").model_copy(update={"warnings": ["other programs use 2 cores"]})
    path = synthetic.write(tmp_path / "r.jsonl", [synthetic.failed("oom", "none", 2048)], head)
    assert "warning: other programs use 2 cores" in show("show", path)


def test_cases_that_differ_in_a_setting_are_told_apart(tmp_path):
    """By a column for it, and where a reason is given; what is the same has none."""
    cases = [Case(impl="sdpa", seq=64, settings={"spread": x, "shots": 5}) for x in (2, 4, 8)]
    records = [synthetic.ok(case, 0, [0.1], 2**20) for case in cases[:2]]
    records += [
        Record(case_id=case.id, case=case, round=1, status="error", reason="no")
        for case in cases[1:]
    ]
    text = show("show", write(tmp_path, records))
    assert row(text, "implementation")[:3] == ["implementation", "spread", "n"]
    assert [row(text, "sdpa", spread)[2] for spread in "248"] == ["64"] * 3
    assert "sdpa n=64 layer spread=4, sdpa n=64 layer spread=8: " in text


def test_what_is_no_run_file_is_one_error(tmp_path):
    """A picture, say: neither torn nor to be restored."""
    path = tmp_path / "x.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\0\0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done = CliRunner().invoke(app, ["show", str(path)])
    assert isinstance(done.exception, RunFileError)
    assert "is not a run file" in str(done.exception)
    assert "is this a file that 'linbench sweep' wrote?" in str(done.exception)


def test_json_has_all_of_a_run(tmp_path):
    """Header and records, as they stand in the file."""
    path = write(tmp_path, [synthetic.failed("oom", "no memory", 2048)], ACCURACY)
    said = json.loads(show("show", path, "--json"))
    assert [said["run"], *said["records"]] == [*map(json.loads, path.read_text().splitlines())]


def test_list_names_runs_and_what_is_wrong_with_them(tmp_path):
    """A broken file does not hide the others."""
    write(tmp_path, [synthetic.failed("oom", "no memory", 2048)])
    (tmp_path / "broken.jsonl").write_text("nonsense\n")
    rows = {
        one["run"]: one for one in json.loads(show("list", "runs", "--results", tmp_path, "--json"))
    }
    assert (rows["r"]["cases"], rows["r"]["machine"], rows["r"]["problem"]) == (
        1,
        "Example CPU",
        None,
    )
    assert "line 1 is not JSON" in rows["broken"]["problem"]


@pytest.mark.parametrize(("what", "names"), [("suites", "smoke"), ("impls", "sdpa")])
def test_list_names_suites_and_implementations(what, names):
    """With a word on each."""
    assert names in show("list", what)
