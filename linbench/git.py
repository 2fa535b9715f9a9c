"""The one way to ask git: never of another repository than the one at hand, never waiting long."""

import os
import subprocess
from pathlib import Path

from linbench.errors import UsageError

_POINTERS = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
)  # fmt: skip


def environment() -> dict[str, str]:
    """Return the environment without what points git to another repository, as hooks have it."""
    return {name: value for name, value in os.environ.items() if name not in _POINTERS}


def ask(*words: str, folder: Path | None = None, timeout_s: float = 10) -> str | None:
    """Return what a git command prints, stripped; None outside a repository or without git."""
    try:
        return _run(words, folder, timeout_s)
    except (OSError, subprocess.SubprocessError):
        return None


def must(*words: str, why: str) -> str:
    """Return what a git command prints, stripped.

    Raises:
        UsageError: git is not there, or refuses; the text is `why` with what git said.
    """
    try:
        return _run(words, None, None)
    except OSError as error:
        raise UsageError(f"{why} (git cannot be run: {error.strerror}; install it)") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        raise UsageError(f"{why}{f' (git: {said})' if said else ''}") from None


def _run(words: tuple[str, ...], folder: Path | None, timeout_s: float | None) -> str:
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=timeout_s,
        check=True,
        env=environment(),
    )
    return done.stdout.strip()
