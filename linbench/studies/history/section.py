"""The history of many runs as a section of a report: sentences, figures and tables."""

import re
from collections.abc import Sequence
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
from linbench.studies.history.tracks import Track
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
    "First and latest are levels, or what single runs measured where steps are undecided. Run to "
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
            said = (heading(history), *sentences(history), METHOD)
            found.append(replace(section_of(history), sentences=said))
    return found


def section_of(history: History) -> Section:
    """Return the figures and tables of one history, and how steps are found."""
    several = len(by_problem(history.tracks)) > 1
    levels, figures = [], []
    for quantity in history.shown:
        for i, own in enumerate(by_problem(history.of(quantity))):
            title = _title(own[0], several=several)
            rows = tuple((*row_of(track), "; ".join(steps_of(history, track))) for track in own)
            levels.append(Table(title, (*COLUMNS, STEPS), rows))
            stem = f"history-{history.fingerprint}-{quantity}{f'-{i + 1}' if i else ''}"
            figures.append(_figure(history, stem, title, own))
    tracks = history.of(*history.shown)
    tables = [*levels, _steps(history, tracks), _gaps(history, tracks), _visits(history)]
    tables[0] = replace(tables[0], note=_NOTE)
    return Section(
        title=f"History on {history.machine} ({history.fingerprint})",
        sentences=(METHOD,),
        figures=tuple(figure for figure in figures if figure.rows),
        tables=tuple(table for table in tables if table.rows),
    )


def by_problem(tracks: Sequence[Track]) -> list[list[Track]]:
    """Group tracks by the problem (scope, mode, shape) they are about."""
    problems: dict[Case, list[Track]] = {}
    for track in tracks:
        problems.setdefault(track.key.problem, []).append(track)
    return list(problems.values())


def _title(track: Track, *, several: bool) -> str:
    what = "exponent" if track.case_id is None else wording(track.metric).of_a_call
    problem = track.key.problem_words if several else ()
    return capital(", ".join(dict.fromkeys((what, *problem))))  # a task may bear its metric's name


def row_of(track: Track) -> tuple[Cell, ...]:
    """Return the cells of a series under `COLUMNS`."""
    levels = track.values if track.undecided else list(track.fit.values())
    first, latest = levels[0], levels[-1]
    moved = (track.changes or track.undecided) and len(levels) > 1
    change = Interval(latest / first if track.by_ratio else latest - first)
    noise: Cell = "exact" if track.exact else NONE
    if track.noise is not None and not track.exact:
        noise = Quantity(track.noise, text=spread(track, track.noise))
    return (
        track.label,
        Quantity(first, unit=track.unit),
        Quantity(latest, unit=track.unit),
        _size(track, change) if moved else NONE,
        noise,
    )


def _size(track: Track, change: Interval) -> Quantity:
    return Quantity(change.value, change.low, change.high, text=size(track, change))


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
    rows = []
    for track, change in sorted(found, key=lambda pair: -pair[1].first):
        places = (change.first, change.last_before, change.latest)
        first, after, by = (history.visits[i] for i in places)
        row: tuple[Cell, ...] = (
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
        rows.append(row)
    return Table(
        "Steps",
        ("commit", "date", "series", "change", "from", "to", "after", "by", "runs", "else changed"),
        tuple(rows),
        "Newest first. A step begins later than the commit in the column after, and not later than "
        "that in the column by (95 %); so many runs have measured the new level.",
    )


def _gaps(history: History, tracks: Sequence[Track]) -> Table:
    rows = []
    for track in tracks:
        places = enumerate(sorted(track.gaps.items()))
        # visits on end lie equally far ahead of their place in the list
        for (reason, _), group in groupby(places, lambda pair: (pair[1][1], pair[1][0] - pair[0])):
            visits = [history.visits[i].name for _, (i, _) in group]
            commits = visits[0] if len(visits) == 1 else f"{visits[0]} to {visits[-1]}"
            rows.append((history.name(track), commits, count(len(visits)), reason))
    return Table(
        "Gaps",
        ("series", "commits", "runs", "why there is no value"),
        tuple(dict.fromkeys(rows)),  # what has no time has no memory
        folded=True,
    )


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


def _figure(history: History, stem: str, title: str, tracks: Sequence[Track]) -> Figure:
    plots = _plots(history, tracks) if len(history.visits) > 1 else []
    return Figure(
        re.sub("[^A-Za-z0-9]+", "-", stem),
        f"{title}, against commits",
        _caption(tracks[0]),
        tuple(tuple(plots[i : i + _ABREAST]) for i in range(0, len(plots), _ABREAST)),
    )


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
    keys = [track.key for track in tracks]
    sizes = sorted({track.sizes[0] for track in tracks})
    plots: dict[str, list[Track]] = {}
    for track in tracks:
        slope = f"Exponent of {words_of(track.metric.name)}" if track.case_id is None else ""
        plots.setdefault(slope or label_of(track.key, keys), []).append(track)
    return [
        _plot(history, name, own, sizes)
        for name, own in plots.items()
        if any(track.changes or not track.exact for track in own)
    ]


def _plot(history: History, name: str, tracks: Sequence[Track], sizes: Sequence[int]) -> Plot:
    """Return tracks in their unit, or over their first level where changes are ratios."""
    first, keys = tracks[0], [track.key for track in tracks]
    slopes = first.case_id is None
    lines = []
    for track in tracks:
        n, levels = track.sizes[0], list(track.fit.values())
        unit = levels[0] if track.by_ratio else 1.0
        line = Line(
            label_of(track.key, keys) if slopes else f"n = {n}",
            tuple(map(float, track.present)),
            tuple(Interval(value / unit) for value in track.values),
            track.key if slopes else None,
            level=0.0 if slopes else sizes.index(n) / max(1, len(sizes) - 1),
            fit=tuple(level / unit for level in levels),
        )
        lines.append(line)
    events = sorted(event.visit for event in events_of(tracks))
    return Plot(
        title=name,
        x_label="commit",
        y_label="over its first level" if first.by_ratio else "",
        unit=words.RATIO if first.by_ratio else first.unit,
        lines=tuple(lines),
        scale="log" if first.by_ratio else "linear",
        x_labels=tuple(visit.name for visit in history.visits),
        marks=tuple(Mark(float(i), history.visits[i].name) for i in events),
    )
