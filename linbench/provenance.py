"""Where a run comes from: the code, the machine, the command; and whether two of them are one."""

import hashlib
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from linbench import __version__
from linbench.probes import machine
from linbench.record import Header, Machine
from linbench.suite import Suite, plugin_file
from linbench.versions import Version, git_environment


def run_id(suite: str) -> str:
    """Return the default name of a run: its suite and the time in UTC."""
    return f"{suite}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def header(
    name: str,
    suite: Suite,
    device: str,
    busy: str | None = None,
    version: Version | None = None,
) -> Header:
    """Return the header of a run that begins now.

    Args:
        name: The run's.
        suite: What it measures.
        device: What the suite's device came to.
        busy: That others use the machine.
        version: Whose code is measured, where it is not that of this folder.
    """
    root = version.root if version else None
    return Header.model_validate(
        {
            "run_id": name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "linbench": __version__,
            "argv": ["linbench", *sys.argv[1:]],
            "suite": suite.model_dump(mode="json"),
            "device": device,
            "machine": Machine.model_validate(machine.describe()),
            "git": git(root),
            "code": code_digest(suite.plugins, version),
            "warnings": [busy] if busy else [],
        }
    )


def git(folder: Path | None = None) -> dict[str, Any] | None:
    """Return commit, branch and whether anything is uncommitted, or None outside a repository."""
    answers = [
        _git(folder, *words)
        for words in (
            ("rev-parse", "HEAD"),
            ("branch", "--show-current"),
            ("status", "--porcelain", "--untracked-files=no"),
        )
    ]
    if answers[0] is None:
        return None
    return {"commit": answers[0], "branch": answers[1] or None, "dirty": bool(answers[2])}


def _git(folder: Path | None, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True,
            env=git_environment(),
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def code_digest(plugins: list[str], version: Version | None = None) -> str:
    """Return a digest of what is measured and how: linbench's own source and plug-in files."""
    package = Path(__file__).parent
    if version and (version.root / "linbench" / "__init__.py").is_file():
        package = version.root / "linbench"
    files = sorted(package.rglob("*.py"))
    for spec in plugins:
        where = spec.partition("=")[2].rpartition(":")[0]
        if version and where.endswith(".py"):
            where = str(version.folder / where)
        if file := plugin_file(where):
            files.append(file)
    digest = hashlib.sha256(f"torch {machine.version('torch')}\n".encode())
    for file in files:
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def differences(before: Header, suite: Suite) -> list[str]:
    """Say in what this machine and code differ from those that began a run."""
    found = []
    here = machine.describe()["fingerprint"]
    if before.machine.fingerprint != here:
        found.append(f"machine {before.machine.fingerprint} is not this one ({here})")
    code, now = before.code, code_digest(suite.plugins)
    if code != now:
        found.append(f"the code has changed ({code} is now {now})")
    return found
