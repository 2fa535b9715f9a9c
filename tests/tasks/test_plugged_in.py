"""Tasks of others that would give a wrong number: refused in one line, before anything runs."""

import pytest

from linbench import tasks
from linbench.errors import UsageError
from linbench.executors import worker
from linbench.plan.predict import Predictor
from linbench.plan.suite import expand, read
from linbench.run.metrics import Metric
from linbench.tasks import Prediction, Task

FILE = """
from datetime import timedelta
from pydantic import BaseModel, Field
from linbench.tasks import Metric, Task

class S(BaseModel):
    {setting}

def expand(case, settings):
    {expand}

TASK = Task(metrics=({metric},), run=lambda case, context: {{"m": 1.0}}, settings=S{more})
"""


def plan(folder, setting="spread: int = 1", metric='Metric("m")', expand_=None):
    text = FILE.format(
        setting=setting, metric=metric, expand=expand_ or "return [case]",
        more=", expand=expand" if expand_ else "",
    )  # fmt: skip
    (folder / "file.py").write_text(text)
    suite = read({"task": f"mine={folder}/file.py:TASK", "impl": "sdpa", "seq": "64"})
    return expand(suite, "cpu")[0]


def test_settings_that_are_no_fields_of_a_case_are_taken(tmp_path):
    """The control of all below."""
    (case,) = plan(tmp_path)
    assert case.setting("spread") == 1


@pytest.mark.parametrize("name", ["seq", "layers", "impl", "k", "k_rule", "seed", "out", "name"])
def test_a_setting_may_not_bear_the_name_of_what_a_case_or_a_verb_has(tmp_path, name):
    """It would replace the n that is measured, or have no flag."""
    with pytest.raises(UsageError, match=f"has a setting '{name}'"):
        plan(tmp_path, f"{name}: int = 7")


@pytest.mark.parametrize(
    "setting", ["widths: tuple[int, ...] = (1, 2)", "w: list[int] = [1]", "w: float = float('inf')"]
)
def test_a_setting_is_one_value(tmp_path, setting):
    """The run file could not be read with another."""
    with pytest.raises(UsageError, match="its setting 'w.*expected a finite number"):
        plan(tmp_path, setting)


def test_a_setting_is_in_memory_what_it_is_in_the_file(tmp_path):
    """Else a resumed run would measure it again."""
    (case,) = plan(tmp_path, "wait: timedelta = timedelta(seconds=2)")
    assert case.setting("wait") == "PT2S"


def test_a_setting_with_an_alias_reaches_the_task(tmp_path):
    """It is stored by its field, and read back by it."""
    (case,) = plan(tmp_path, "foo: float = Field(5.0, alias='foo_x')")
    context = worker._context(case, tasks.find("mine"), {}, lambda _: None)
    assert context.settings.foo == 5.0


@pytest.mark.parametrize("name", ["exponent", "weights", "operations"])
def test_a_metric_may_not_bear_the_name_of_a_count(tmp_path, name):
    """The gate would take it for its own."""
    with pytest.raises(UsageError, match=f"gives a metric '{name}'"):
        plan(tmp_path, metric=f'Metric("{name}")')


def test_an_expand_that_raises_is_named(tmp_path):
    """One line, not a traceback."""
    with pytest.raises(UsageError, match="task mine: its expand raised KeyError"):
        plan(tmp_path, expand_='raise KeyError("x")')


@pytest.mark.parametrize(
    ("predict", "says"),
    [
        (lambda case, known: 1 / 0, "its predict raised ZeroDivisionError"),
        (lambda case, known: None, "its predict raised AttributeError"),
        (lambda case, known: Prediction(float("nan")), "gave a round of nan s"),
    ],
)
def test_a_predict_that_goes_wrong_is_named(tmp_path, monkeypatch, predict, says):
    """A plan cannot rest on it."""
    (case,) = plan(tmp_path)
    task = Task(metrics=(Metric("m"),), run=lambda case, context: {}, predict=predict)
    monkeypatch.setitem(tasks._plugged, "mine", task)
    with pytest.raises(UsageError, match=says):
        Predictor().predict(case)


def test_versions_that_describe_a_metric_differently_are_not_compared():
    """10 ms are not 0.01 times 1 s: the version that differs from the header has an error."""
    task = Task(metrics=(Metric("lat", "ms"),), run=lambda case, context: {})
    header = [{"name": "lat", "unit": "s", "better": "less", "scale": "log", "noise": "rounds"}]
    assert "'lat' is described otherwise" in worker._described_otherwise(task, header)
    assert worker._described_otherwise(task, [{**header[0], "unit": "ms"}]) is None
