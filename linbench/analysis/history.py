"""Many runs -> histories: every series against the commits of one machine, cut into levels."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from linbench.analysis.series import TASK, never_wrong, rows_of, setup_of, spoiler
from linbench.analysis.steps import find
from linbench.analysis.tracks import (
    QUANTITIES,
    Change,
    Quantity,
    Track,
    exact_levels,
    failure,
    tracks_of,
    values_of,
    with_levels,
)
from linbench.analysis.visits import Commit, Visit, visits_of
from linbench.record import measured_on

if TYPE_CHECKING:
    import pandas as pd

MIN_REVISIONS = 3
"""Revisions below which a report has nothing to say of a history."""


@dataclass(frozen=True)
class Event:
    """Steps that may all have begun at one visit.

    Attributes:
        visit: Index of the visit: the best estimate of most of them.
        steps: Tracks with their change, the worst first.
    """

    visit: int
    steps: tuple[tuple[Track, Change], ...]


@dataclass(frozen=True)
class History:
    """What one machine measured over many runs.

    Attributes:
        fingerprint: The machine.
        machine: What was measured of it: its GPU, its processor, or both.
        order: By what the visits are ordered, in words.
        visits: The runs, oldest first.
        tracks: The series: times, then memory, then exponents.
        never: Why a case was measured in no run, by its name.
    """

    fingerprint: str
    machine: str
    order: str
    visits: tuple[Visit, ...]
    tracks: tuple[Track, ...]
    never: Mapping[str, str]

    @property
    def revisions(self) -> int:
        """How many different trees were measured."""
        return len({visit.revision for visit in self.visits})

    def of(self, quantity: Quantity) -> tuple[Track, ...]:
        """Return the tracks of one quantity."""
        return tuple(track for track in self.tracks if track.quantity == quantity)

    def name(self, track: Track) -> str:
        """Name a track with what tells its problem from others of this history."""
        return name_of(track.label, track.at, {one.at for one in self.tracks})


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
        here.sort(key=lambda pair: -weight(pair[0], pair[1].size.value))
        events.append(Event(visit, tuple(here)))
    return sorted(events, key=lambda event: -event.visit)


def weight(track: Track, size: float) -> float:
    """Return how much worse a change makes things, in log units; an exponent counts a doubling.

    Args:
        track: What changes.
        size: A ratio; of exponents a difference.
    """
    return size * math.log(2) if track.quantity == "exponent" else math.log(size)


def histories_of(
    headers: Sequence[Mapping[str, Any]],
    frame: "pd.DataFrame",
    commits: Mapping[str, Commit] | None = None,
) -> list[History]:
    """Put runs in order and follow every series, one history per machine.

    Args:
        headers: The header of each run.
        frame: Their records in one table, see `linbench.analysis.tables.load_all`.
        commits: What the repository at hand knows of their commits, see `visits_of`.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in rows_of(frame):
        rows.setdefault(str(row["fingerprint"]), []).append(row)
    machines: dict[str, list[Mapping[str, Any]]] = {}
    for header in headers:
        machines.setdefault(str(header["machine"]["fingerprint"]), []).append(header)
    return [
        _history(fingerprint, own, rows.get(fingerprint, []), commits or {})
        for fingerprint, own in machines.items()
    ]


def _history(
    fingerprint: str,
    headers: Sequence[Mapping[str, Any]],
    rows: Sequence[dict[str, Any]],
    commits: Mapping[str, Commit],
) -> History:
    visits, order = visits_of(headers, commits)
    tracks = tracks_of([visit.run_id for visit in visits], rows)
    revisions = [visit.revision for visit in visits]
    found = iter(find([values_of(track, revisions) for track in tracks if not track.exact]))
    machines = dict.fromkeys(measured_on(header) or "an unnamed machine" for header in headers)
    return History(
        fingerprint=fingerprint,
        machine=" and ".join(machines),
        order=order,
        visits=visits,
        tracks=tuple(
            with_levels(track, exact_levels(track) if track.exact else next(found), visits)
            for track in tracks
        ),
        never=_never(rows),
    )


def _never(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    measured = {row["case_id"] for row in never_wrong(rows) if row["status"] == "ok"}
    unmeasured: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["task"] == TASK and row["case_id"] not in measured:
            unmeasured.setdefault(row["case_id"], []).append(row)
    left = [spoiler(own) for own in unmeasured.values()]
    setups = {row["case_id"]: setup_of(dict(row)) for row in left}
    problems = {setup.panel.label for setup in setups.values()}
    return {
        name_of(
            f"{setups[row['case_id']].label} n={row['seq']}",
            setups[row["case_id"]].panel.label,
            problems,
        ): failure(row)
        for row in left
    }


def name_of(label: str, at: str, among: Collection[str]) -> str:
    """Name a series with what tells its problem from others, as far as there are any.

    Args:
        label: Its configuration, n included.
        at: Its problem, scope and mode and shape with commas between.
        among: All problems there are.
    """
    common = set.intersection(*(set(one.split(", ")) for one in among))
    return ", ".join([label, *(word for word in at.split(", ") if word not in common)])


def to_json(history: History, quantities: Sequence[Quantity] = QUANTITIES) -> dict[str, Any]:
    """Return one machine's history in the form of `linbench history --json`."""
    return {
        "fingerprint": history.fingerprint,
        "machine": history.machine,
        "order": history.order,
        "runs": [
            {
                "run_id": visit.run_id,
                "created": visit.created,
                "commit": visit.commit,
                "dirty": visit.dirty,
                "date": visit.date,
                "subject": visit.known.subject if visit.known else None,
            }
            for visit in history.visits
        ],
        "series": [
            _track_json(track, history.visits)
            for quantity in quantities
            for track in history.of(quantity)
        ],
        "measured_in_no_run": dict(history.never),
    }


def _track_json(track: Track, visits: Sequence[Visit]) -> dict[str, Any]:
    return {
        "metric": track.quantity,
        "of": track.cost,
        "label": track.label,
        "at": track.at,
        "case_id": track.case_id,
        "n": list(track.sizes),
        "values": [point.value if point else None for point in track.points],
        "levels": [track.fit.get(i) for i in range(len(visits))],
        "gaps": {visits[i].run_id: reason for i, reason in track.gaps.items()},
        "exact": track.exact,
        "noise": track.noise,
        "would_find": track.would_find,
        "untold": track.untold,
        "out_of_line": [visits[i].run_id for i in track.out_of_line],
        "steps": [_change_json(change, visits) for change in track.changes],
    }


def _change_json(change: Change, visits: Sequence[Visit]) -> dict[str, Any]:
    first = visits[change.first]
    return {
        "commit": first.commit,
        "date": first.date,
        "run_id": first.run_id,
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
