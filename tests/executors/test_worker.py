"""Case in, fields of a record out: in this process, with tasks that do what tasks do."""

import math
from pathlib import Path

import pytest
from pydantic import BaseModel

from linbench import tasks
from linbench.executors import worker
from linbench.run.case import Case
from linbench.tasks import Measurement, Metric, Outcome, Task

SCORE = Metric("score", better="more", scale="linear")
COST = Metric("cost")
CASE = Case(impl="sdpa", seq=64, seed=3)


class Settings(BaseModel):
    shots: int = 5


def fields_of(outcome):
    return worker.fields_of(outcome, Task((SCORE, COST), run=lambda case, context: {}))


@pytest.fixture
def plugged(monkeypatch):
    """Plug in a task named `mine`, and measure a case with it; returns fields and what was sent."""

    def measure(run, case=CASE, *, metrics=(SCORE, COST), **job):
        task = Task(metrics, run=run, settings=Settings)
        monkeypatch.setitem(tasks._plugged, "mine", task)
        case = case.model_copy(update={"task": "mine", "settings": (("shots", 7),)})
        sent = []
        fields = worker.run({"case": worker.as_job(case), "plugins": [], **job}, sent.append)
        return fields, sent

    return measure


# ---- cases ----


@pytest.mark.parametrize(
    "case",
    [
        CASE,
        Case(impl="linformer", seq=512, k=(64, 32), layers=2, sharing="kv", scope="encoder"),
        Case(impl="linformer", seq=512, k=128, k_rule="n/4", batch=8, tokens=4096),
        Case(task="max_batch", impl="sdpa", seq=64, settings={"memory_limit_bytes": 2**24}),
        Case(task="mine", impl="sdpa", seq=64, settings={"shots": 7, "name": None, "deep": True}),
    ],
    ids=lambda case: case.id,
)
def test_a_case_survives_the_way_to_the_worker(case):
    """Its settings stand among its fields there, where an old worker looks for them."""
    job = worker.as_job(case)
    assert "settings" not in job
    assert worker.case_of(job) == case
    assert worker.case_of(job).id == case.id


def test_a_job_of_an_old_parent_is_understood():
    """The limit of a search was a field of the case."""
    job = {"impl": "sdpa", "seq": 64, "task": "max_batch", "memory_limit_bytes": 2**24}
    assert worker.case_of(job).setting("memory_limit_bytes") == 2**24


# ---- the context ----


def test_round_seed_settings_and_scratch_arrive(plugged, tmp_path):
    """All that makes a visit another one, or the same one again."""
    found = {}

    def run(case, context):
        found.update(vars(context), case=case)
        context.send({"phase": "thinking"})
        return {"score": 1}

    job = {"round": 4, "scratch": str(tmp_path), "options": {"keep_pages": False}}
    fields, sent = plugged(run, **job)
    assert fields["status"] == "ok", fields["reason"]
    assert (found["round"], found["seed"], found["rank"]) == (4, 3, 0)
    assert found["settings"] == Settings(shots=7)
    assert found["scratch"] == tmp_path
    assert found["options"] == {"keep_pages": False}
    assert found["case"].setting("shots") == 7
    assert {"phase": "thinking"} in sent


def test_a_job_of_an_old_parent_has_defaults(plugged):
    """It knows neither round nor scratch nor options."""
    found = {}
    fields, _ = plugged(lambda case, context: found.update(vars(context)) or {"score": 1})
    assert fields["status"] == "ok", fields["reason"]
    assert (found["round"], found["scratch"], found["options"]) == (0, Path(), {})


def test_ceilings_are_for_what_is_timed(plugged, monkeypatch):
    """A score says nothing of how fast the machine is."""
    monkeypatch.setattr("linbench.probes.ceilings.measure", lambda device, dtype: {"gemm": 1})
    run = lambda case, context: dict.fromkeys(("score", "cost"), 1.0)  # noqa: E731
    fields, _ = plugged(run, ceilings=True)
    assert "ceilings" not in fields["detail"]
    timed = (SCORE, Metric("cost", "s"))
    assert "ceilings" in plugged(run, metrics=timed, ceilings=True)[0]["detail"]
    assert "ceilings" not in plugged(run, metrics=timed)[0]["detail"]


# ---- what a task gives ----


