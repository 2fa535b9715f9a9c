"""A suite: a named set of cases, from a TOML file, from flags, or from both (flags win). Pure.

Every setting is written in a suite file as on the command line, with `_` for `-`; lists may be TOML
lists too. Lists are axes, the grid is their product. Settings of a task stand among the others.
"""

import itertools
import tomllib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from linbench import attention, ranges, tasks
from linbench.attention.config import ORDERS, PROJECTIONS, SHARINGS
from linbench.errors import LinbenchError, UsageError, did_you_mean
from linbench.plugins import source_of
from linbench.run.case import DEFAULT_TASK, Case, Mode, Scope
from linbench.run.metrics import KNOWN, Metric
from linbench.run.shape import config_of
from linbench.tasks import Task

RESERVED = frozenset((
    "against", "anchor", "assert", "baseline", "dry_run", "force", "grid", "help", "inconclusive",
    "json", "junit", "max", "max_memory", "max_slowdown", "maximum", "metric", "name", "out",
    "results", "resume", "settings", "subject", "suite", "summary",
))  # fmt: skip
"""Parameters of the verbs that measure, which no setting of a task may be called."""

COUNTS = frozenset(("exponent", "operations", "weights"))
"""What the gate judges besides the metrics of tasks."""

GRID = "Grid"
HOW = "How to measure"


