"""The history of many runs as a section of a report: sentences, figures and tables."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from linbench import words
from linbench.report.content import (
    NONE,
    Cell,
    Figure,
    Line,
    Mark,
    Plot,
    Quantity,
    Section,
    Sentence,
    Table,
    count,
)
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.runs import Runs
from linbench.stats.interval import Interval
from linbench.studies.history.history import History, events_of, histories_of
from linbench.studies.history.sentences import (
    METHOD,
    heading,
    sentences,
    size,
    spread,
    title,
    words_of,
)
from linbench.studies.history.tracks import Change, Track
from linbench.studies.history.visits import commits_of
from linbench.studies.labels import capital, label_of, wording

MIN_REVISIONS = 3
"""Revisions below which a report has nothing to say of a history."""
COLUMNS = ("series", "first", "latest", "change", "run to run")
"""What `row_of` tells of each series."""
STEPS = "steps, newest first"
"""The column of `steps_of`."""

_ABREAST = 2  # plots
_NOTE = (
    "First and latest are levels, where steps can be told, else what single runs measured. Run to "
    "run is the standard deviation of a run around its level. ~ marks a date that is known to "
    "within a few runs only, see Steps."
)


def summary(runs: Runs) -> list[Sentence]:
    """Return nothing: what a history shows stands in its section."""
    del runs
    return []


def sections(runs: Runs) -> list[Section]:
    """Return a section for each machine that measured three or more revisions."""
    if len(runs.runs) < MIN_REVISIONS:
        return []
    found = []
    for history in histories_of(runs, commits_of(runs)):
        if history.revisions >= MIN_REVISIONS and history.tracks:
            section = section_of(history)
            said = (heading(history), *sentences(history), *section.sentences)
            found.append(replace(section, sentences=said))
    return found


def section_of(history: History) -> Section:
    """Return the figures and tables of one history, and how steps are found."""
    shown = [own for quantity in history.shown if (own := history.of(quantity))]
    drawn = shown if len(history.visits) > 1 else []
    tracks = [track for own in shown for track in own]
    tables = [
        *(_levels(history, alike) for own in shown for alike in by_problem(own)),
        _steps(history, tracks),
        _gaps(history, tracks),
        _visits(history),
    ]
    tables[0] = replace(tables[0], note=_NOTE)
    return Section(
        title=f"History on {history.machine} ({history.fingerprint})",
        sentences=(METHOD,),
        figures=tuple(figure for own in drawn for figure in _figures(history, own)),
        tables=tuple(table for table in tables if table.rows),
    )


def by_problem(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group tracks by the problem (scope, mode, shape) they are about."""
    problems: dict[Case, list[Track]] = {}
    for track in tracks:
        problems.setdefault(track.key.problem, []).append(track)
    return list(problems.values())


def _title(history: History, track: Track) -> str:
    what = "Exponent" if track.case_id is None else capital(wording(track.metric).of_a_call)
    several = len(by_problem(history.tracks)) > 1
    return f"{what}{f', {track.key.problem_label}' if several else ''}"


def _levels(history: History, tracks: Sequence[Track]) -> Table:
    rows = ((*row_of(track), "; ".join(steps_of(history, track))) for track in tracks)
    return Table(_title(history, tracks[0]), (*COLUMNS, STEPS), tuple(rows))


def row_of(track: Track) -> tuple[Cell, ...]:
    """Return the cells of a series under `COLUMNS`.

    First and latest are levels, or runs where levels cannot be told.
    """
    levels = track.values if track.undecided else [track.fit[i] for i in track.present]
    first, latest = levels[0], levels[-1]
    moved = (track.changes or track.undecided) and len(levels) > 1
    change = Interval(latest / first if track.by_ratio else latest - first)
    return (
        track.label,
        Quantity(first, unit=track.unit),
        Quantity(latest, unit=track.unit),
        _size(track, change) if moved else NONE,
        "exact" if track.exact else _spread(track),
    )


def _size(track: Track, change: Interval) -> Quantity:
    return Quantity(change.value, change.low, change.high, text=size(track, change))


def _spread(track: Track) -> Cell:
    return NONE if track.noise is None else Quantity(track.noise, text=spread(track, track.noise))


def steps_of(history: History, track: Track) -> list[str]:
    """Return where the steps of a series are and how large, newest first."""
    return [
        ("" if change.latest == change.last_before + 1 else "~")
        + f"{history.visits[change.first].name} {history.visits[change.first].date} "
        + size(track, change.size)
        for change in reversed(track.changes)
    ] or [NONE if track.undecided else "none"]


def _steps(history: History, tracks: Sequence[Track]) -> Table:
    found = [(track, change) for track in tracks for change in track.changes]
    return Table(
        "Steps",
        ("commit", "date", "series", "change", "from", "to", "after", "by", "runs", "else changed"),
        tuple(
            _step(history, track, change)
            for track, change in sorted(found, key=lambda pair: -pair[1].first)
        ),
        "Newest first. A step begins later than the commit in the column after, and not later than "
        "that in the column by (95 %); so many runs have measured the new level.",
    )


