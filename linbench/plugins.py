"""Others' code by name: `module:attribute` or `path/to/file.py:attribute`."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from linbench.errors import UsageError, did_you_mean


def attribute_of(what: str, target: str, expected: str, fits: Callable[[object], bool]) -> object:
    """Import what `module:attribute` or `path/to/file.py:attribute` names, where it `fits`.

    Messages of a UsageError begin with `what` it is for, and say what was `expected`.
    """
    where, _, attribute = target.rpartition(":")
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no answer of a command
            module = _import_file(where) if where.endswith(".py") else _import_module(where)
    except UsageError:
        raise
    except (Exception, SystemExit) as error:  # a script that ends here would end a gate as passed
        raise UsageError(
            f"{what}: importing '{where}' raised {type(error).__name__}: "
            f"{' '.join(str(error).split())}; expected it to import; correct or install what it "
            "needs"
        ) from error
    found = getattr(module, attribute, None)
    if not fits(found):
        known = [word for word, value in vars(module).items() if fits(value)]
        state = "is something else" if hasattr(module, attribute) else "does not exist"
        raise UsageError(
            f"{what}: '{attribute}' {state} in '{where}', expected {expected}"
            f"{did_you_mean(attribute, known)}; name one after the colon"
        )
    return found


def split_spec(spec: str, what: str, example: str) -> tuple[str, str]:
    """Split `NAME=module:attribute` into name and target, importing nothing."""
    name, equals, target = spec.partition("=")
    where, colon, attribute = target.rpartition(":")
    # "@" may follow an attribute, for axes
    if not (name and equals and where and colon and attribute.partition("@")[0]):
        raise UsageError(
            f"{what} '{spec}' is malformed, expected NAME=module:attribute or "
            f"NAME=path/to/file.py:attribute; for example {example}"
        )
    return name, target


def source_of(target: str) -> Path | None:
    """Return the source file of `module:attribute` or `file.py:attribute`, without importing it."""
    where = target.rpartition(":")[0]
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


def _import_module(where: str) -> ModuleType:
    # the working directory counts, as with `python -m`; last, so that nothing installed is hidden
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        # one that the module itself imports is the module's failure, not a missing module
        if not error.name or not f"{where}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"module '{where}' was not found, expected an importable module; "
            "install it, or give the path of a .py file"
        ) from None
    finally:
        sys.path.remove(here)


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
    assert found is not None  # of a .py file there always is one
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
