"""A suite: a named set of cases, from a TOML file, from flags, or from both (flags win). Pure.

Every setting is written in a suite file as on the command line, with `_` for `-`; lists may be TOML
lists too. Lists are axes, the grid is their product.
"""

import importlib.util
import itertools
import sys
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from linbench import attention, ranges
from linbench.attention.config import ORDERS, PROJECTIONS, SHARINGS, AttentionConfig
from linbench.attention.registry import BUILTIN
from linbench.case import Case, KPerLayer, Mode, Scope
from linbench.errors import LinbenchError, UsageError, did_you_mean

DTYPES = ("float32", "float64", "float16", "bfloat16")
DEVICES = ("auto", "cpu", "cuda")
TASKS = ("efficiency", "max_batch")
MEMORY_LIMIT_BYTES = 16 * 2**30
"""What batches of task max_batch must fit if no limit is given: the memory of the paper's GPU."""
PLUGIN_AXES = ("k", "sharing", "projection", "order")


def _text(value: Any) -> str:
    """Write a TOML value as the command line would have it: lists joined by commas."""
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _words(value: Any) -> list[str]:
    words = [word.strip() for word in _text(value).split(",")]
    if not all(words):
        raise UsageError(f"'{_text(value)}' is empty or has an empty item, expected names")
    return list(dict.fromkeys(words))


def _sizes(what: str) -> BeforeValidator:
    return BeforeValidator(lambda value: ranges.integers(_text(value), what))


def _one_of(what: str, known: tuple[str, ...]) -> BeforeValidator:
    def check(value: Any) -> list[str]:
        words = _words(value)
        for word in words:
            if word not in known:
                raise UsageError(
                    f"{what} '{word}' is unknown, expected {', '.join(known)}"
                    f"{did_you_mean(word, known)}"
                )
        return words

    return BeforeValidator(check)


def _duration(what: str) -> BeforeValidator:
    def read(value: Any) -> float | None:
        return None if value is None else ranges.seconds(_text(value), what)

    return BeforeValidator(read)


def _limit(what: str) -> BeforeValidator:
    def read(value: Any) -> float:
        limit = ranges.seconds(_text(value), what)
        if limit is None:
            raise UsageError(f"{what} 'none' would let a case hang for ever; give one, say 10m")
        return limit

    return BeforeValidator(read)


def _size(value: Any) -> int | None:
    return None if value is None else ranges.size(_text(value), "--memory-limit")


