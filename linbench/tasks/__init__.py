"""Tasks: what can be measured of a case. One task, one file of this folder, with its name.

Others' tasks join by `--task NAME=path/to/file.py:attribute` (or `NAME=module:attribute`) and by
entry points of the group `linbench.tasks`. Nothing but a task's `run` imports torch.
"""

import importlib.metadata
import math
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from linbench.errors import UsageError, did_you_mean
from linbench.plugins import attribute_of, split_spec
from linbench.run.case import Case
from linbench.run.metrics import ENERGY, MEMORY, TIME, Measurement, Metric
from linbench.run.record import Status

__all__ = [
    "ENERGY", "MEMORY", "TIME", "Context", "Known", "Measurement", "Metric", "Observed",
    "Outcome", "Prediction", "Resources", "Task", "find", "names", "plug_in",
]  # fmt: skip

GROUP = "linbench.tasks"
SURE_ROUNDS = 3
"""Rounds that a task whose rounds scatter needs: fewer give no interval."""


@dataclass(frozen=True)
class Context:
    """What a task knows of the visit, beside its case; it runs in a fresh process.

    Attributes:
        round: Which visit to the case this is, from 0: draw anew with it where rounds should not
            repeat each other.
        seed: Of the case; with `round` it makes a visit repeatable.
        rank: Of this process among those that measure together; 0 where there is one.
        send: Tells the process outside what is going on, which a reason names if it hangs or dies:
            `send({"phase": "training"})`.
        scratch: A folder of its own, removed afterwards.
        settings: The task's settings, those of the case, validated; None if it has none.
        options: How to measure, the same for all tasks: `keep_pages`.
    """

    round: int = 0
    seed: int = 0
    rank: int = 0
    send: Callable[[dict[str, Any]], None] = lambda _: None
    scratch: Path = Path()
    settings: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What one round of a case came to, where a mapping of metrics does not say it all.

    Attributes:
        metrics: By name: a number, or a `Measurement` with samples, a source, or a reason.
        status: As in a record; exceptions need none, they become `error` or `oom`.
        reason: Why the status is not ok.
        detail: What else was found, as JSON.
        warnings: What makes it suspect.
    """

    metrics: Mapping[str, "float | Measurement"] = field(default_factory=dict)
    status: Status = "ok"
    reason: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    warnings: Iterable[str] = ()


@dataclass(frozen=True)
class Resources:
    """What a visit must have: devices by name, and how many processes measure together."""

    device: str = "cpu"
    ranks: int = 1


@dataclass(frozen=True)
class Prediction:
    """What a visit of a case will take.

    Attributes:
        round_s: The whole visit in seconds: process, inputs, checks, samples.
        memory_bytes: The most it needs; None where nothing is known.
        call_s: One call of what is measured; None where nothing is known.
        grounds: `measured` (this very case), `calibrated` (others of its kind), `model` (counts and
            a cautious rate), `counted` (nothing is run), `unknown`.
        reach: Work of this case over that of the largest case it was calibrated on.
    """

    round_s: float
    memory_bytes: float | None = None
    call_s: float | None = None
    grounds: str = "unknown"
    reach: float = 1.0


@dataclass(frozen=True)
class Observed:
    """What a visit of a case took.

    Attributes:
        case: The case.
        round_s: The whole visit in seconds.
        call_s: One call of what was measured; None where that is not known.
        memory_bytes: The most it needed; None where that is not known.
    """

    case: Case
    round_s: float
    call_s: float | None = None
    memory_bytes: float | None = None


@dataclass(frozen=True)
class Known:
    """What a prediction may rest on.

    Attributes:
        alike: What cases took that differ in n, k, batch and sharing only: the smallest and the
            nearest ones.
        flops_per_s: What this machine reaches in a matrix product; None: take a cautious rate.
    """

    alike: Sequence[Observed] = ()
    flops_per_s: float | None = None


def _with_settings(case: Case, settings: BaseModel | None) -> Iterable[Case]:
    if settings is None:
        return (case,)
    own = settings.model_dump(mode="json")
    for name, value in own.items():
        finite = not isinstance(value, float) or math.isfinite(value)
        if not finite or not isinstance(value, bool | int | float | str | None):
            raise UsageError(
                f"task {case.task}: its setting '{name}' is {value!r}, expected a finite number, "
                "a text, a switch or null; write what is longer as a text"
            )
    return (case.model_copy(update={"settings": tuple(sorted(own.items()))}),)


class Rounds(Protocol):
    """What a task may know of the plan of a sweep."""

    @property
    def rounds(self) -> int:
        """Maximum rounds per case."""
        ...


def _sure(plan: Rounds) -> int:
    return min(SURE_ROUNDS, plan.rounds)


def _device_of(case: Case) -> Resources:
    return Resources(case.device or "cpu")


@dataclass(frozen=True)
class Task:
    """Something that can be measured of a case.

    Attributes:
        metrics: What `run` gives.
        run: Measures one round: `(case, context) -> Outcome`, or a mapping of metrics to numbers.
            Runs in a fresh process; whatever it raises becomes a status.
        settings: A pydantic model of the task's own settings: each field is a flag of every verb
            that measures, and a key of suites.
        expand: `(case, settings) -> cases`: what the task makes of each case of the grid. By
            default the case with the settings in it, so that they are part of its id.
        rounds: `(plan) -> rounds` that the budget must hold for a case to be begun; 1 for a task
            whose answer is exact.
        predict: `(case, known) -> Prediction`. By default an overhead and a slope are learnt from
            what cases of its kind took.
        needs: `(case) -> Resources`.
    """

    metrics: tuple[Metric, ...]
    run: Callable[[Case, Context], "Outcome | Mapping[str, float | Measurement]"]
    settings: type[BaseModel] | None = None
    expand: Callable[[Case, Any], Iterable[Case]] = _with_settings
    rounds: Callable[[Rounds], int] = _sure
    predict: Callable[[Case, Known], Prediction] | None = None
    needs: Callable[[Case], Resources] = _device_of


_plugged: dict[str, Task] = {}


def names() -> list[str]:
    """Return the names of all tasks: of this folder, plugged in, and installed entry points."""
    own = [module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg]
    return list(dict.fromkeys([*own, *_plugged, *_entry_points()]))


def find(name: str) -> Task:
    """Return a task by name.

    Raises:
        UsageError: there is no such name (the nearest is suggested), or its code does not import.
    """
    if name in _plugged:
        return _plugged[name]
    if name not in names():
        raise UsageError(
            f"--task '{name}' is unknown, expected {', '.join(names())} or "
            f"NAME=path/to/file.py:attribute{did_you_mean(name, names())}"
        )
    target = _entry_points().get(name, f"{__name__}.{name}:TASK")
    return _load(name, target)


def plug_in(spec: str) -> str:
    """Load somebody's task, `NAME=path/to/file.py:attribute`, and return its name.

    Raises:
        UsageError: the spec is malformed, the name is taken, or its code does not import.
    """
    name, target = split_spec(spec, "--task", "accuracy=tasks/accuracy.py:TASK")
    if name in (module.name for module in pkgutil.iter_modules(__path__)):
        raise UsageError(f"--task '{name}' is built in; give yours a name of its own: my_{name}")
    _plugged[name] = _load(name, target)
    return name


def _load(name: str, target: str) -> Task:
    found = attribute_of(f"--task '{name}'", target, "Task", lambda x: isinstance(x, Task))
    assert isinstance(found, Task)
    return found


def _entry_points() -> dict[str, str]:
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}