def _step(history: History, track: Track, change: Change) -> tuple[Cell, ...]:
    first, after, by = (
        history.visits[i] for i in (change.first, change.last_before, change.latest)
    )
    return (
        first.name,
        first.date,
        title(history, track),
        _size(track, change.size),
        Quantity(change.before, unit=track.unit),
        Quantity(change.after, unit=track.unit),
        after.name,
        by.name,
        count(change.held),
        ", ".join(change.settings) or NONE,
    )


def _gaps(history: History, tracks: Sequence[Track]) -> Table:
    rows = []
    for track in tracks:
        for reason, first, last in _spans(track.gaps):
            names = [history.visits[i].name for i in dict.fromkeys((first, last))]
            rows.append((history.name(track), " to ".join(names), count(last - first + 1), reason))
    return Table(
        "Gaps",
        ("series", "commits", "runs", "why there is no value"),
        tuple(dict.fromkeys(rows)),  # what has no time has no memory
        folded=True,
    )


def _spans(gaps: Mapping[int, str]) -> Iterator[tuple[str, int, int]]:
    """Give each reason with the first and last of the visits on end that it holds for."""
    placed = enumerate(sorted(gaps.items()))
    for (reason, _), group in groupby(placed, key=lambda pair: (pair[1][1], pair[1][0] - pair[0])):
        visits = [i for _, (i, _) in group]
        yield reason, visits[0], visits[-1]


def _visits(history: History) -> Table:
    return Table(
        "Runs",
        ("commit", "date", "run", "made", "subject"),
        tuple(
            (
                visit.name,
                visit.date,
                visit.run_id,
                visit.header.created[:19].replace("T", " "),
                visit.known.subject if visit.known else NONE,
            )
            for visit in history.visits
        ),
        f"Oldest first, {history.order}. * had uncommitted changes.",
        folded=True,
    )


def _figures(history: History, tracks: Sequence[Track]) -> list[Figure]:
    """Return a figure for each problem, with its plots side by side."""
    stem = re.sub("[^A-Za-z0-9]+", "-", f"history-{history.fingerprint}-{tracks[0].quantity}")
    figures = []
    for i, own in enumerate(by_problem(tracks)):
        if plots := _plots(history, own):
            figures.append(
                Figure(
                    f"{stem}-{i + 1}" if i else stem,
                    f"{_title(history, own[0])}, against commits",
                    _caption(own[0]),
                    tuple(tuple(plots[j : j + _ABREAST]) for j in range(0, len(plots), _ABREAST)),
                )
            )
    return figures


def _caption(track: Track) -> str:
    counted = track.case_id is None or track.metric.noise == "exact"
    return (
        "A dot per run and a line for its level; dashes mark steps, with their first commit; "
        "triangles at the edge are runs beyond it."
        + (" Values are relative to the first level of each series." if track.by_ratio else "")
        + (" The exponents of a series are all over the same n." if track.case_id is None else "")
        + (" What is counted and never changed is in the table only." if counted else "")
    )


def _plots(history: History, tracks: Sequence[Track]) -> list[Plot]:
    """Return a plot for each configuration, a line for each n; of exponents one for each metric."""
    slopes = tracks[0].case_id is None
    keys = list(dict.fromkeys(track.key for track in tracks))
    sizes = sorted({track.sizes[0] for track in tracks})
    groups: dict[Case | Metric, list[Track]] = {}
    for track in tracks:
        groups.setdefault(track.metric if slopes else track.key, []).append(track)
    plots = []
    for own in groups.values():
        first = own[0]
        if all(track.exact and not track.changes for track in own):
            continue
        if slopes:
            name = f"Exponent of {words_of(first.metric.name)}"
            among = [track.key for track in own]
            lines = [_line(one, label_of(one.key, among), key=one.key) for one in own]
        else:
            name = label_of(first.key, keys)
            lines = [
                _line(one, f"n = {words.tokens(n)}", level=sizes.index(n) / max(1, len(sizes) - 1))
                for one in own
                for n in one.sizes
            ]
        plots.append(_plot(history, name, own, lines))
    return plots


def _line(track: Track, label: str, *, key: Case | None = None, level: float = 0.0) -> Line:
    """Return a track in its unit, or over its first level where changes are ratios."""
    unit = track.fit[track.present[0]] if track.by_ratio else 1.0
    return Line(
        label,
        tuple(float(i) for i in track.present),
        tuple(Interval(value / unit) for value in track.values),
        key,
        level=level,
        fit=tuple(track.fit[i] / unit for i in track.present),
    )


def _plot(history: History, name: str, tracks: Sequence[Track], lines: Sequence[Line]) -> Plot:
    track = tracks[0]
    events = [event.visit for event in events_of(tracks)]
    return Plot(
        title=name,
        x_label="commit",
        y_label="over its first level" if track.by_ratio else "",
        unit=words.RATIO if track.by_ratio else track.unit,
        lines=tuple(lines),
        scale="log" if track.by_ratio else "linear",
        x_labels=tuple(visit.name for visit in history.visits),
        marks=tuple(Mark(float(i), history.visits[i].name) for i in sorted(events)),
    )
