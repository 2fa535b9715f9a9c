"""A task of one's own through the whole of the command line, written as a user would."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from linbench.run.record import read

BIN = Path(sys.executable).parent / "linbench"
SCHEMA = Path(__file__).parents[2] / "docs" / "run-file.schema.json"

ACCURACY = """
import random

from pydantic import BaseModel, Field

from linbench.tasks import Metric, Task

ACCURACY = Metric("accuracy", better="more", scale="linear")


class Settings(BaseModel):
    shots: int = Field(5, description="Examples to learn from.")


def run(case, context):
    chance = random.Random(f"{context.seed} {context.round}")
    (context.scratch / "drawn").write_text("whatever it needs")
    print("learning from", context.settings.shots)
    level = {"sdpa": 0.9, "vanilla": 0.7}[case.impl]
    return {"accuracy": level - 0.01 * case.seq / 64 + chance.gauss(0, 0.002)}


TASK = Task(metrics=(ACCURACY,), run=run, settings=Settings)
"""

BAD = """
from linbench.tasks import Metric, Outcome, Task

METRICS = (Metric("score", better="more", scale="linear"), Metric("cost"))


def task(give):
    return Task(metrics=METRICS, run=lambda case, context: give())


def fails():
    raise ValueError("no such data")


raising = task(fails)
nan = task(lambda: {"score": float("nan")})
unlisted = task(lambda: {"speed": 1.0})
negative = task(lambda: {"cost": -1.0})
unwritable = task(lambda: Outcome({"score": 1.0}, detail={"net": object()}))
nothing = task(dict)
"""


def linbench(*words, cwd, code=0):
    done = subprocess.run(
        [BIN, *map(str, words)], cwd=cwd, capture_output=True, text=True, timeout=120,
        env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A folder with the task and a run of it named `a`."""
    folder = tmp_path_factory.mktemp("accuracy")
    (folder / "accuracy.py").write_text(ACCURACY)
    sweep(folder, "a")
    return folder


def sweep(folder, name, *words):
    return linbench(
        "sweep", "--task", "accuracy=accuracy.py:TASK", "--shots", "7", "--impl", "vanilla,sdpa",
        "--seq", "64..512", "--rounds", "6", "--name", name, *words, cwd=folder,
    )  # fmt: skip


def test_the_file_a_user_writes_is_short():
    """The promise: a task in at most forty lines."""
    assert len(ACCURACY.strip().splitlines()) <= 40


def test_it_is_in_the_run_file(swept):
    """Metrics in the header, settings in the case, a value a round, drawn anew each time."""
    path = swept / "results" / "a.jsonl"
    header, records = read(path)
    assert header.schema_ == 2
    (metric,) = header.metrics
    assert (metric.name, metric.better, metric.scale) == ("accuracy", "more", "linear")
    assert len(records) == 8 * 5, "with so narrow an interval the sixth round is not needed"
    assert {record.status for record in records} == {"ok"}
    assert {record.case.setting("shots") for record in records} == {7}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1]["case"]["settings"] == {"shots": 7}
    assert isinstance(lines[1]["metrics"]["accuracy"]["value"], float)
    validator = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))
    for line in lines:
        validator.validate(line)
    one = [r.value("accuracy") for r in records if r.case == records[0].case]
    assert len(set(one)) == 5


def test_the_same_seed_draws_the_same(swept):
    """Round and seed make a visit repeatable."""
    sweep(swept, "again")
    values = [
        {(r.case_id, r.round): r.value("accuracy") for r in read(path)[1]}
        for path in (swept / "results" / "a.jsonl", swept / "results" / "again.jsonl")
    ]
    assert values[0] == values[1]


def test_its_settings_are_flags(swept):
    """Of every verb that measures, with their description; a wrong value is one line."""
    task = ("--task", "accuracy=accuracy.py:TASK")
    assert "Examples to learn from." in linbench("sweep", *task, "--help", cwd=swept).stdout
    joined = linbench(
        "sweep", f"--task={task[1]}", "--shots", "9", "--seq", "64", "--impl", "sdpa", "--dry-run",
        "--json", cwd=swept,
    )  # fmt: skip
    (case,) = json.loads(joined.stdout)["cases"]
    assert case["case"]["settings"] == {"shots": 9}
    said = linbench("sweep", *task, "--shots", "many", cwd=swept, code=2).stderr
    assert said.startswith("linbench: --shots 'many' is not valid: input should be a valid integer")
    assert len(said.splitlines()) == 1


