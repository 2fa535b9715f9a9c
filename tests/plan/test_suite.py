"""Suites: from files and flags to cases."""

import inspect
import re
from pathlib import Path

import pytest

from linbench import tasks
from linbench.cli.gate import gate
from linbench.cli.sweep import sweep
from linbench.errors import UsageError
from linbench.plan import suite


def cases_of(**settings):
    return suite.expand(suite.read(settings), "cpu")[0]


def test_the_grid_is_the_product_of_its_axes():
    """k and sharing multiply Linformer's cases only: 4 n x (vanilla + sdpa + 2 linformer)."""
    cases = cases_of(
        impl="vanilla,sdpa,linformer", seq="256..2048", k="64", sharing="headwise,layerwise"
    )
    assert len(cases) == 16
    assert {case.k for case in cases if case.impl != "linformer"} == {None}
    assert {case.sharing for case in cases if case.impl == "linformer"} == {"headwise", "layerwise"}


def test_k_above_n_is_left_out_and_listed():
    """Single combinations with k > n are left out with the reason; the rest stays."""
    cases, left_out = suite.expand(
        suite.read({"impl": "linformer", "seq": "64..256", "k": "128"}), "cpu"
    )
    assert [case.seq for case in cases] == [128, 256]
    assert list(left_out) == ["linformer k=128 headwise n=64"]
    assert "longer than the sequence" in left_out["linformer k=128 headwise n=64"]


def test_k_above_every_n_is_an_error_though_others_remain():
    """An implementation that was asked for and has no possible case is no silent omission."""
    with pytest.raises(UsageError, match="no combination of 'linformer' is possible: k=128"):
        cases_of(impl="vanilla,linformer", seq="64", k="128")


def test_a_fraction_of_n_keeps_its_rule():
    """k = n/4 grows with n, and the case remembers the rule."""
    cases = cases_of(impl="linformer", seq="256..1024", k="n/4")
    assert [(case.seq, case.k, case.k_rule) for case in cases] == [
        (256, 64, "n/4"), (512, 128, "n/4"), (1024, 256, "n/4"),
    ]  # fmt: skip


def test_tokens_set_the_batch():
    """With a fixed number of tokens the batch shrinks as n grows; uneven ones are left out."""
    settings = suite.read({"impl": "sdpa", "seq": "512..4096,3000", "tokens": 4096})
    cases, left_out = suite.expand(settings, "cpu")
    assert [(case.seq, case.batch) for case in cases] == [(512, 8), (1024, 4), (2048, 2), (4096, 1)]
    assert "multiple" in left_out["sdpa n=3000"]


def test_tasks_are_an_axis_and_a_search_has_a_limit_instead_of_a_batch():
    """The largest batch is looked for once a configuration, within 16 GB unless said otherwise."""
    both = {"impl": "sdpa", "seq": "512", "batch": "2,4", "task": "efficiency,max_batch"}
    limits = [case.setting("memory_limit_bytes") for case in cases_of(**both)]
    assert [(case.task, case.batch) for case in cases_of(**both)] == [
        ("efficiency", 2), ("efficiency", 4), ("max_batch", 1),
    ]  # fmt: skip
    assert limits == [None, None, 16 * 2**30]
    (case,) = cases_of(impl="sdpa", seq="512", task="max_batch", memory_limit="512MiB")
    assert case.setting("memory_limit_bytes") == 512 * 2**20
    assert case.id != cases_of(impl="sdpa", seq="512", task="max_batch")[0].id


ACCURACY = """
from pydantic import BaseModel

from linbench.tasks import Metric, Task


class Settings(BaseModel):
    shots: int = 5


ACCURACY = Metric("accuracy", better="more", scale="linear")
TASK = Task((ACCURACY,), lambda case, context: {}, Settings)
"""


@pytest.fixture
def accuracy(tmp_path):
    """A task of the user's own, as `--task` names it; unplugged afterwards."""
    (tmp_path / "accuracy.py").write_text(ACCURACY)
    yield f"accuracy={tmp_path / 'accuracy.py'}:TASK"
    tasks._plugged.clear()


