"""The flags that say what to measure and how, derived once from the suite's fields."""

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from linbench import tasks
from linbench.errors import LinbenchError, UsageError
from linbench.plan import suite as suites
from linbench.plan.suite import GRID, Suite

Grid = Mapping[str, Any]
"""The settings among the flags that were given, by name."""

NO_GRID: Grid = {}
PARAMETER = "grid"


def with_grid(
    command: Callable[..., None], *, defaults: Mapping[str, str] | None = None
) -> Callable[..., None]:
    """Give a command every flag that makes a grid, in place of its parameter `grid`.

    Args:
        command: What gets the settings that were given, as `grid`.
        defaults: What the help says of defaults that differ from the suite's.
    """
    flags = {name: _flag(name, field, defaults or {}) for name, field in _fields().items()}
    signature = inspect.signature(command)
    own = list(signature.parameters.values())
    at = [parameter.name for parameter in own].index(PARAMETER)

    @functools.wraps(command)
    def with_flags(**given: Any) -> None:
        asked = {name: given.pop(name) for name in flags}
        grid = {name: value for name, value in asked.items() if value not in (None, [])}
        command(**given, **{PARAMETER: grid})

    parameters = [*own[:at], *flags.values(), *own[at + 1 :]]
    with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
    with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_flags


def _fields() -> dict[str, FieldInfo]:
    """Return the fields that are flags: the suite's, and those of tasks' settings."""
    found = {name: field for name, field in Suite.model_fields.items() if field.description}
    for name in [*tasks.names(), *_plugged_in(sys.argv)]:
        try:
            settings = tasks.find(name).settings
        except LinbenchError:
            continue  # told when it is asked for
        for key, field in suites.keys_of(settings).items() if settings else ():
            found.setdefault(key, _field_of(settings, field))
    return found


def _field_of(settings: type[BaseModel] | None, name: str) -> FieldInfo:
    assert settings
    return settings.model_fields[name]


def _plugged_in(argv: list[str]) -> list[str]:
    """Plug in the tasks that a command line names, so that their settings are flags of it."""
    names = []
    for flag, value in zip(argv, [*argv[1:], ""], strict=True):
        joined = value if flag == "--task" else flag.removeprefix("--task=")
        for spec in joined.split(",") if flag.startswith("--task") else ():
            try:
                names.append(tasks.plug_in(spec))
            except LinbenchError:
                continue  # told when the suite is read
    return names


def _flag(name: str, field: FieldInfo, defaults: Mapping[str, str]) -> inspect.Parameter:
    """Make the parameter of a field; left out it is None, so that suites keep what they say."""
    extra = field.json_schema_extra
    more = extra if isinstance(extra, dict) else {}
    default = None if field.is_required() else field.default
    shown = defaults.get(name) or more.get("shown", None if default is None else str(default))
    text = (field.description or "") + (f" [default: {shown}]" if shown else "")
    kind: Any = str
    if more.get("repeats"):
        kind = list[str]
    elif field.annotation in (bool, int):
        kind = field.annotation
    names = [str(more["flags"])] if "flags" in more else []
    option = typer.Option(*names, help=text, rich_help_panel=str(more.get("panel", GRID)))
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None,
                             annotation=annotation)  # fmt: skip


def choose(suite: str | None, grid: Grid) -> Suite:
    """Return the suite of that name with the flags in its place, or the flags alone.

    Without either it is the suite 'scaling'.

    Raises:
        UsageError: no such suite, or a setting that is not valid.
    """
    if suite is None and not any(_spans_grid(name) for name in grid):
        suite = "scaling"
    return suites.read(grid) if suite is None else suites.load(suite, grid)


def _spans_grid(name: str) -> bool:
    field = Suite.model_fields.get(name)
    extra = field.json_schema_extra if field else None
    return not isinstance(extra, dict) or extra.get("panel") == GRID


def device_of(suite: Suite) -> str:
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
