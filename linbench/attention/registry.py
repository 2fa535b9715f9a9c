"""Names of attention implementations, and the three ways others' code joins them.

A builder is `(AttentionConfig) -> list[torch.nn.Module]`, one module per layer. Builders come from
the table below, from `register`, from a spec such as `mine=package.module:builder` or
`mine=path/to/file.py:builder` (`load_plugin`), and from entry points of the group
`linbench.attention`. Built-in ones are "module:function" strings, so that names cost no import.
"""

import contextlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from linbench.attention.config import AttentionConfig
from linbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[[AttentionConfig], "list[nn.Module]"]

GROUP = "linbench.attention"
BUILTIN = {
    "vanilla": "linbench.attention.vanilla:vanilla",
    "sdpa": "linbench.attention.fused:sdpa",
    "xformers": "linbench.attention.fused:xformers",
    "linformer": "linbench.attention.linformer:linformer",
}
_registered: dict[str, Builder] = {}


def names() -> list[str]:
    """Return every name that `build` knows: built-in, registered, and installed entry points."""
    return list(dict.fromkeys([*BUILTIN, *_registered, *_entry_points()]))


def resolve(name: str) -> Builder:
    """Return the builder of an implementation.

    Raises:
        UsageError: there is no such name (the nearest is suggested), or its code does not import.
    """
    if name in _registered:
        return _registered[name]
    spec = BUILTIN.get(name) or _entry_points().get(name)
    if spec is None:
        raise UsageError(
            f"implementation '{name}' is unknown, expected one of {', '.join(names())}"
            f"{did_you_mean(name, names())}; or plug in your own as NAME=module:builder"
        )
    return _load(name, spec)


def build(name: str, config: AttentionConfig) -> "list[nn.Module]":
    """Build one attention module per layer.

    Args:
        name: A built-in implementation, or one that was plugged in.
        config: The shape of the stack.

    Returns:
        `config.num_layers` modules with `forward(x [batch, n, d_model], key_padding_mask=None)`.

    Raises:
        UsageError: the name is unknown, the configuration does not fit the implementation, or a
            plug-in returned something else than a module per layer.
    """
    layers = resolve(name)(config)
    if not isinstance(layers, list) or len(layers) != config.num_layers:
        got = f"{len(layers)} modules" if isinstance(layers, list) else type(layers).__name__
        raise UsageError(
            f"the builder of '{name}' returned {got}, expected a list of {config.num_layers} "
            "torch.nn.Module, one per layer; correct the builder"
        )
    return layers


def register(name: str, builder: Builder) -> None:
    """Make a builder known under a name, in this process.

    Raises:
        UsageError: the name is that of a built-in implementation.
    """
    if name in BUILTIN:
        raise UsageError(
            f"implementation name '{name}' is built in, expected a name of your own; "
            f"plug it in as e.g. 'my_{name}'"
        )
    _registered[name] = builder


def load_plugin(spec: str) -> str:
    """Load others' code and register it.

    Args:
        spec: `NAME=module:builder` or `NAME=path/to/file.py:builder`.

    Returns:
        The name.

    Raises:
        UsageError: the spec is malformed, the module, file or attribute is missing, or the code
            raised while it was imported.
    """
    name, equals, target = spec.partition("=")
    if not (name and equals and all(target.rpartition(":"))):
        raise UsageError(
            f"plug-in '{spec}' is malformed, expected NAME=module:builder or "
            "NAME=path/to/file.py:builder; for example mine=mypackage.attention:build"
        )
    register(name, _load(name, target))
    return name


def unavailable(name: str, device: str) -> str | None:
    """Return why an implementation cannot run on a device such as "cpu" or "cuda:0", else None."""
    if name != "xformers":
        return None
    if device.partition(":")[0] != "cuda":
        return f"xformers runs on CUDA only, not on {device}"
    try:
        importlib.import_module("xformers.ops")
    except Exception as error:
        return f"xformers cannot be imported: {type(error).__name__}: {_one_line(error)}"
    return None


def _entry_points() -> dict[str, str]:
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}


def _load(name: str, target: str) -> Builder:
    where, _, attribute = target.rpartition(":")
    try:
        module = _import_file(where) if where.endswith(".py") else _import_module(where)
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"implementation '{name}': importing '{where}' raised {type(error).__name__}: "
            f"{_one_line(error)}; expected it to import; correct or install what it needs"
        ) from error
    builder = getattr(module, attribute, None)
    if not callable(builder):
        known = [word for word, value in vars(module).items() if callable(value)]
        state = "is not callable" if hasattr(module, attribute) else "does not exist"
        raise UsageError(
            f"implementation '{name}': '{attribute}' {state} in '{where}', expected a function "
            f"(AttentionConfig) -> list of modules{did_you_mean(attribute, known)}; "
            "name one after the colon"
        )
    return builder  # type: ignore[no-any-return]  # what was imported is checked above


def _import_module(where: str) -> ModuleType:
    with _working_directory_on_path():
        try:
            return importlib.import_module(where)
        except ModuleNotFoundError as error:
            # one that the module itself imports is the module's failure, not a missing module
            if not error.name or not f"{where}.".startswith(f"{error.name}."):
                raise
    raise UsageError(
        f"module '{where}' was not found, expected an importable module; "
        "install it, or give the path of a .py file"
    )


def _import_file(where: str) -> ModuleType:
    path = Path(where).expanduser().resolve()
    if not path.is_file():
        raise UsageError(
            f"file '{where}' was not found, expected a Python file; "
            "correct the path (it is read from the working directory)"
        )
    # a name of its own, so that two files of one name do not replace each other
    name = f"linbench_plugin_{path.stem}_{abs(hash(str(path))):x}"
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise UsageError(f"file '{where}' cannot be loaded, expected a Python file; rename it *.py")
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


@contextlib.contextmanager
def _working_directory_on_path() -> Iterator[None]:
    """Let `module:builder` name a file beside the user, as `python -m` does and a script does not.

    Last on the path, so that nothing installed is hidden.
    """
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        sys.path.remove(here)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