class Suite(BaseModel):
    """What to measure and how long; `expand` makes it into cases."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "sweep"
    description: str = ""
    task: Annotated[list[str], _one_of("--task", TASKS)] = ["efficiency"]
    impl: Annotated[list[str], BeforeValidator(_words)] = ["vanilla", "sdpa", "linformer"]
    seq: Annotated[list[int], _sizes("--seq")] = [512 * 2**i for i in range(8)]
    k: Annotated[list[str], BeforeValidator(lambda v: ranges.k_values(_text(v)))] = ["128", "256"]
    sharing: Annotated[list[str], _one_of("--sharing", SHARINGS)] = ["headwise"]
    projection: Annotated[list[str], _one_of("--projection", PROJECTIONS)] = ["linear"]
    order: Annotated[list[str], _one_of("--order", ORDERS)] = ["auto"]
    scope: Annotated[list[Scope], _one_of("--scope", ("layer", "core", "encoder"))] = ["layer"]
    mode: Annotated[list[Mode], _one_of("--mode", ("forward", "forward_backward"))] = ["forward"]
    d_model: Annotated[list[int], _sizes("--d-model")] = [256]
    heads: Annotated[list[int], _sizes("--heads")] = [4]
    layers: Annotated[list[int], _sizes("--layers")] = [1]
    batch: Annotated[list[int], _sizes("--batch")] | None = None
    tokens: Annotated[list[int], _sizes("--tokens")] | None = None
    dtype: Annotated[list[str], _one_of("--dtype", DTYPES)] = ["float32"]
    memory_limit: Annotated[int | None, BeforeValidator(_size)] = None
    device: str = "auto"
    compile: bool = False
    seed: int = 0
    rounds: int = 5
    budget: Annotated[float | None, _duration("--budget")] = 300.0
    case_timeout: Annotated[float, _limit("--case-timeout")] = 60.0
    precision: Annotated[
        float, BeforeValidator(lambda v: ranges.fraction(_text(v), "--precision"))
    ] = 0.03
    keep_pages: bool = True

    @property
    def plugins(self) -> list[str]:
        """The plug-ins among `impl`, as `NAME=module:builder`."""
        return [entry.partition("@")[0] for entry in self.impl if "=" in entry]


def read(settings: Mapping[str, Any]) -> Suite:
    """Validate settings, from a TOML file or from flags.

    Raises:
        UsageError: an unknown setting (the nearest is named) or a value of the wrong kind.
    """
    for key in settings:
        if key not in Suite.model_fields:
            raise UsageError(
                f"setting '{key}' is unknown, expected one of {', '.join(Suite.model_fields)}"
                f"{did_you_mean(key, Suite.model_fields)}"
            )
    try:
        suite = Suite.model_validate(dict(settings))
    except ValidationError as error:
        raise UsageError(_first_error(error)) from None
    _check(suite)
    return suite


def _first_error(error: ValidationError) -> str:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, LinbenchError):
        return str(cause)
    flag = "--" + str(first["loc"][0]).replace("_", "-")
    return f"{flag} '{first['input']}': {first['msg'].lower()}"


def _check(suite: Suite) -> None:
    if suite.rounds < 1:
        raise UsageError(f"--rounds {suite.rounds} measures nothing, expected at least 1")
    if suite.device not in DEVICES:
        raise UsageError(
            f"--device '{suite.device}' is unknown, expected {', '.join(DEVICES)}"
            f"{did_you_mean(suite.device, DEVICES)}"
        )
    if suite.batch and suite.tokens:
        raise UsageError("--batch and --tokens exclude each other: batch = tokens / n; drop one")
    if suite.memory_limit and "max_batch" not in suite.task:
        raise UsageError(
            f"--memory-limit {suite.memory_limit} bytes is for task max_batch, but --task is "
            f"{','.join(suite.task)}; add --task max_batch"
        )
    if (suite.batch or suite.tokens) and suite.task == ["max_batch"]:
        flag = "--batch" if suite.batch else "--tokens"
        raise UsageError(
            f"{flag} means nothing to --task max_batch, which finds the batch; drop it"
        )
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


def check_plugins(suite: Suite) -> None:
    """Refuse plug-ins whose file or module is not there, without running their code.

    Raises:
        UsageError: the text names the plug-in and what was looked for.
    """
    for spec in suite.plugins:
        name, _, target = spec.partition("=")
        if plugin_file(target.rpartition(":")[0]) is None:
            raise UsageError(
                f"--impl '{name}': '{target.rpartition(':')[0]}' was not found, expected a .py "
                "file or an importable module; correct the path, or install it"
            )


def plugin_file(where: str) -> Path | None:
    """Return the source file of a plug-in given as a path or as a module, None where it is not."""
    if where.endswith(".py"):
        path = Path(where).expanduser()
        return path if path.is_file() else None
    parts = where.split(".")
    for folder in (*sys.path, "."):
        stem = Path(folder or ".", *parts)
        for path in (stem.with_name(stem.name + ".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    try:  # editable installs and other finders
        found = importlib.util.find_spec(where)
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.origin else None


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


def _find(suite: str) -> Path:
    places = [Path(suite)] if suite.endswith(".toml") else []
    places += [folder / f"{suite}.toml" for folder in folders()]
    for path in places:
        if path.is_file():
            return path
    names = [path.stem for path in files()]
    raise UsageError(
        f"no suite '{suite}', expected a .toml file or one of {', '.join(names)}"
        f"{did_you_mean(suite, names)}"
    )


def folders() -> list[Path]:
    """Return where suites are looked up: ./suites first, then those shipped with the package."""
    package = Path(__file__).parent
    # a wheel carries them inside the package, a checkout beside it
    shipped = package / "suites" if (package / "suites").is_dir() else package.parent / "suites"
    return [Path("suites"), shipped]


def files() -> list[Path]:
    """Return the suite files that can be named, each name once."""
    found = (path for folder in folders() for path in sorted(folder.glob("*.toml")))
    return list({path.stem: path for path in reversed(list(found))}.values())[::-1]


def _axes_of(entry: str) -> tuple[str, tuple[str, ...]]:
    """Split an `impl` entry, `NAME[=spec][@axis+axis]`, into its name and the axes it takes.

    Linformer takes all four axes, exact attention none; a plug-in takes those it names.

    Raises:
        UsageError: unknown axis, or a name that nothing answers to.
    """
    head, _, listed = entry.partition("@")
    name, is_plugin, _ = head.partition("=")
    if name in BUILTIN and (is_plugin or listed):
        raise UsageError(
            f"--impl '{entry}': '{name}' is built in and takes no builder and no '@'; "
            f"plug yours in as my_{name}={head.partition('=')[2] or 'module:builder'}"
        )
    axes = tuple(filter(None, listed.split("+")))
    for axis in axes:
        if axis not in PLUGIN_AXES:
            raise UsageError(
                f"--impl '{entry}' names the axis '{axis}', expected {', '.join(PLUGIN_AXES)}"
                f"{did_you_mean(axis, PLUGIN_AXES)}"
            )
    if not is_plugin and name not in attention.names():
        known = attention.names()
        raise UsageError(
            f"--impl '{name}' is unknown, expected {', '.join(known)} or NAME=module:builder"
            f"{did_you_mean(name, known)}"
        )
    if is_plugin and (not name or ":" not in head):
        raise UsageError(
            f"--impl '{entry}' is not a plug-in, expected NAME=module:builder or "
            "NAME=path/to/file.py:builder"
        )
    return name, PLUGIN_AXES if name == "linformer" else axes


def expand(suite: Suite, device: str) -> tuple[list[Case], dict[str, str]]:
    """Make the grid of a suite.

    Args:
        suite: What to measure.
        device: What `auto` came to: `cpu` or `cuda`.

    Returns:
        The cases, each once, and the combinations left out with the reason why.

    Raises:
        UsageError: an implementation has no possible combination at all; the text says why.
    """
    cases: dict[Case, None] = {}
    left_out: dict[str, str] = {}
    axes = (
        suite.task, suite.scope, suite.mode, suite.dtype, suite.d_model, suite.heads, suite.layers,
    )  # fmt: skip
    for entry in suite.impl:
        name, takes = _axes_of(entry)
        for task, scope, mode, dtype, d_model, heads, layers in itertools.product(*axes):
            for n, rule, sharing, projection, order in itertools.product(
                suite.seq,
                suite.k if "k" in takes else [None],
                suite.sharing if "sharing" in takes else [None],
                suite.projection if "projection" in takes else [None],
                suite.order if "order" in takes else [None],
            ):
                k, k_rule = resolve(rule, n, layers)
                for batch, tokens, limit in _batches(suite, task, n):
                    case = Case(
                        task=task, impl=name, seq=n, k=k, sharing=sharing, projection=projection,
                        order=order, scope=scope, mode=mode, d_model=d_model, heads=heads,
                        layers=layers, batch=batch, dtype=dtype, device=device,
                        compile=suite.compile, seed=suite.seed, k_rule=k_rule, tokens=tokens,
                        memory_limit_bytes=limit,
                    )  # fmt: skip
                    if reason := _impossible(case):
                        left_out[f"{case.label} n={n}"] = reason
                    else:
                        cases[case] = None
        if not any(case.impl == name for case in cases):
            reasons = list(dict.fromkeys(left_out.values()))
            more = f" (and {len(reasons) - 1} more reasons)" if len(reasons) > 1 else ""
            raise UsageError(f"no combination of '{name}' is possible: {reasons[-1]}{more}")
    return list(cases), left_out


def resolve(rule: str | None, n: int, layers: int) -> tuple[KPerLayer | None, str | None]:
    """Return k and its rule for one n, or (None, None) where k does not apply."""
    return (None, None) if rule is None else ranges.resolve_k(rule, n, layers)


def _batches(suite: Suite, task: str, n: int) -> Iterable[tuple[int, int | None, int | None]]:
    """Return batch, tokens and memory limit of the cases of one task at one n."""
    if task == "max_batch":
        return [(1, None, suite.memory_limit or MEMORY_LIMIT_BYTES)]
    if suite.tokens is None:
        return [(batch, None, None) for batch in suite.batch or [1]]
    return [(tokens // n, tokens, None) for tokens in suite.tokens]


def _impossible(case: Case) -> str | None:
    """Say why a case cannot be built, or None."""
    if case.batch < 1:
        return f"--tokens {case.tokens} is less than one sequence of n={case.seq}; raise --tokens"
    if case.tokens and case.tokens % case.seq:
        return f"--tokens {case.tokens} is not a multiple of n={case.seq}; choose one that is"
    try:
        config_of(case)
    except UsageError as error:
        return str(error)
    return None


def config_of(case: Case) -> AttentionConfig:
    """Return the configuration that builds the modules of a case.

    Raises:
        UsageError: the case cannot be built (k > n, a window that does not divide n, …).
    """
    config = AttentionConfig(
        d_model=case.d_model,
        num_heads=case.heads,
        max_seq_len=case.seq,
        num_layers=case.layers,
        k=case.k,
    )
    chosen: dict[str, Any] = {
        "sharing": case.sharing,
        "projection": case.projection,
        "order": case.order,
    }
    return replace(config, **{name: value for name, value in chosen.items() if value is not None})
