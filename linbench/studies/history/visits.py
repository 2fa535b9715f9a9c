"""The runs of a history: in which order they stand, what they measured, what else differed."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from linbench import git
from linbench.run.record import Header
from linbench.run.runs import Runs

_MACHINE = ("torch", "cuda", "driver", "xformers", "python", "system", "governor", "threads")
_HASH = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class Commit:
    """What the repository at hand says of a commit.

    Attributes:
        place: Its place in topological order, the oldest first.
        date: When it was committed, ISO 8601.
        subject: The first line of its message.
    """

    place: int
    date: str
    subject: str


@dataclass(frozen=True)
class Visit:
    """One run in its place in a history.

    Attributes:
        header: The run's.
        commit: The commit it measured; None where the run does not say.
        dirty: Whether more than the commit was in the tree.
        known: What the repository at hand says of the commit, if it was asked and knows.
        revision: What was measured: equal for runs of one commit. A dirty tree is a revision of
            its own, since nobody knows what was in it.
    """

    header: Header
    commit: str | None
    dirty: bool
    known: Commit | None
    revision: int

    @property
    def run_id(self) -> str:
        """The run."""
        return self.header.run_id

    @property
    def name(self) -> str:
        """The commit, short, with `*` for a dirty tree; where there is none, when it was made."""
        if self.commit is None:
            return self.header.created[:16].replace("T", " ")
        return f"{self.commit[:8]}{'*' if self.dirty else ''}"

    @property
    def date(self) -> str:
        """The day of the commit where the repository knows it, else of the run."""
        return (self.known.date if self.known else self.header.created)[:10]


def commits_of(runs: Runs) -> dict[str, Commit]:
    """Ask the repository at hand (the current folder's) for the commits that runs measured.

    Returns:
        What it knows by hash; nothing outside a repository, or without git.
    """
    # a run file may come from anywhere: what is no full hash might be an option of git
    asked = {_tree(header)[0] or "" for header in runs.headers}
    hashes = sorted(commit for commit in asked if _HASH.fullmatch(commit))
    if not hashes:
        return {}
    command = ("log", "--topo-order", "--reverse", "--ignore-missing", "--format=%H%x09%cI%x09%s")
    said = git.ask(*command, *hashes, "--", timeout_s=60) or ""
    known = {}
    for place, line in enumerate(said.split("\n")):
        commit, _, rest = line.partition("\t")
        if commit in hashes:
            date, _, subject = rest.partition("\t")
            known[commit] = Commit(place, date, subject)
    return known


def visits_of(
    headers: Sequence[Header], commits: Mapping[str, Commit]
) -> tuple[tuple[Visit, ...], str]:
    """Return runs in order, and by what they are ordered.

    Args:
        headers: The header of each run.
        commits: What the repository at hand knows of their commits. Runs are in its order if it
            knows all, else in the order in which they were made.
    """
    trees = [_tree(header) for header in headers]
    unknown = [i for i, (commit, _) in enumerate(trees) if commit not in commits]

    def order(i: int) -> tuple[int, bool, datetime]:
        commit, dirty = trees[i]
        place = 0 if unknown or commit is None else commits[commit].place
        return place, dirty and not unknown, _moment(headers[i])

    visits: list[Visit] = []
    seen: dict[tuple[str, bool], int] = {}
    for i in sorted(range(len(headers)), key=order):
        header, (commit, dirty) = headers[i], trees[i]
        tree = (header.run_id, False) if commit is None or dirty else (commit, True)
        known = commits.get(commit) if commit else None
        visits.append(Visit(header, commit, dirty, known, seen.setdefault(tree, len(seen))))
    if not unknown:
        return tuple(visits), "in the order of their commits (git's topological order)"
    first = trees[unknown[0]][0]
    why = (
        f"the repository at hand does not know commit {first[:8]}"
        if first
        else f"{headers[unknown[0]].run_id} does not say its commit"
    )
    return tuple(visits), f"in the order they were made, since {why}"


def differences(before: Visit, after: Visit) -> tuple[str, ...]:
    """Say what else may change a level and differs between two visits, a clause each."""
    old, new = _settings(before.header), _settings(after.header)
    names = [name for name in new if name in old and old[name] != new[name]]
    return tuple(f"{name} went from {old[name]} to {new[name]}" for name in names)


def _settings(header: Header) -> dict[str, str]:
    found = {name: getattr(header.machine, name) for name in _MACHINE}
    found |= {"linbench": header.linbench, "keep-pages": header.suite.get("keep_pages")}
    found["warnings in the header"] = "some" if header.warnings else "none"
    return {name: str(value) for name, value in found.items() if value is not None}


def _tree(header: Header) -> tuple[str | None, bool]:
    """Return the commit that a run measured, and whether its tree had more in it."""
    return (header.git.commit or None, header.git.dirty) if header.git else (None, False)


def _moment(header: Header) -> datetime:
    made = datetime.fromisoformat(header.created)
    return made if made.tzinfo else made.replace(tzinfo=UTC)