def _text(value: Any) -> str:
    """Write a TOML value as the command line would have it: lists joined by commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _words(text: str, flag: str) -> list[str]:
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"{flag} '{text}' is empty or has an empty item, expected names")
    return list(dict.fromkeys(words))


def _one_of(*known: str) -> "Reader":
    def read(text: str, flag: str) -> list[str]:
        words = _words(text, flag)
        for word in words:
            if word not in known:
                raise UsageError(
                    f"{flag} '{word}' is unknown, expected {', '.join(known)}"
                    f"{did_you_mean(word, known)}"
                )
        return words

    return read


def _limit(text: str, flag: str) -> float:
    limit = ranges.seconds(text, flag)
    if limit is None:
        raise UsageError(f"{flag} 'none' would let a case hang for ever; give one, say 10m")
    return limit


Reader = Callable[[str, str], Any]
READERS: dict[str, Reader] = {
    **dict.fromkeys(("impl", "task"), _words),
    **dict.fromkeys(("seq", "d_model", "heads", "layers", "batch", "tokens"), ranges.integers),
    "k": lambda text, _: ranges.k_values(text),
    "sharing": _one_of(*SHARINGS),
    "projection": _one_of(*PROJECTIONS),
    "order": _one_of(*ORDERS),
    "scope": _one_of("layer", "core", "encoder"),
    "mode": _one_of("forward", "forward_backward"),
    "dtype": _one_of("float32", "float64", "float16", "bfloat16"),
    "device": lambda text, flag: _one_of("auto", "cpu", "cuda")(text, flag)[0],
    "budget": ranges.seconds,
    "case_timeout": _limit,
    "precision": ranges.fraction,
}
"""How the settings that are not plain numbers or switches are read: `(text, flag) -> value`."""


def _flag(default: Any, text: str, shown: str | None = None, panel: str = GRID, **more: Any) -> Any:
    """Describe a field that is a flag; `shown` is its default as the help has it."""
    if shown is None and default is not None and not isinstance(default, bool):
        shown = _text(default)
    extra = {"panel": panel, "shown": shown, **more}
    return Field(default, description=text, json_schema_extra=extra)


class Suite(BaseModel):
    """What to measure and how long; `expand` makes it into cases.

    Every field with a description is a flag of each verb that measures (`linbench.cli.grid`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "sweep"
    description: str = ""
    impl: list[str] = _flag(
        ["vanilla", "sdpa", "linformer"],
        "Implementations; your own as NAME=module:builder or NAME=file.py:builder, "
        "with @k at the end if it takes k.",
        repeats=True,
    )
    seq: list[int] = _flag(
        [512 * 2**i for i in range(8)],
        "Sequence lengths n: 512..65536 doubles, A..B*4, A..B+1024, commas.",
        "512..65536",
    )
    k: list[str] = _flag(
        ["128", "256"], "Projected dimensions: 128,256, n/4, per layer 256/128/64 or 256:64."
    )
    sharing: list[str] = _flag(["headwise"], "none, headwise, kv, layerwise.")
    projection: list[str] = _flag(["linear"], "linear, jl, mean, max, conv.")
    order: list[str] = _flag(["auto"], "auto, project_first, compress_first.")
    scope: list[Scope] = _flag(
        ["layer"], "layer (with its four projections), core (attention alone), encoder."
    )
    mode: list[Mode] = _flag(["forward"], "forward, forward_backward.")
    d_model: list[int] = _flag([256], "Model width.")
    heads: list[int] = _flag([4], "Attention heads h.")
    layers: list[int] = _flag([1], "Layers, at scope encoder.")
    batch: list[int] | None = _flag(None, "Sequences in a batch.", "1")
    tokens: list[int] | None = _flag(None, "Tokens in a batch: batch = tokens / n.")
    dtype: list[str] = _flag(["float32"], "float32, float64, float16, bfloat16.")
    task: list[str] = _flag(
        [DEFAULT_TASK],
        f"What is measured: {', '.join(tasks.names())}; your own as NAME=file.py:attribute.",
        repeats=True,
    )
    settings: dict[str, Any] = {}
    """Settings of the tasks, as they were given."""
    device: str = _flag("auto", "auto, cpu, cuda.", panel=HOW)
    compile: bool = _flag(False, "Use torch.compile.", panel=HOW, flags="--compile")
    rounds: int = _flag(5, "Maximum rounds per case, each a fresh process.", panel=HOW)
    budget: float | None = _flag(300.0, "Time for the whole sweep, or none.", "5m", HOW)
    case_timeout: float = _flag(60.0, "Limit of one round of one case.", "60s", HOW)
    precision: float = _flag(
        0.03, "From the 6th round on, end a case whose 95 % interval is this tight.", "3%", HOW
    )
    keep_pages: bool = _flag(
        True,
        "Whether the C library keeps freed pages while timing.",
        "keep-pages",
        HOW,
        flags="--keep-pages/--return-pages",
    )
    seed: int = _flag(0, "Of weights, inputs and order.", panel=HOW)

    @field_validator(*READERS, mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        name = str(info.field_name)
        flag = "--" + name.replace("_", "-")
        return None if value is None else READERS[name](_text(value), flag)

    @cached_property
    def plugins(self) -> list[str]:
        """The plug-ins among `impl`, as `NAME=module:builder`."""
        return [entry.partition("@")[0] for entry in self.impl if "=" in entry]

    @cached_property
    def task_plugins(self) -> list[str]:
        """The plug-ins among `task`, as `NAME=file.py:attribute`."""
        return [entry for entry in self.task if "=" in entry]

    @property
    def specs(self) -> list[tuple[str, str]]:
        """All plug-ins, each with the flag that names it."""
        tasks = [("--task", spec) for spec in self.task_plugins]
        return [("--impl", spec) for spec in self.plugins] + tasks

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks by name."""
        named = (tasks.plug_in(entry) if "=" in entry else entry for entry in self.task)
        return {name: tasks.find(name) for name in named}

    @property
    def metrics(self) -> list[Metric]:
        """What the tasks measure."""
        return list({m.name: m for task in self.tasks.values() for m in task.metrics}.values())

    def settings_of(self, name: str) -> BaseModel | None:
        """Return the settings of one of the tasks, validated."""
        model = self.tasks[name].settings
        if model is None:
            return None
        own = {key: self.settings[key] for key in keys_of(model) if key in self.settings}
        try:
            return model.model_validate(own)
        except ValidationError as error:
            raise UsageError(_first_error(error, name)) from None


def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """Return what the settings of a task are called in suites, by the names of their fields."""
    return {field.alias or name: name for name, field in model.model_fields.items()}


def read(settings: Mapping[str, Any]) -> Suite:
    """Validate settings, from a TOML file, from flags, or from the header of a run.

    Raises:
        UsageError: an unknown setting (the nearest is named) or a value of the wrong kind.
    """
    own = {name: value for name, value in settings.items() if name in Suite.model_fields}
    rest = {name: v for name, v in settings.items() if name not in own and v is not None}
    try:
        suite = Suite.model_validate({**own, "settings": {**own.get("settings", {}), **rest}})
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None
    _check(suite)
    return suite


def _first_error(error: ValidationError, task: str = "") -> str:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, LinbenchError):
        return str(cause)
    said = first["msg"][:1].lower() + first["msg"][1:]
    if not first["loc"]:  # of the settings as a whole
        return f"settings of --task {task} are not valid: {said}"
    flag = "--" + str(first["loc"][0]).replace("_", "-")
    if first["type"] == "missing":
        return f"{flag} is required by task {task}; give it"
    return f"{flag} '{first['input']}' is not valid: {said}"


def _check(suite: Suite) -> None:
    if suite.rounds < 1:
        raise UsageError(f"--rounds {suite.rounds} measures nothing, expected at least 1")
    if suite.batch and suite.tokens:
        raise UsageError("--batch and --tokens exclude each other: batch = tokens / n; drop one")
    for d_model, heads in itertools.product(suite.d_model, suite.heads):
        if d_model % heads:
            raise UsageError(
                f"--heads {heads} does not divide --d-model {d_model}; choose heads that do, "
                f"for instance {next(h for h in range(heads, 0, -1) if d_model % h == 0)}"
            )
    if max(suite.layers) > 1 and set(suite.scope) != {"encoder"}:
        raise UsageError(
            f"--layers {max(suite.layers)} needs a stack of layers, but --scope is "
            f"{','.join(suite.scope)}; add --scope encoder"
        )
    if not 0 <= suite.seed < 2**63:
        raise UsageError(f"--seed {suite.seed} is out of range, expected 0 to 2^63 - 1")
    names = [_axes_of(entry)[0] for entry in suite.impl]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--impl names '{name}' twice; give each plug-in a name of its own")
    _check_metrics(suite)
    _check_settings(suite)


def _check_metrics(suite: Suite) -> None:
    """Refuse metrics that share a name and are not the same."""
    seen = {name: ("linbench", metric) for name, metric in KNOWN.items()}
    for name, task in suite.tasks.items():
        own = [metric.name for metric in task.metrics]
        if taken := COUNTS & set(own):
            raise UsageError(
                f"--task: {name} gives a metric '{min(taken)}', which reports use for what they "
                "count themselves; rename it"
            )
        for metric in task.metrics:
            if own.count(metric.name) > 1:
                raise UsageError(f"--task: {name} gives metric '{metric.name}' twice; rename one")
            other, same = seen.setdefault(metric.name, (name, metric))
            if metric != same:
                raise UsageError(
                    f"--task: metric '{metric.name}' is described differently by {other} and "
                    f"{name}; rename one"
                )


def _check_settings(suite: Suite) -> None:
    """Refuse settings that no task of the suite has."""
    asked: dict[str, str] = {}
    for name, task in suite.tasks.items():
        if task.settings:
            _check_names(name, keys_of(task.settings))
            suite.settings_of(name)
            asked |= keys_of(task.settings)
    for key in (key for key in suite.settings if key not in asked):
        for other in tasks.names():
            model = tasks.find(other).settings if other not in suite.tasks else None
            if model and key in keys_of(model):
                raise UsageError(
                    f"--{key.replace('_', '-')} {suite.settings[key]} is for task {other}, but "
                    f"--task is {','.join(suite.task)}; add --task {other}"
                )
        known = [*Suite.model_fields, *asked]
        raise UsageError(
            f"setting '{key}' is unknown, expected one of {', '.join(known)}"
            f"{did_you_mean(key, known)}"
        )


def _check_names(task: str, keys: Mapping[str, str]) -> None:
    """Refuse settings of a task that could not be flags: others have their names."""
    for key, field in keys.items():
        if key in RESERVED or key in Suite.model_fields or field in Case.model_fields:
            raise UsageError(
                f"--task '{task}' has a setting '{key}', which linbench itself has; "
                f"call it {task}_{key}, say"
            )


def check_plugins(suite: Suite) -> None:
    """Refuse (UsageError) plug-ins whose file or module is not there, without running them."""
    for flag, spec in suite.specs:
        name, _, target = spec.partition("=")
        if source_of(target) is None:
            raise UsageError(
                f"{flag} '{name}': '{target.rpartition(':')[0]}' was not found, expected a .py "
                "file or an importable module; correct the path, or install it"
            )


def load(suite: str, overrides: Mapping[str, Any]) -> Suite:
    """Read a suite file by path or name, with flags that override its settings.

    Raises:
        UsageError: no such suite, not TOML, or a setting that is not valid.
    """
    path = _find(suite)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise UsageError(
            f"suite '{path}' cannot be read as TOML: {error}; compare 'linbench list suites'"
        ) from None
    try:
        read(settings)
    except UsageError as error:
        raise UsageError(f"suite '{path}': {error}") from None
    return read({"name": path.stem, **settings, **overrides})


def tasks_in(suite: str) -> list[str]:
    """Return the plug-ins among the tasks of a suite file; none where there is no such file."""
    try:
        asked = tomllib.loads(_find(suite).read_text(encoding="utf-8")).get("task", "")
    except (ValueError, OSError):
        return []
    return [spec.strip() for spec in _text(asked).split(",") if "=" in spec]


def _find(suite: str) -> Path:
    places = [Path(suite)] if suite.endswith(".toml") else []
    places += [folder / f"{suite}.toml" for folder in folders()]
    for path in places:
        if path.is_file():
            return path
    names = [path.stem for path in files()]
    if suite.endswith(".toml"):
        raise UsageError(
            f"no file '{suite}', expected a suite; correct the path, or name one of "
            f"{', '.join(names)}"
        )
    raise UsageError(
        f"no suite '{suite}', expected a .toml file or one of {', '.join(names)}"
        f"{did_you_mean(suite, names)}"
    )


def folders() -> list[Path]:
    """Return where suites are looked up: ./suites first, then those shipped with the package."""
    package = Path(__file__).parent.parent
    # a wheel carries them inside the package, a checkout beside it
    shipped = package / "suites" if (package / "suites").is_dir() else package.parent / "suites"
    return [Path("suites"), shipped]


def files() -> list[Path]:
    """Return the suite files that can be named, each name once."""
    found = (path for folder in folders() for path in sorted(folder.glob("*.toml")))
    return list({path.stem: path for path in reversed(list(found))}.values())[::-1]


def _axes_of(entry: str) -> tuple[str, tuple[str, ...]]:
    """Split an `impl` entry, `NAME[=spec][@axis+axis]`, into its name and the axes it takes."""
    if "=" not in entry and "@" not in entry:
        known = attention.names()
        if entry not in known:
            raise UsageError(
                f"--impl '{entry}' is unknown, expected {', '.join(known)} or NAME=module:builder"
                f"{did_you_mean(entry, known)}"
            )
        return entry, attention.implementation(entry).axes
    name, _, target = entry.partition("@")[0].partition("=")
    if name in attention.BUILTIN:
        raise UsageError(
            f"--impl '{entry}': '{name}' is built in and takes no builder and no '@'; "
            f"plug yours in as my_{name}={target or 'module:builder'}"
        )
    try:
        name, _, axes = attention.parse_spec(entry)
    except UsageError as error:
        raise UsageError(f"--impl: {error}") from None
    return name, axes or ()


def expand(suite: Suite, device: str) -> tuple[list[Case], dict[str, str]]:
    """Return the cases of a suite, each once, and what is left out of its grid with the reason.

    Args:
        suite: What to measure.
        device: What `auto` came to: `cpu` or `cuda`.

    Raises:
        UsageError: an implementation has no possible combination at all; the text says why.
    """
    cases: dict[Case, None] = {}
    left_out: dict[str, str] = {}
    own_batch: set[str] = set()
    settings = {name: suite.settings_of(name) for name in suite.tasks}
    for entry in suite.impl:
        name = None
        for point in _grid(suite, entry, device):
            name = point.impl
            task = suite.tasks[point.task]
            for case in _expanded(task, point, settings[point.task]):
                if (case.batch, case.tokens) == (point.batch, point.tokens):
                    own_batch.add(case.task)
                if reason := _impossible(case):
                    left_out[case.title] = reason
                else:
                    cases[case] = None
        if not any(case.impl == name for case in cases):
            reasons = list(dict.fromkeys(left_out.values()))
            more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
            raise UsageError(f"no combination of '{name}' is possible: {reasons[-1]}{more}")
    if (suite.batch or suite.tokens) and not own_batch:
        flag = "--batch" if suite.batch else "--tokens"
        raise UsageError(
            f"{flag} means nothing to --task {','.join(suite.task)}, which finds the batch; drop it"
        )
    return list(cases), left_out


def _expanded(task: Task, point: Case, settings: BaseModel | None) -> list[Case]:
    try:
        return list(task.expand(point, settings))
    except LinbenchError:
        raise
    except Exception as error:
        raise UsageError(
            f"task {point.task}: its expand raised {type(error).__name__}: {error}; expected cases"
        ) from error


def _grid(suite: Suite, entry: str, device: str) -> Iterator[Case]:
    """Yield every combination of one implementation, possible or not."""
    name, takes = _axes_of(entry)
    axes = (
        suite.tasks, suite.scope, suite.mode, suite.dtype, suite.d_model, suite.heads, suite.layers,
    )  # fmt: skip
    own: list[list[Any]] = [getattr(suite, x) if x in takes else [None] for x in attention.AXES]
    for task, scope, mode, dtype, d_model, heads, layers in itertools.product(*axes):
        shared = Case(
            task=task, impl=name, seq=1, scope=scope, mode=mode, d_model=d_model, heads=heads,
            layers=layers, dtype=dtype, device=device, compile=suite.compile, seed=suite.seed,
        )  # fmt: skip
        for n in suite.seq:
            batches: list[tuple[int, int | None]] = [(batch, None) for batch in suite.batch or (1,)]
            if suite.tokens:
                batches = [(tokens // n, tokens) for tokens in suite.tokens]
            for rule, sharing, projection, order in itertools.product(*own):
                k, k_rule = (None, None) if rule is None else ranges.resolve_k(rule, n, layers)
                for batch, tokens in batches:
                    # every value is checked above; copying is cheap where grids are large
                    yield shared.model_copy(
                        update={
                            "seq": n, "k": k, "k_rule": k_rule, "sharing": sharing,
                            "projection": projection, "order": order, "batch": batch,
                            "tokens": tokens,
                        }
                    )  # fmt: skip


def _impossible(case: Case) -> str | None:
    """Say why a case cannot be built, or None."""
    if not case.batch:
        return f"--tokens {case.tokens} is less than one sequence of n={case.seq}; raise --tokens"
    if case.tokens and case.tokens % (case.seq or 1):
        return f"--tokens {case.tokens} is not a multiple of n={case.seq}; choose one that is"
    try:
        config_of(case)
    except UsageError as error:
        return str(error)
    return None
