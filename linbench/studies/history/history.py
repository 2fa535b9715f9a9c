"""Many runs -> histories: every series against the commits of one machine, cut into levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linbench.run.case import Case
from linbench.run.record import Record
from linbench.run.runs import Run, Runs, drop_incorrect, failure_record
from linbench.studies.history.tracks import Change, Track, tracks_of
from linbench.studies.history.visits import Commit, Visit, visits_of


@dataclass(frozen=True)
class Event:
    """Steps that may all have begun at one visit: the best estimate of most; the worst first."""

    visit: int
    steps: tuple[tuple[Track, Change], ...]


@dataclass(frozen=True)
class History:
    """What one machine measured over many runs."""

    fingerprint: str
    machine: str
    """What was measured of it: its GPU, its processor, or both."""
    order: str
    """By what the visits are ordered, in words."""
    visits: tuple[Visit, ...]
    """The runs, oldest first."""
    tracks: tuple[Track, ...]
    """The series: a metric after the other, then exponents."""
    never: Mapping[str, str]
    """Why a case was measured in no run, by its name."""
    shown: tuple[str, ...]
    """The quantities that are told of: all there are, unless some were asked for."""

    @property
    def revisions(self) -> int:
        """How many different trees were measured."""
        return len({visit.revision for visit in self.visits})

    def of(self, *quantities: str) -> tuple[Track, ...]:
        """Return the tracks of some quantities: metrics by name, or `exponent`."""
        return tuple(
            track for name in quantities for track in self.tracks if track.quantity == name
        )

    def name(self, track: Track) -> str:
        """Name a track with what tells its problem from others of this history."""
        return _name(track.label, track.key, [other.key for other in self.tracks])


def _name(label: str, key: Case, among: Sequence[Case]) -> str:
    common = set[str].intersection(*(set(other.problem_words) for other in among))
    return ", ".join([label, *(word for word in key.problem_words if word not in common)])


def events_of(tracks: Sequence[Track]) -> list[Event]:
    """Gather steps that may have one cause, newest first.

    Dates are uncertain by a run or so, and one commit often moves many series: a step belongs to
    the visit that most of its neighbours begin at, if its own range of dates allows it.
    """
    left = [(track, change) for track in tracks for change in track.changes]
    events = []
    while left:
        firsts = [change.first for _, change in left]
        visit = max(sorted(set(firsts), reverse=True), key=firsts.count)
        here = [pair for pair in left if pair[1].last_before < visit <= pair[1].latest]
        left = [pair for pair in left if pair not in here]
        here.sort(key=lambda pair: -pair[0].worse(pair[1].size.value))
        events.append(Event(visit, tuple(here)))
    return sorted(events, key=lambda event: -event.visit)


def histories_of(runs: Runs, commits: Mapping[str, Commit] | None = None) -> list[History]:
    """Put runs in order and follow every series, one history per machine; see `commits_of`."""
    machines: dict[str, list[Run]] = {}
    for run in runs.runs:
        machines.setdefault(run.fingerprint, []).append(run)
    return [_history(own, commits or {}) for own in machines.values()]


def _history(runs: Sequence[Run], commits: Mapping[str, Commit]) -> History:
    visits, order = visits_of([run.header for run in runs], commits)
    by_id = {run.run_id: run for run in runs}
    tracks = tracks_of([by_id[visit.run_id] for visit in visits], visits)
    machines = dict.fromkeys(run.header.measured_on or "an unnamed machine" for run in runs)
    return History(
        fingerprint=runs[0].fingerprint,
        machine=" and ".join(machines),
        order=order,
        visits=visits,
        tracks=tracks,
        never=_never(runs),
        shown=tuple(dict.fromkeys(track.quantity for track in tracks)),
    )


def _never(runs: Sequence[Run]) -> dict[str, str]:
    records: dict[str, list[Record]] = {}
    measured = set()
    for run in runs:
        for record in run.records:
            records.setdefault(record.case_id, []).append(record)
        measured |= {r.case_id for r in drop_incorrect(run.records) if r.status == "ok"}
    left = [failure_record(own) for case_id, own in records.items() if case_id not in measured]
    cases = [record.case for record in left]
    return {_name(record.case.title, record.case, cases): record.failure for record in left}


def to_json(history: History) -> dict[str, Any]:
    """Return one machine's history in the form of `linbench history --json`."""
    return {
        "fingerprint": history.fingerprint,
        "machine": history.machine,
        "order": history.order,
        "runs": [
            {
                "run_id": visit.run_id,
                "created": visit.header.created,
                "commit": visit.commit,
                "dirty": visit.dirty,
                "date": visit.date,
                "subject": visit.known.subject if visit.known else None,
            }
            for visit in history.visits
        ],
        "series": [_track_json(track, history.visits) for track in history.of(*history.shown)],
        "measured_in_no_run": dict(history.never),
    }


def _track_json(track: Track, visits: Sequence[Visit]) -> dict[str, Any]:
    return {
        "metric": track.quantity,
        "of": track.metric.name,
        "label": track.label,
        "at": track.key.problem_label,
        "case_id": track.case_id,
        "n": list(track.sizes),
        "values": [point.value if point else None for point in track.points],
        "levels": [track.fit.get(i) for i in range(len(visits))],
        "gaps": {visits[i].run_id: reason for i, reason in track.gaps.items()},
        "exact": track.exact,
        "noise": track.noise,
        "would_find": track.would_find,
        "undecided": track.undecided,
        "out_of_line": [visits[i].run_id for i in track.out_of_line],
        "steps": [
            {
                "commit": visits[change.first].commit,
                "date": visits[change.first].date,
                "run_id": visits[change.first].run_id,
                "after_run_id": visits[change.last_before].run_id,
                "by_run_id": visits[change.latest].run_id,
                "change": change.size.value,
                "ci_low": change.size.low,
                "ci_high": change.size.high,
                "before": change.before,
                "after": change.after,
                "runs": change.held,
                "else_changed": list(change.settings),
            }
            for change in track.changes
        ],
    }
