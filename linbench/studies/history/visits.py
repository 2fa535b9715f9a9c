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
    """What the repository at hand says of a commit; place is in topological order, oldest first."""

    place: int
    date: str
    subject: str


@dataclass(frozen=True)
class Visit:
    """One run in its place in a history."""

    header: Header
    known: Commit | None
    """What the repository at hand says of the commit, if it was asked and knows."""

    @property
    def run_id(self) -> str:
        """The run."""
        return self.header.run_id

    @property
    def commit(self) -> str | None:
        """The commit it measured; None where the run does not say."""
        return _commit(self.header)

    @property
    def dirty(self) -> bool:
        """Whether more than the commit was in the tree."""
        return bool(self.header.git and self.header.git.dirty)

    @property
    def revision(self) -> str:
        """What was measured: the commit; where nobody knows what was in the tree, the run."""
        return self.run_id if self.commit is None or self.dirty else self.commit

    @property
    def moment(self) -> datetime:
        """When it was made."""
        made = datetime.fromisoformat(self.header.created)
        return made if made.tzinfo else made.replace(tzinfo=UTC)

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
    """Ask the repository at hand (the current folder's) for the commits that runs measured."""
    # a run file may come from anywhere: what is no full hash might be an option of git
    asked = {_commit(header) or "" for header in runs.headers}
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
    """Return runs in the order of their commits if all are known, else as made; and why."""
    visits = [Visit(header, commits.get(_commit(header) or "")) for header in headers]
    unknown = [visit for visit in visits if visit.known is None]
    if not unknown:
        places = {visit.run_id: visit.known.place for visit in visits if visit.known}
        visits.sort(key=lambda visit: (places[visit.run_id], visit.dirty, visit.moment))
        return tuple(visits), "in the order of their commits (git's topological order)"
    visits.sort(key=lambda visit: visit.moment)
    first = unknown[0].commit
    why = (
        f"the repository at hand does not know commit {first[:8]}"
        if first
        else f"{unknown[0].run_id} does not say its commit"
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


def _commit(header: Header) -> str | None:
    return (header.git.commit or None) if header.git else None