def test_a_task_of_one_s_own_brings_its_settings(accuracy):
    """They stand among the suite's, are validated, and are part of the case; others have none."""
    settings = {"impl": "sdpa", "seq": "512", "task": ["efficiency", accuracy]}
    read = suite.read({**settings, "shots": "7"})
    assert [(case.task, case.settings) for case in suite.expand(read, "cpu")[0]] == [
        ("efficiency", None), ("accuracy", (("shots", 7),)),
    ]  # fmt: skip
    assert [metric.name for metric in read.metrics] == ["time", "memory", "energy", "accuracy"]
    assert read.task_plugins == [accuracy]
    assert suite.read(read.model_dump(mode="json")) == read
    assert suite.expand(suite.read(settings), "cpu")[0][1].setting("shots") == 5


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"shots": "many"}, "--shots 'many'"),
        ({"shotz": 7}, "did you mean 'shots'?"),
        ({"memory_limit": "8GB"}, "add --task max_batch"),
    ],
)
def test_bad_settings_of_a_task_of_one_s_own(accuracy, settings, says):
    """As of those that are built in."""
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        cases_of(impl="sdpa", seq="512", task=[accuracy], **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("accuracy=", "expected NAME=module:attribute or NAME=path/to/file.py:attribute"),
        ("accuracy=nowhere.py:TASK", "'nowhere.py' was not found"),
        ("accuracy=json:dumps", "'dumps' is something else in 'json', expected Task"),
        ("max_batch=json:dumps", "is built in; give yours a name of its own: my_max_batch"),
        ("accurcy", "--task 'accurcy' is unknown"),
    ],
)
def test_tasks_that_are_none(task, says):
    """One line that says what was looked for."""
    with pytest.raises(UsageError, match=re.escape(says)) as caught:
        cases_of(impl="sdpa", seq="512", task=[task])
    assert "\n" not in str(caught.value)


