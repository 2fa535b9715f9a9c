"""The flags that say what to measure and how, derived once from the suite's fields."""

import contextlib
import functools
import inspect
import itertools
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linbench.errors import LinbenchError, UsageError

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from linbench.plan.suite import Suite

Grid = Mapping[str, Any]
"""The settings among the flags that were given, by name."""

NO_GRID: Grid = {}
Command = Callable[..., None]

_DEFAULTS = "grid_defaults"


def takes_grid(**defaults: str) -> Callable[[Command], Command]:
    """Say that a command gets, as its parameter `grid`, every flag that makes a grid.

    Args:
        defaults: What the help says of defaults that differ from the suite's.
    """

    def mark(command: Command) -> Command:
        setattr(command, _DEFAULTS, defaults)
        return command

    return mark


def with_flags(command: Command, *, made: bool) -> Command:
    """Return a command with its flags in place of its parameter `grid`, if it has that.

    Args:
        command: Any command.
        made: Whether to make the flags; without them it can be listed, but not run.
    """
    defaults: Mapping[str, str] | None = getattr(command, _DEFAULTS, None)
    if defaults is None:
        return command
    fields = _fields() if made else {}
    flags = {name: _flag(name, field, defaults) for name, field in fields.items()}
    signature = inspect.signature(command)
    own = list(signature.parameters.values())
    at = list(signature.parameters).index("grid")

    @functools.wraps(command)
    def flagged(**given: Any) -> None:
        asked = {name: given.pop(name) for name in flags}
        grid = {name: value for name, value in asked.items() if value not in (None, [])}
        command(**given, grid=grid)

    parameters = [*own[:at], *flags.values(), *own[at + 1 :]]
    flagged.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
    flagged.__annotations__ = {p.name: p.annotation for p in parameters}
    return flagged


def _fields() -> "dict[str, FieldInfo]":
    """Return the fields that are flags: the suite's, and those of tasks' settings."""
    from linbench import tasks
    from linbench.plan import suite as suites
    from linbench.plan.suite import Suite

    found = {name: field for name, field in Suite.model_fields.items() if field.description}
    for name in [*tasks.names(), *_plugged_in(sys.argv)]:
        try:
            settings = tasks.find(name).settings
        except LinbenchError:
            continue  # told when it is asked for
        if settings:
            for key, field in suites.keys_of(settings).items():
                if key not in suites.RESERVED:  # told when the suite is checked
                    found.setdefault(key, settings.model_fields[field])
    return found


def _plugged_in(argv: list[str]) -> list[str]:
    """Plug in the tasks that a command line names, so that their settings are flags of it.

    Tasks that a suite among its words names are too; what is wrong with those is told later.
    """
    from linbench import tasks
    from linbench.plan.suite import tasks_in

    given = [value for flag, value in itertools.pairwise(argv) if flag == "--task"]
    given += [word.removeprefix("--task=") for word in argv if word.startswith("--task=")]
    found = [tasks.plug_in(spec) for joined in given for spec in joined.split(",") if "=" in spec]
    words = (word for word in argv[1:] if not word.startswith("-"))
    for spec in itertools.chain.from_iterable(map(tasks_in, words)):
        with contextlib.suppress(LinbenchError):
            found.append(tasks.plug_in(spec))
    return found


def _flag(name: str, field: "FieldInfo", defaults: Mapping[str, str]) -> inspect.Parameter:
    """Make the parameter of a field; left out it is None, so that suites keep what they say."""
    extra = field.json_schema_extra
    more = extra if isinstance(extra, dict) else {}
    default = None if field.is_required() else field.default
    shown = defaults.get(name) or more.get("shown", None if default is None else str(default))
    text = (field.description or "") + (f" [default: {shown}]" if shown else "")
    kind: Any = str
    if more.get("repeats"):
        kind = list[str]
    elif field.annotation is bool:
        kind = bool
    names = [str(more["flags"])] if "flags" in more else []
    option = typer.Option(*names, help=text, rich_help_panel=str(more.get("panel", "Grid")))
    kind = Annotated[kind | None, option]
    where = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, where, default=None, annotation=kind)


def choose(suite: str | None, grid: Grid) -> "Suite":
    """Return the suite of that name with the flags in its place, or the flags alone.

    Without either it is the suite 'scaling'.

    Raises:
        UsageError: no such suite, or a setting that is not valid.
    """
    from linbench.plan import suite as suites

    if suite is None and not any(_spans_grid(name) for name in grid):
        suite = "scaling"
    return suites.read(grid) if suite is None else suites.load(suite, grid)


def _spans_grid(name: str) -> bool:
    from linbench.plan.suite import GRID, Suite

    field = Suite.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    return not isinstance(extra, dict) or extra.get("panel") == GRID


def device_of(suite: "Suite") -> str:
    """Return what a suite's device comes to on this machine: `cpu` or `cuda`.

    Raises:
        UsageError: CUDA is asked for and not there.
    """
    from linbench.probes import machine

    if suite.device == "cpu":
        return "cpu"
    reason = machine.no_cuda_reason()
    if suite.device == "cuda" and reason:
        raise UsageError(f"--device cuda is not there: {reason}; use --device cpu")
    return "cpu" if reason else "cuda"