def test_a_mapping_of_numbers_is_enough():
    """Each becomes a measurement, whatever kind of number it is."""
    fields = fields_of({"score": -0.5, "cost": 3})
    assert fields["status"] == "ok"
    assert fields["metrics"]["score"]["value"] == -0.5
    assert fields["metrics"]["cost"] == {
        "value": 3.0, "samples": [], "source": None, "reason": None,
    }  # fmt: skip


def test_an_outcome_says_it_all():
    """Samples and sources, a status with its reason, detail and warnings."""
    outcome = Outcome(
        {"score": Measurement(0.5, [0.4, 0.6], "counted"), "cost": Measurement(reason="no meter")},
        detail={"layers": [1, 2]}, warnings=("suspect",),
    )  # fmt: skip
    fields = fields_of(outcome)
    assert fields["metrics"]["score"]["samples"] == [0.4, 0.6]
    assert fields["metrics"]["cost"]["reason"] == "no meter"
    assert (fields["detail"], fields["warnings"]) == ({"layers": [1, 2]}, ["suspect"])
    assert fields_of(Outcome(status="skipped", reason="no GPU"))["reason"] == "no GPU"


@pytest.mark.parametrize(
    ("outcome", "says"),
    [
        (None, "the task returned NoneType, expected a mapping of metrics to numbers or an Outc"),
        (0.7, "the task returned float, expected a mapping"),
        ({"speed": 1.0}, "the metric 'speed', expected score, cost; add it to the task's metrics"),
        ({"score": math.nan}, "score = nan, expected a finite number"),
        ({"cost": math.inf}, "cost = inf, expected a finite number"),
        ({"score": Measurement(1.0, [1.0, math.nan])}, "score = nan, expected a finite number"),
        ({"cost": -1}, "cost = -1, expected no negative number on a scale 'log'; give the metric"),
        ({"score": "much"}, "could not convert string to float: 'much'"),
        (Outcome({"score": 1}, detail={"net": object()}), "not JSON serializable"),
    ],
    ids=str,
)
def test_what_is_no_result_is_an_error_with_the_remedy(plugged, outcome, says):
    """One line, and no metrics that readers would take for measured."""
    fields, _ = plugged(lambda case, context: outcome)
    assert fields["status"] == "error"
    assert says in fields["reason"]
    assert "\n" not in fields["reason"]
    assert not fields.get("metrics")


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (
            ValueError("no such\nlayer"),
            "error",
            "ValueError: no such layer (in run, test_worker",
        ),
        (SystemExit(3), "error", "SystemExit: 3"),
        (KeyError(), "error", "KeyError (in run"),
        (MemoryError("12 GiB"), "oom", "MemoryError: 12 GiB"),
    ],
)
def test_whatever_a_task_raises_is_a_status(plugged, error, status, says):
    """With the line it came from; a process that measures raises nothing."""

    def run(case, context):
        raise error

    fields, _ = plugged(run)
    assert fields["status"] == status
    assert says in fields["reason"]
    assert "\n" not in fields["reason"]


def test_an_unknown_task_is_an_error_of_its_cases():
    """A worker of an older version may not have it."""
    job = {"case": {"impl": "sdpa", "seq": 64, "task": "nosuch"}, "plugins": []}
    fields = worker.run(job, lambda message: None)
    assert fields["status"] == "error"
    assert "--task 'nosuch' is unknown" in fields["reason"]


def test_a_task_is_loaded_from_its_file(tmp_path):
    """Only that of the case: others' code stays out of the process."""
    source = (
        "from linbench.tasks import Metric, Task\n"
        "def run(case, context):\n    return {'twice': 2 * case.seq + context.round}\n"
        "TASK = Task((Metric('twice'),), run)\n"
    )
    (tmp_path / "twice.py").write_text(source)
    (tmp_path / "bad.py").write_text("raise RuntimeError('not asked for')\n")
    specs = [f"twice={tmp_path / 'twice.py'}:TASK", f"bad={tmp_path / 'bad.py'}:TASK"]
    job = {"case": {"impl": "sdpa", "seq": 64, "task": "twice"}, "plugins": [], "tasks": specs}
    try:
        fields = worker.run({**job, "round": 1}, lambda message: None)
    finally:
        tasks._plugged.clear()
    assert fields["status"] == "ok", fields["reason"]
    assert fields["metrics"]["twice"]["value"] == 129
