"""What studies call things: series among others, metrics in sentences, panels and their files."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from linbench.run.case import DEFAULT_TASK, Case
from linbench.run.metrics import ENERGY, MEMORY, TIME, Metric
from linbench.run.runs import Panel

VARIANTS = ("sharing", "projection", "order")
"""The fields in which implementations of one k can differ."""

EACH_N = "sequence length n"
"""The label of an axis along n."""


@dataclass(frozen=True)
class Wording:
    """How sentences and titles speak of a metric: `took` less `time`, `time of one call`.

    `gain` is what there is to win over a baseline: `speed-up`.
    """

    verb: str
    noun: str
    of_a_call: str
    gain: str

    @property
    def title(self) -> str:
        """The noun as a title: `Peak memory`."""
        return capital(self.noun)


_WORDINGS = {
    TIME.name: Wording("took", "time", "time of one call", "speed-up"),
    MEMORY.name: Wording("needed", "peak memory", "peak memory of one call", "memory saved"),
    ENERGY.name: Wording("used", "energy", "energy of one call", "energy saved"),
}


def wording(metric: Metric) -> Wording:
    """Return how to speak of a metric; of one that is not known, by its name."""
    noun = metric.name.replace("_", " ")
    return _WORDINGS.get(metric.name) or Wording("had", noun, noun, f"gain in {noun}")


def capital(text: str) -> str:
    """Write a text with a capital first letter."""
    return text[:1].upper() + text[1:]


def label_of(key: Case, among: Iterable[Case]) -> str:
    """Name a configuration by what tells it from the others, always with its implementation and k.

    The others are the keys of all series that stand beside it, its own too.
    """
    same = [other for other in among if other.impl == key.impl]
    found = [str(key.impl)]
    if key.k_text is not None:
        found.append(f"k={key.k_text}")
    for name in VARIANTS:
        value = getattr(key, name)
        if value is not None and len({getattr(other, name) for other in same}) > 1:
            found.append(value)
    return " ".join(found)


def panel_title(panel: Panel, among: Iterable[Panel]) -> str:
    """Return the problem in words, with the run where the panels are of several."""
    several = len({other.run_id for other in among}) > 1
    return f"{panel.label} ({panel.run_id})" if several else panel.label


_LETTERS = {
    "d_model": "d",
    "heads": "h",
    "layers": "l",
    "batch": "b",
    "tokens": "t",
    "compile": "c",
}
_FIELDS = (
    "run_id", "scope", "task", "mode", "d_model", "heads", "layers", "batch", "tokens", "dtype",
    "device", "compile",
)  # fmt: skip


def panel_stems(panels: Iterable[Panel]) -> dict[Panel, str]:
    """Give each panel a short start of file names, only as long as needed to be unique: `core-`."""
    parts = {panel: _parts(panel) for panel in panels}
    differing = [name for name in _FIELDS if len({part[name] for part in parts.values()}) > 1]
    if "scope" not in differing:
        differing.insert(0, "scope")
    stems: dict[Panel, str] = {}
    for panel, part in parts.items():
        said = "-".join(part[name] for name in differing if part[name])
        stem = re.sub(r"[^A-Za-z0-9.]+", "-", said)
        while f"{stem}-" in stems.values():  # runs `a b` and `a-b`
            stem += "-2"
        stems[panel] = f"{stem}-"
    return stems


def _parts(panel: Panel) -> dict[str, str]:
    fields = {**dict(panel.problem), "run_id": panel.run_id}
    if panel.problem.task == DEFAULT_TASK:
        fields["task"] = ""
    return {name: f"{_LETTERS.get(name, '')}{fields[name]}" for name in _FIELDS}
