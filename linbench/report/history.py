"""The history of many runs as a section of a report: sentences, figures and tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from linbench.analysis.history import MIN_REVISIONS, History, events_of, histories_of
from linbench.analysis.series import Panel
from linbench.analysis.stats import Interval
from linbench.analysis.tracks import QUANTITIES, Quantity, Track
from linbench.analysis.visits import Commit
from linbench.report import words
from linbench.report.charts import label_of
from linbench.report.content import Figure, Line, Mark, Plot, Section, Table
from linbench.report.steps import METHOD, heading, sentences, size, spread, value

if TYPE_CHECKING:
    import pandas as pd

_NONE = "\N{EN DASH}"
_TITLES: dict[Quantity, str] = {
    "time": "Time of one call",
    "memory": "Peak memory of one call",
    "exponent": "Exponent",
}
_UNCHANGED = "What is counted and never changed is in the table only."
_CAPTIONS: dict[Quantity, str] = {
    "time": "Values are relative to the first level of each series.",
    "memory": f"Values are relative to the first level of each series. {_UNCHANGED}",
    "exponent": f"The exponents of a series are all over the same n. {_UNCHANGED}",
}
_ABREAST = 2  # plots
COLUMNS = ("series", "first", "latest", "change", "run to run", "steps, newest first")
"""What `rows_of` tells of each series."""
_NOTE = (
    "First and latest are levels, where steps can be told, else what single runs measured. Run to "
    "run is the standard deviation of a run around its level. ~ marks a date that is known to "
    "within a few runs only, see Steps."
)


def sections_of(
    headers: Sequence[Mapping[str, Any]],
    frame: "pd.DataFrame",
    commits: Mapping[str, Commit] | None = None,
) -> list[Section]:
    """Return a section for each machine that measured three or more revisions.

    Args:
        headers: The header of each run.
        frame: Their records in one table.
        commits: What the repository at hand knows of their commits.
    """
    sections = []
    for history in histories_of(headers, frame, commits):
        if history.revisions >= MIN_REVISIONS and history.tracks:
            section = section_of(history, QUANTITIES)
            said = (heading(history), *sentences(history, QUANTITIES), *section.sentences)
            sections.append(replace(section, sentences=said))
    return sections


def section_of(history: History, quantities: Sequence[Quantity]) -> Section:
    """Return the figures and tables of one history, and how steps are found.

    Args:
        history: What one machine measured.
        quantities: What of it.
    """
    shown = [own for quantity in quantities if (own := history.of(quantity))]
    drawn = shown if len(history.visits) > 1 else []
    tracks = [track for own in shown for track in own]
    tables = [
        *(
            Table(_title(alike[0], history), COLUMNS, tuple(rows_of(history, alike)))
            for own in shown
            for alike in by_problem(own)
        ),
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
    panels: dict[Panel, list[Track]] = {}
    for track in tracks:
        panels.setdefault(track.setup.panel, []).append(track)
    return list(panels.values())


def _title(track: Track, history: History) -> str:
    several = len({one.setup.panel for one in history.tracks}) > 1
    return f"{_TITLES[track.quantity]}{f', {track.at}' if several else ''}"


def rows_of(history: History, tracks: Sequence[Track]) -> list[tuple[str, ...]]:
    """Return a row of `COLUMNS` per series."""
    return [
        (
            track.label,
            *_ends(track),
            "exact" if track.exact else spread(track, track.noise) or _NONE,
            _told(history, track),
        )
        for track in tracks
    ]


def _ends(track: Track) -> tuple[str, str, str]:
    """Write the first and the latest level (or run, where levels cannot be told) and the change."""
    levels = [point.value for point in track.points if point is not None]
    if track.untold is None:
        levels = [track.fit[i] for i in track.present]
    first, latest = levels[0], levels[-1]
    change = latest - first if track.quantity == "exponent" else latest / first
    moved = track.changes or track.untold
    said = size(track, Interval(change)) if moved and len(levels) > 1 else _NONE
    return value(track, first), value(track, latest), said


def _told(history: History, track: Track) -> str:
    found = [
        ("" if change.latest == change.last_before + 1 else "~")
        + f"{history.visits[change.first].name} {history.visits[change.first].date} "
        + size(track, change.size)
        for change in reversed(track.changes)
    ]
    return "; ".join(found) or (_NONE if track.untold else "none")


def _steps(history: History, tracks: Sequence[Track]) -> Table:
    visits = history.visits
    found = [(track, change) for track in tracks for change in track.changes]
    return Table(
        "Steps",
        ("commit", "date", "series", "change", "from", "to", "after", "by", "runs", "else changed"),
        tuple(
            (
                visits[change.first].name,
                visits[change.first].date,
                f"{track.quantity} of {history.name(track)}",
                size(track, change.size),
                value(track, change.before),
                value(track, change.after),
                visits[change.last_before].name,
                visits[change.latest].name,
                str(change.held),
                ", ".join(change.settings) or _NONE,
            )
            for track, change in sorted(found, key=lambda pair: -pair[1].first)
        ),
        "Newest first. A step begins later than the commit in the column after, and not later than "
        "that in the column by (95 %); so many runs have measured the new level.",
    )


def _gaps(history: History, tracks: Sequence[Track]) -> Table:
    rows = []
    for track in tracks:
        for reason, first, last in _spans(track.gaps):
            names = [history.visits[i].name for i in dict.fromkeys((first, last))]
            rows.append((history.name(track), " to ".join(names), str(last - first + 1), reason))
    return Table(
        "Gaps",
        ("series", "commits", "runs", "why there is no value"),
        tuple(dict.fromkeys(rows)),  # what has no time has no memory
        folded=True,
    )


def _spans(gaps: Mapping[int, str]) -> list[tuple[str, int, int]]:
    """Return each reason with the first and last of the visits on end that it holds for."""
    spans: list[tuple[str, int, int]] = []
    for i, reason in sorted(gaps.items()):
        if spans and spans[-1][0] == reason and spans[-1][2] == i - 1:
            spans[-1] = (reason, spans[-1][1], i)
        else:
            spans.append((reason, i, i))
    return spans


def _visits(history: History) -> Table:
    return Table(
        "Runs",
        ("commit", "date", "run", "made", "subject"),
        tuple(
            (
                visit.name,
                visit.date,
                visit.run_id,
                visit.created[:19].replace("T", " "),
                visit.known.subject if visit.known else _NONE,
            )
            for visit in history.visits
        ),
        f"Oldest first, {history.order}. * had uncommitted changes.",
        folded=True,
    )


def _figures(history: History, tracks: Sequence[Track]) -> list[Figure]:
    """Return a figure for each problem: a plot for each configuration, a line for each n."""
    quantity = tracks[0].quantity
    stem = re.sub("[^A-Za-z0-9]+", "-", f"history-{history.fingerprint}-{quantity}")
    figures = []
    for i, own in enumerate(by_problem(tracks)):
        plots = _slopes(history, own) if quantity == "exponent" else _costs(history, own)
        if plots:
            figures.append(
                Figure(
                    f"{stem}-{i + 1}" if i else stem,
                    f"{_title(own[0], history)}, against commits",
                    "A dot per run and a line for its level; dashes mark steps, with their first "
                    f"commit; triangles at the edge are runs beyond it. {_CAPTIONS[quantity]}",
                    tuple(tuple(plots[j : j + _ABREAST]) for j in range(0, len(plots), _ABREAST)),
                )
            )
    return figures


def _costs(history: History, tracks: Sequence[Track]) -> list[Plot]:
    sizes = sorted({track.sizes[0] for track in tracks})
    setups = list(dict.fromkeys(track.setup for track in tracks))
    plots = []
    for setup in setups:
        own = [track for track in tracks if track.setup == setup]
        if all(track.exact and not track.changes for track in own):
            continue
        lines = [
            _line(
                track,
                f"n = {words.tokens(track.sizes[0])}",
                track.fit[track.present[0]],
                sizes.index(track.sizes[0]) / max(1, len(sizes) - 1),
            )
            for track in own
        ]
        plots.append(_plot(history, label_of(setup, setups), own, lines))
    return plots


def _slopes(history: History, tracks: Sequence[Track]) -> list[Plot]:
    plots = []
    for cost in dict.fromkeys(track.cost for track in tracks):
        own = [track for track in tracks if track.cost == cost]
        setups = [track.setup for track in own]
        lines = [_line(track, label_of(track.setup, setups), 1.0, None) for track in own]
        if any(track.changes or not track.exact for track in own):
            plots.append(_plot(history, f"Exponent of {cost}", own, lines))
    return plots


def _line(track: Track, label: str, unit: float, level: float | None) -> Line:
    """Return a track in units of a value, coloured by its level or else by its configuration."""
    return Line(
        label,
        tuple(float(i) for i in track.present),
        tuple(Interval(point.value / unit) for point in track.points if point is not None),
        None if level is not None else track.setup,
        level or 0.0,
        fit=tuple(track.fit[i] / unit for i in track.present),
    )


def _plot(history: History, title: str, tracks: Sequence[Track], lines: Sequence[Line]) -> Plot:
    slopes = tracks[0].quantity == "exponent"
    events = [event.visit for event in events_of(tracks)]
    return Plot(
        title=title,
        x_label="commit",
        y_label="" if slopes else "over its first level",
        unit="slope" if slopes else "ratio",
        lines=tuple(lines),
        x_labels=tuple(visit.name for visit in history.visits),
        marks=tuple(Mark(float(i), history.visits[i].name) for i in sorted(events)),
    )