def test_it_stands_in_a_suite_file(swept):
    """Task and settings as keys, as on the command line; a run of it can be resumed."""
    (swept / "mine.toml").write_text(
        'task = "accuracy=accuracy.py:TASK"\nshots = 3\nimpl = "sdpa"\nseq = 64\nrounds = 2\n'
    )
    dry = linbench("sweep", "mine.toml", "--shots", "4", "--dry-run", "--json", cwd=swept)
    assert json.loads(dry.stdout)["cases"][0]["case"]["settings"] == {"shots": 4}
    linbench("sweep", "mine.toml", "--name", "m", cwd=swept)
    path = swept / "results" / "m.jsonl"
    kept = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept[:-1]))
    linbench("sweep", "--resume", "m", cwd=swept)
    assert [(r.round, r.case.setting("shots")) for r in read(path)[1]] == [(0, 3), (1, 3)]


@pytest.mark.parametrize("name", ["out", "force", "seq", "suite", "name", "help"])
def test_a_setting_cannot_take_the_name_of_a_flag(tmp_path, name):
    """One line that says so, and help none the less."""
    (tmp_path / "a.py").write_text(ACCURACY.replace("    shots:", f"    {name}:"))
    task = ("--task", "a=a.py:TASK")
    said = linbench("sweep", *task, "--seq", "64", cwd=tmp_path, code=2).stderr
    assert said.startswith(f"linbench: --task 'a' has a setting '{name}', which linbench")
    assert len(said.splitlines()) == 1
    assert "--case-timeout" in linbench("sweep", *task, "--help", cwd=tmp_path).stdout


def test_it_is_shown_and_exported(swept):
    """A column of the table and of the CSV."""
    shown = linbench("show", "a", cwd=swept).stdout
    assert "accuracy" in shown
    assert "0.89" in shown
    text = linbench("export", "a", "--format", "csv", cwd=swept).stdout
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) == 40
    assert all(0.5 < float(row["accuracy"]) < 1 for row in rows)


def test_it_is_reported_and_gated(swept):
    """In the page, and a run that got worse is a regression: more is better."""
    linbench("report", "a", "--format", "md", cwd=swept)
    assert "accuracy" in (swept / "reports" / "a" / "report.md").read_text().lower()
    source = (swept / "accuracy.py").read_text()
    (swept / "accuracy.py").write_text(source.replace('"sdpa": 0.9', '"sdpa": 0.5'))
    try:
        sweep(swept, "worse")
    finally:
        (swept / "accuracy.py").write_text(source)
    same = json.loads(linbench("gate", "a", "--baseline", "a", "--json", cwd=swept).stdout)
    assert same["verdict"] == "pass"
    said = linbench("gate", "worse", "--baseline", "a", "--json", cwd=swept, code=1).stdout
    found = json.loads(said)
    worse = [one for one in found["comparisons"] if one["verdict"] == "regression"]
    assert {one["metric"] for one in worse} == {"accuracy"}
    assert len(worse) == 4


def test_what_it_leaves_in_its_folder_is_gone(tmp_path):
    """Scratch is the visit's own: there, empty, and removed afterwards."""
    (tmp_path / "scratch.py").write_text(
        "from linbench.tasks import Metric, Outcome, Task\n"
        "def run(case, context):\n"
        "    assert list(context.scratch.iterdir()) == []\n"
        "    (context.scratch / 'x').write_text('x')\n"
        "    return Outcome({'one': 1}, detail={'scratch': str(context.scratch)})\n"
        "TASK = Task((Metric('one', noise='exact'),), run)\n"
    )
    linbench("sweep", "--task", "scratch=scratch.py:TASK", "--impl", "sdpa", "--seq", "64",
             "--rounds", "2", "--name", "s", cwd=tmp_path)  # fmt: skip
    records = read(tmp_path / "results" / "s.jsonl")[1]
    assert [record.status for record in records] == ["ok", "ok"]
    folders = {record.detail.scratch for record in records}
    assert len(folders) == 2
    assert not any(Path(folder).exists() for folder in folders)


def test_a_task_that_goes_wrong_is_an_error_with_the_remedy(tmp_path):
    """In the record, on stderr, and in the exit code; the others are measured."""
    (tmp_path / "bad.py").write_text(BAD)
    said = {
        "raising": "ValueError: no such data (in fails, bad.py:",
        "nan": "score = nan, expected a finite number",
        "unlisted": "expected score, cost; add it to the task's metrics",
        "negative": "give the metric scale='linear'",
        "unwritable": "not JSON serializable",
        "nothing": "without a value of any metric",
    }
    words = [word for name in said for word in ("--task", f"{name}=bad.py:{name}")]
    done = linbench("sweep", *words, "--task", "efficiency", "--impl", "sdpa", "--seq", "64",
                    "--rounds", "1", "--name", "b", cwd=tmp_path, code=1)  # fmt: skip
    records = {record.case.task: record for record in read(tmp_path / "results" / "b.jsonl")[1]}
    assert records.pop("efficiency").status == "ok"
    assert set(records) == set(said)
    for name, record in records.items():
        assert record.status == "error"
        assert said[name] in record.reason
        assert "\n" not in record.reason
        assert said[name] in done.stdout
        assert record.metrics == {}
