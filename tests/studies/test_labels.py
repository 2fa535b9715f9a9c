"""Names: long enough to tell things apart, and no longer."""

import synthetic

from linbench.run.metrics import MEMORY, Metric
from linbench.run.runs import Panel
from linbench.studies.labels import label_of, panel_stems, panel_title, wording

LIN = synthetic.PLUGIN.model_copy(
    update={"impl": "linformer", "k": 128, "sharing": "kv", "projection": "linear"}
)


def _panel(run_id="run", **problem):
    key = synthetic.PLUGIN.model_copy(update=problem)
    return Panel(run_id, "machine-a", key.problem)


def test_a_series_is_named_by_what_tells_it_from_the_others():
    """What all of an implementation share is left out, but for k."""
    other = LIN.model_copy(update={"sharing": "headwise"})
    rule = LIN.model_copy(update={"k": None, "k_rule": "n/4"})
    assert label_of(LIN, [LIN, synthetic.PLUGIN]) == "linformer k=128"
    assert label_of(LIN, [LIN, other]) == "linformer k=128 kv"
    assert label_of(rule, [LIN, rule]) == "linformer k=n/4"
    assert label_of(synthetic.PLUGIN, [LIN, synthetic.PLUGIN]) == "plugin"


def test_files_of_panels_start_with_as_little_as_tells_them_apart():
    """The scope alone where there is one panel; else what differs, in a fixed order."""
    core, layer = _panel(), _panel(scope="layer")
    assert list(panel_stems([core]).values()) == ["core-"]
    assert list(panel_stems([core, layer]).values()) == ["core-", "layer-"]
    two = [_panel("a b"), _panel("a-b")]
    assert list(panel_stems(two).values()) == ["core-a-b-", "core-a-b-2-"]
    shapes = [_panel(d_model=256, tokens=None), _panel(d_model=512, tokens=4096, batch=None)]
    assert list(panel_stems(shapes).values()) == ["core-d256-b1-tNone-", "core-d512-bNone-t4096-"]
    tasks = [core, _panel(task="learn"), _panel(task="learn", settings=(("steps", 9),))]
    assert list(panel_stems(tasks).values()) == ["core-", "core-learn-", "core-learn-2-"]


def test_runs_are_named_where_there_are_several():
    """The problem in words is enough within a run."""
    first, second = _panel("first"), _panel("second")
    assert panel_title(first, [first]) == first.label
    assert panel_title(first, [first, second]) == f"{first.label} (first)"


def test_problems_are_named_in_words():
    """Tasks and settings as a reader would write them, bytes with their prefix."""
    panel = _panel(task="max_batch", settings=(("memory_limit_bytes", 2**34), ("train_steps", 9)))
    assert panel.label.startswith("max batch, core, forward, ")
    assert panel.label.endswith(", cpu, memory limit 16.0 GiB, train steps 9")


def test_metrics_that_are_not_known_are_called_by_their_names():
    """Words for time, memory and energy are chosen; others are what a task calls them."""
    assert (wording(MEMORY).title, wording(MEMORY).gain) == ("Peak memory", "memory saved")
    said = wording(Metric("top_accuracy"))
    assert (said.verb, said.noun, said.gain) == ("had", "top accuracy", "gain in top accuracy")
