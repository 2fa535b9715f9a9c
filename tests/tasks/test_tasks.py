"""What tasks there are, how others' join, and what one has that says nothing of itself."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from linbench import tasks
from linbench.errors import UsageError
from linbench.run.case import Case
from linbench.tasks import Context, Metric, Resources, Task

CASE = Case(impl="sdpa", seq=64, device="cuda")
PLAIN = Task((Metric("score"),), run=lambda case, context: {"score": 1.0})


def test_a_file_of_the_folder_is_a_task():
    """No list of them is kept elsewhere; what serves them is none."""
    assert tasks.names() == ["efficiency", "max_batch"]
    for name in tasks.names():
        assert isinstance(tasks.find(name), Task)


def test_the_public_names_are_there():
    """What others' tasks are written with."""
    from linbench.tasks import Context, Measurement, Metric, Outcome, Prediction, Task  # noqa: F401


def test_no_task_loads_torch():
    """The command line plans with them: `run` alone is for the fresh process."""
    code = (
        "import sys; from linbench import tasks; [tasks.find(name) for name in tasks.names()]; "
        "print(sorted({'torch', 'pandas'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_task_that_says_nothing_of_itself_has_defaults():
    """The case as it is, three rounds, its own device, no prediction, no settings."""
    assert list(PLAIN.expand(CASE, None)) == [CASE]
    assert [PLAIN.rounds(SimpleNamespace(rounds=n)) for n in (1, 2, 3, 9)] == [1, 2, 3, 3]
    assert PLAIN.needs(CASE) == Resources("cuda", 1)
    assert (PLAIN.settings, PLAIN.predict) == (None, None)
    assert Context().settings is None


def test_settings_become_part_of_the_case():
    """In an order that does not depend on how they were given."""

    class Settings(BaseModel):
        shots: int = 5
        depth: int = 1

    (case,) = PLAIN.expand(CASE, Settings(shots=7))
    assert case.settings == (("depth", 1), ("shots", 7))
    assert case.id != CASE.id


def test_a_search_needs_one_round():
    """Its answer is exact."""
    assert tasks.find("max_batch").rounds(SimpleNamespace(rounds=9)) == 1
    assert [metric.noise for metric in tasks.find("max_batch").metrics] == ["exact"]


def test_a_plugged_in_task_is_found_by_its_name(tmp_path):
    """A file, with the attribute after the colon."""
    source = "from linbench.tasks import Metric, Task\nMINE = Task((Metric('x'),), lambda *_: {})\n"
    (tmp_path / "mine.py").write_text(source)
    assert tasks.plug_in(f"mine={tmp_path / 'mine.py'}:MINE") == "mine"
    assert tasks.find("mine").metrics == (Metric("x"),)
    assert "mine" in tasks.names()


def test_an_installed_task_is_an_entry_point(tmp_path):
    """Of the group `linbench.tasks`; it needs no flag."""
    package = tmp_path / "others-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: others\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[linbench.tasks]\ntheirs = theirs:TASK\n")
    source = "from linbench.tasks import Metric, Task\nTASK = Task((Metric('y'),), lambda *_: {})\n"
    (tmp_path / "theirs.py").write_text(source)
    code = (
        "from linbench import tasks; "
        "print(tasks.names(), [metric.name for metric in tasks.find('theirs').metrics])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "['efficiency', 'max_batch', 'theirs'] ['y']"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("mine", "expected NAME=module:attribute"),
        ("mine=json", "expected NAME=module:attribute"),
        ("mine=json:", "expected NAME=module:attribute"),
        ("=json:dumps", "expected NAME=module:attribute"),
        ("mine=no.such.module:TASK", "module 'no.such.module' was not found"),
        ("mine=gone.py:TASK", "file 'gone.py' was not found"),
        ("mine=linbench.tasks.efficiency:TSAK", "did you mean 'TASK'?"),
        ("mine=linbench.tasks.efficiency:run", "'run' is something else"),
        ("efficiency=linbench.tasks.efficiency:TASK", "is built in; give yours a name of its own"),
    ],
)
def test_specs_that_name_no_task(spec, says):
    """One line with the remedy."""
    with pytest.raises(UsageError) as caught:
        tasks.plug_in(spec)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_name_that_is_nearly_right():
    """The nearest is suggested."""
    with pytest.raises(UsageError, match="did you mean 'efficiency'"):
        tasks.find("eficiency")
