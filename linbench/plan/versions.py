"""Two versions of a repository: the working tree, and a commit checked out beside it."""

import contextlib
import itertools
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from linbench import attention, git
from linbench.errors import UsageError
from linbench.plan.suite import Suite


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
def checkout(ref: str) -> Iterator[tuple[Version, Version]]:
    """Check a commit out beside the working tree; the checkout is removed at the end.

    Yields:
        The reference and the candidate (the working tree, with what is not committed).

    Raises:
        UsageError: not in a repository, no such commit, or git cannot check it out.
    """
    here = Path.cwd().resolve()
    root = Path(git.must("rev-parse", "--show-toplevel", why="--against needs a git repository"))
    short = git.must(
        "rev-parse", "--short=8", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}",
        why=f"--against '{ref}' names no commit of this repository, expected a branch, a tag or "
        "HEAD~1; in CI fetch it first (fetch-depth: 0)",
    )  # fmt: skip
    with _ending_on_signals(), tempfile.TemporaryDirectory(prefix="linbench-reference-") as parent:
        tree = Path(parent).resolve() / root.name
        try:
            git.must(
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
                env=git.environment(),
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


def check(suite: Suite, versions: Sequence[Version]) -> None:
    """Refuse to measure two versions that would load the same code.

    What is built in is loaded from a version that holds linbench itself, what is plugged in from
    files and modules of its tree.

    Raises:
        UsageError: an implementation comes from elsewhere, or is missing in a version.
    """
    own = all((version.root / "linbench" / "__init__.py").is_file() for version in versions)
    for name in suite.impl:
        if "=" not in name and not own and name not in attention.BUILTIN:
            raise UsageError(
                f"--impl '{name}' is installed, so that both versions would be the same code; "
                f"name its source: --impl {name}=path/to/file.py:builder"
            )
    for (flag, spec), version in itertools.product(suite.specs, versions):
        name, _, target = spec.partition("=")
        _check_plugin(flag, name, target.rpartition(":")[0], version)
    if not own and not suite.plugins:
        raise UsageError(
            f"nothing to measure comes from this repository ({versions[-1].root}): "
            f"{', '.join(suite.impl)} are linbench's own; add --impl NAME=path/to/file.py:builder"
        )


def _check_plugin(flag: str, name: str, where: str, version: Version) -> None:
    if not where.endswith(".py"):
        stems = [Path(place, *where.split(".")) for place in version.path]
        found = any(s.with_suffix(".py").is_file() or s.is_dir() for s in stems)
    elif Path(where).expanduser().is_absolute():
        raise UsageError(
            f"{flag} '{name}': '{where}' is one file for both versions; give its path within the "
            "repository, relative to this folder"
        )
    else:
        file = (version.folder / where).resolve()
        found = file.is_file() and file.is_relative_to(version.root)
    if not found:
        raise UsageError(
            f"{flag} '{name}': '{where}' is not in {version.label}; expected a file or module of "
            "the repository that both versions have (is it committed?)"
        )
