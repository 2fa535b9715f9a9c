"""Where a run comes from: the code, the machine, the command; and whether two of them are one."""

import hashlib
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from linbench import __version__, git
from linbench.plan.suite import Suite
from linbench.plan.versions import Version
from linbench.plugins import source_of
from linbench.probes import machine
from linbench.run.record import Git, Header, Machine


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
    """Return the header of a run that begins now, of a version's code or of this folder's."""
    root = version.root if version else None
    return Header(
        run_id=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        linbench=__version__,
        argv=["linbench", *sys.argv[1:]],
        suite=suite.model_dump(mode="json"),
        metrics=suite.metrics,
        device=device,
        machine=Machine.model_validate(machine.describe()),
        git=commit_of(root),
        code=code_digest([*suite.plugins, *suite.task_plugins], version),
        warnings=[busy] if busy else [],
    )


def commit_of(folder: Path | None = None) -> Git | None:
    """Return commit, branch and whether anything is uncommitted, or None outside a repository."""
    commit = git.ask("rev-parse", "HEAD", folder=folder)
    if commit is None:
        return None
    branch = git.ask("branch", "--show-current", folder=folder)
    changed = git.ask("status", "--porcelain", "--untracked-files=no", folder=folder)
    return Git(commit=commit, branch=branch or None, dirty=bool(changed))


def code_digest(plugins: Sequence[str], version: Version | None = None) -> str:
    """Return a digest of what is measured and how: linbench's own source and plug-in files."""
    package = Path(__file__).parent.parent
    if version and (version.root / "linbench" / "__init__.py").is_file():
        package = version.root / "linbench"
    files = sorted(package.rglob("*.py"))
    for spec in plugins:
        target = spec.partition("=")[2]
        if version and target.rpartition(":")[0].endswith(".py"):
            target = str(version.folder / target)
        files += filter(None, [source_of(target)])
    digest = hashlib.sha256(f"torch {machine.version('torch')}\n".encode())
    for file in files:
        if file.is_file():
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def differences(before: Header, suite: Suite) -> list[str]:
    """Say in what this machine and code differ from those that began a run."""
    then, here = before.machine.fingerprint, machine.describe()["fingerprint"]
    code, now = before.code, code_digest([*suite.plugins, *suite.task_plugins])
    differs = [f"machine {then} is not this one ({here})"] if then != here else []
    return differs + ([f"the code has changed ({code} is now {now})"] if code != now else [])
