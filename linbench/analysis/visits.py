"""The runs of a history: in which order they stand, what they measured, what else differed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_MACHINE = ("torch", "cuda", "driver", "xformers", "python", "system", "governor", "threads")


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
        run_id: The run.
        created: When it was made, ISO 8601.
        commit: The commit it measured; None where the run does not say.
        dirty: Whether more than the commit was in the tree.
        known: What the repository at hand says of the commit, if it was asked and knows.
        revision: What was measured: equal for runs of one commit. A dirty tree is a revision of
            its own, since nobody knows what was in it.
        settings: What else may change a level: versions, settings, whether there were warnings.
        warnings: What was wrong with the machine when the run began.
    """

    run_id: str
    created: str
    commit: str | None
    dirty: bool
    known: Commit | None
    revision: int
    settings: Mapping[str, str]
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The commit, short, with `*` for a dirty tree; where there is none, when it was made."""
        if self.commit is None:
            return self.created[:16].replace("T", " ")
        return f"{self.commit[:8]}{'*' if self.dirty else ''}"

    @property
    def date(self) -> str:
        """The day of the commit where the repository knows it, else of the run."""
        return (self.known.date if self.known else self.created)[:10]


def visits_of(
    headers: Sequence[Mapping[str, Any]], commits: Mapping[str, Commit]
) -> tuple[tuple[Visit, ...], str]:
    """Return runs in order, and by what they are ordered.

    Args:
        headers: The header of each run.
        commits: What the repository at hand knows of their commits. Runs are in its order if it
            knows all, else in the order in which they were made.
    """
    unknown = [header for header in headers if _commit(header) not in commits]

    def key(header: Mapping[str, Any]) -> tuple[int, bool, datetime]:
        commit = _commit(header)
        place = 0 if unknown or commit is None else commits[commit].place
        return place, _dirty(header) and not unknown, _moment(header)

    visits: list[Visit] = []
    seen: dict[object, int] = {}
    for header in sorted(headers, key=key):
        commit, dirty = _commit(header), _dirty(header)
        one = header["run_id"] if commit is None or dirty else commit
        visits.append(
            Visit(
                run_id=str(header["run_id"]),
                created=str(header["created"]),
                commit=commit,
                dirty=dirty,
                known=commits.get(commit) if commit else None,
                revision=seen.setdefault(one, len(seen)),
                settings=_settings(header),
                warnings=tuple(header.get("warnings") or ()),
            )
        )
    if not unknown:
        return tuple(visits), "in the order of their commits (git's topological order)"
    first = _commit(unknown[0])
    why = (
        f"the repository at hand does not know commit {first[:8]}"
        if first
        else f"{unknown[0]['run_id']} does not say its commit"
    )
    return tuple(visits), f"in the order they were made, since {why}"


def _commit(header: Mapping[str, Any]) -> str | None:
    return (header.get("git") or {}).get("commit") or None


def _dirty(header: Mapping[str, Any]) -> bool:
    return bool((header.get("git") or {}).get("dirty"))


def _moment(header: Mapping[str, Any]) -> datetime:
    found = datetime.fromisoformat(str(header["created"]))
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _settings(header: Mapping[str, Any]) -> dict[str, str]:
    machine, suite = header["machine"], header.get("suite") or {}
    found = {name: machine.get(name) for name in _MACHINE}
    found |= {"linbench": header["linbench"], "keep-pages": suite.get("keep_pages")}
    found["warnings in the header"] = "some" if header.get("warnings") else "none"
    return {name: str(value) for name, value in found.items() if value is not None}


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Say which settings of two visits differ, a clause each."""
    names = [name for name in after if name in before and before[name] != after[name]]
    return tuple(f"{name} went from {before[name]} to {after[name]}" for name in names)