def test_a_plugin_takes_the_axes_it_names():
    """NAME=spec@k multiplies a plug-in by k; without it k does not apply."""
    cases = cases_of(impl=["a=x.py:build@k", "b=x.py:build"], seq="512", k="64,128")
    assert [(case.impl, case.k) for case in cases] == [("a", 64), ("a", 128), ("b", None)]
    assert suite.read({"impl": ["a=x.py:build@k", "sdpa"]}).plugins == ["a=x.py:build"]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"heads": "3"}, "--heads 3 does not divide --d-model 256"),
        ({"impl": "vanila"}, "did you mean 'vanilla'?"),
        ({"impl": "mine=nothing"}, "expected NAME=module:attribute or NAME=path/to/file.py:"),
        ({"impl": "mine=x.py:b@q"}, "axis 'q' is unknown"),
        ({"dtype": "float23"}, "did you mean 'float32'?"),
        ({"device": "gpu"}, "--device 'gpu' is unknown"),
        ({"sharing": "layer-wise"}, "did you mean 'layerwise'?"),
        ({"scope": "layers"}, "did you mean 'layer'?"),
        ({"rounds": 0}, "--rounds 0"),
        ({"rounds": "many"}, "--rounds 'many'"),
        ({"batch": "2", "tokens": "1024"}, "exclude each other"),
        ({"layers": "4"}, "add --scope encoder"),
        ({"sequence": "512"}, "setting 'sequence' is unknown"),
        ({"shraing": "kv"}, "did you mean 'sharing'?"),
        ({"seq": "4096..512"}, "inverted"),
        ({"seed": 10**30}, "--seed"),
        ({"case_timeout": "none"}, "hang for ever"),
        ({"impl": "vanilla@k"}, "built in and takes no builder"),
        ({"impl": "vanilla@k"}, "plug yours in as my_vanilla=module:builder"),
        ({"impl": "sdpa=x.py:b"}, "plug yours in as my_sdpa=x.py:b"),
        ({"impl": "a=x.py:b,a=y.py:b"}, "names 'a' twice"),
        ({"task": "max-batch"}, "did you mean 'max_batch'?"),
        ({"memory_limit": "16GB"}, "add --task max_batch"),
        ({"task": "max_batch", "memory_limit": "lots"}, "--memory-limit 'lots'"),
        ({"task": "max_batch", "memory_limit": "16"}, "at least 1 MB"),
        ({"task": "max_batch", "batch": "4"}, "--batch means nothing to --task max_batch"),
        ({"task": "max_batch", "tokens": "4096"}, "--tokens means nothing to --task max_batch"),
    ],
)
def test_bad_settings(settings, says):
    """A bad setting is one line that names the value and the remedy."""
    with pytest.raises(UsageError) as caught:
        cases_of(**settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_plugins_that_are_not_there_are_found_without_running_them(tmp_path, monkeypatch):
    """A file or module is looked up, not imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.py").write_text("raise SystemExit")
    for spec in ("a=there.py:build", "a=there:build", "a=linbench.peers:mha"):
        suite.check_plugins(suite.read({"impl": spec}))
    for spec in ("a=gone.py:build", "a=gone.module:build"):
        with pytest.raises(UsageError, match="--impl 'a': .* was not found"):
            suite.check_plugins(suite.read({"impl": spec}))
    gone = suite.Suite(task=["a=gone.py:TASK"])
    with pytest.raises(UsageError, match="--task 'a': 'gone.py' was not found"):
        suite.check_plugins(gone)


def test_flags_override_the_file(tmp_path):
    """A suite file's settings hold unless a flag says otherwise; the name is the file's."""
    path = tmp_path / "mine.toml"
    path.write_text('seq = "512..1024"\nk = [64, "n/8"]\nimpl = "linformer"\n')
    read = suite.load(str(path), {"seq": "2048"})
    assert (read.name, read.seq, read.k) == ("mine", [2048], ["64", "n/8"])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seq = [512", "cannot be read as TOML"),
        ('sek = "512"', "did you mean 'seq'?"),
        ('seq = "x"', "--seq 'x' is not a size"),
    ],
)
def test_broken_suite_files(tmp_path, text, says):
    """A broken suite file is an error that names the file."""
    path = tmp_path / "broken.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match="broken.toml") as caught:
        suite.load(str(path), {})
    assert says in str(caught.value)


def test_unknown_suite():
    """The nearest name is suggested."""
    with pytest.raises(UsageError, match="did you mean 'scaling'"):
        suite.load("scalling", {})


@pytest.mark.parametrize("path", sorted(Path("suites").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_suites_are_valid(path):
    """Every suite in suites/ can be read, expanded, and says what it is for."""
    read = suite.load(str(path), {})
    cases, _ = suite.expand(read, "cpu")
    assert cases
    assert read.description


def test_a_suite_survives_the_run_file():
    """What the header of a run holds reads back as the same suite: resuming relies on it."""
    for name, flags in (
        ("scaling", {"budget": "none", "precision": "1%"}),
        ("paper-table3", {"memory_limit": "8GB"}),
    ):
        read = suite.load(name, flags)
        assert suite.read(read.model_dump(mode="json")) == read


ODD = """
from pydantic import BaseModel
from linbench.tasks import Metric, Task


class Settings(BaseModel):
    spread: int


def task(*metrics, settings=None):
    return Task(metrics, lambda case, context: {}, settings=settings)


less = task(Metric("m"))
same = task(Metric("m"))
more = task(Metric("m", better="more"))
twice = task(Metric("m"), Metric("m"))
time = task(Metric("time", "s", better="more"))
needy = task(Metric("m"), settings=Settings)
"""


@pytest.fixture
def odd(tmp_path):
    """Make suites of the tasks above; they are unplugged afterwards."""
    path = tmp_path / "odd.py"
    path.write_text(ODD)
    yield lambda *names: cases_of(
        impl="sdpa", seq="64", task=[f"{name}={path}:{name}" for name in names]
    )
    tasks._plugged.clear()


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("less", "more"), "metric 'm' is described differently by less and more; rename one"),
        (("twice",), "twice gives metric 'm' twice"),
        (("time",), "metric 'time' is described differently by linbench and time"),
        (("needy",), "--spread is required by task needy"),
    ],
)
def test_tasks_that_do_not_go_together(odd, names, says):
    """Metrics of one name are one metric; what a task needs is named."""
    with pytest.raises(UsageError, match=re.escape(says)):
        odd(*names)


def test_tasks_may_share_a_metric(odd):
    """Where it is the same."""
    assert [case.task for case in odd("less", "same")] == ["less", "same"]


@pytest.mark.parametrize("verb", [sweep, gate])
def test_names_of_a_verb_s_own_flags_are_reserved(verb):
    """Else a task's setting of that name would break its command line."""
    own = set(inspect.signature(verb).parameters)
    assert {name.strip("_") for name in own} <= suite.RESERVED
