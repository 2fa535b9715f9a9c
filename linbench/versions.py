"""Two versions of a repository: the working tree, and a commit checked out beside it."""

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from linbench.attention.registry import BUILTIN
from linbench.errors import UsageError
from linbench.suite import Suite


@dataclass(frozen=True)
class Version:
    """A tree of files that implementations are loaded from.

    Attributes:
        label: How messages name it: `the working tree`, `HEAD~1 (1a2b3c4d)`.
        root: The top of the repository in this version.
        folder: The folder that corresponds to the one the command was given in.
    """

    label: str
    root: Path
    folder: Path

    @property
    def path(self) -> list[str]:
        """Where its Python modules are found, before anything that is installed."""
        places = [self.folder, self.root, self.folder / "src", self.root / "src"]
        return list(dict.fromkeys(str(place) for place in places if place.is_dir()))


@contextlib.contextmanager
def beside(ref: str) -> Iterator[tuple[Version, Version]]:
    """Check a commit out beside the working tree; the checkout is removed at the end.

    Args:
        ref: What git calls it: a branch, a tag, `HEAD~1`.

    Yields:
        The reference and the candidate (the working tree, with what is not committed).

    Raises:
        UsageError: not in a repository, no such commit, or git cannot check it out.
    """
    here = Path.cwd().resolve()
    root = Path(_git("rev-parse", "--show-toplevel", why="--against needs a git repository"))
    short = _git(
        "rev-parse", "--short=8", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}",
        why=f"--against '{ref}' names no commit of this repository, expected a branch, a tag or "
        "HEAD~1; in CI fetch it first (fetch-depth: 0)",
    )  # fmt: skip
    with _ending_on_signals(), tempfile.TemporaryDirectory(prefix="linbench-reference-") as parent:
        tree = Path(parent).resolve() / root.name
        try:
            _git(
                # others' hooks are not for a checkout that nobody works in
                "-c", "core.hooksPath=/dev/null", "worktree", "add", "--detach", "--quiet",
                str(tree), short, why=f"git cannot check out '{ref}'",
            )  # fmt: skip
            folder = tree / here.relative_to(root)
            if not folder.is_dir():
                raise UsageError(
                    f"--against '{ref}' has no folder '{here.relative_to(root)}'; run the gate in "
                    "a folder that both versions have"
                )
            yield (
                Version(f"{ref} ({short})", tree, folder),
                Version("the working tree", root, here),
            )
        finally:
            subprocess.run(
                ["git", "-C", str(root), "worktree", "remove", "--force", str(tree)],
                capture_output=True,
                check=False,
                env=git_environment(),
                start_new_session=True,  # a second Ctrl-C must not leave it half removed
            )


@contextlib.contextmanager
def _ending_on_signals() -> Iterator[None]:
    """Have SIGTERM and SIGHUP end things in order, as Ctrl-C does."""

    def end(number: int, frame: object) -> None:
        del number, frame
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def git_environment() -> dict[str, str]:
    """Return the environment without what points git to another repository, as hooks have it."""
    pointers = {
        "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR",
        "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_NAMESPACE",
    }  # fmt: skip
    return {name: value for name, value in os.environ.items() if name not in pointers}


def _git(*words: str, why: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, check=True, env=git_environment()
        )
    except OSError as error:
        raise UsageError(f"--against needs git: {error.strerror}; install git") from None
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.split())
        raise UsageError(f"{why}{f' (git: {said})' if said else ''}") from None
    return done.stdout.strip()


def check(suite: Suite, versions: Sequence[Version]) -> None:
    """Refuse to measure two versions that would load the same code.

    What is built in is loaded from a version that holds linbench itself, what is plugged in from
    files and modules of its tree.

    Raises:
        UsageError: an implementation comes from elsewhere, or is missing in a version.
    """
    own = all((version.root / "linbench" / "__init__.py").is_file() for version in versions)
    for entry in suite.impl:
        name, plugged, target = entry.partition("@")[0].partition("=")
        if not plugged and not own and name not in BUILTIN:
            raise UsageError(
                f"--impl '{name}' is installed, so that both versions would be the same code; "
                f"name its source: --impl {name}=path/to/file.py:builder"
            )
        for version in versions if plugged else ():
            _check_plugin(name, target.rpartition(":")[0], version)
    if not own and not suite.plugins:
        raise UsageError(
            f"nothing to measure comes from this repository ({versions[-1].root}): "
            f"{', '.join(suite.impl)} are linbench's own; add --impl NAME=path/to/file.py:builder"
        )


def _check_plugin(name: str, where: str, version: Version) -> None:
    if not where.endswith(".py"):
        stems = [Path(place, *where.split(".")) for place in version.path]
        found = any(s.with_suffix(".py").is_file() or s.is_dir() for s in stems)
    elif Path(where).expanduser().is_absolute():
        raise UsageError(
            f"--impl '{name}': '{where}' is one file for both versions; give its path within the "
            "repository, relative to this folder"
        )
    else:
        file = (version.folder / where).resolve()
        found = file.is_file() and file.is_relative_to(version.root)
    if not found:
        raise UsageError(
            f"--impl '{name}': '{where}' is not in {version.label}; expected a file or module of "
            "the repository that both versions have (is it committed?)"
        )
