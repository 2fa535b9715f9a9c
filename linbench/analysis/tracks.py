"""One series over the runs of a history: its values, gaps, levels and steps."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from linbench.analysis.exponent import TAIL_SIZES, exponent, tail_sizes
from linbench.analysis.series import (
    Metric,
    Series,
    Setup,
    never_wrong,
    series_of_rows,
    spoiler,
)
from linbench.analysis.stats import Interval
from linbench.analysis.steps import MIN_RUNS, Levels, Values, find_exact
from linbench.analysis.visits import Visit, differences

Quantity = Literal["time", "memory", "exponent"]
QUANTITIES: tuple[Quantity, ...] = ("time", "memory", "exponent")
NOT_IN_RUN = "not in this run"
"""Why there is no value, where a run did not have the case."""

_COSTS: tuple[Metric, ...] = ("time", "memory")
_COUNTED = {"cpu_allocator", "cuda_allocator"}  # sources of memory that count bytes
_SAME = math.log(1.001)  # counted bytes that differ by less are the same level
_SAME_SLOPE = 0.01  # exponents of counted bytes, likewise: what they are written to


@dataclass(frozen=True)
class Change:
    """A step of a track; all indices are those of the history's visits.

    Attributes:
        first: The first run of the new level: the best estimate of where it begins.
        last_before: The last run that surely has the old level, at 95 %.
        latest: The last run that may be the first of the new level, at 95 %.
        size: New level over old with its interval; of exponents, new minus old.
        before: The old level.
        after: The new one.
        held: Runs that have measured the new level.
        settings: What else changed between `last_before` and `latest`, in words.
    """

    first: int
    last_before: int
    latest: int
    size: Interval
    before: float
    after: float
    held: int
    settings: tuple[str, ...]


@dataclass(frozen=True)
class Track:
    """One series over the visits of a history.

    Attributes:
        quantity: time (seconds), memory (bytes), or exponent.
        cost: What the exponent is of; else the same as `quantity`.
        label: Its configuration in words, n included.
        case_id: The case; None for an exponent.
        setup: Its configuration; `run_id` is empty.
        sizes: The n measured; those an exponent is taken over.
        points: The value at each visit, None where there is none.
        gaps: Why there is no value, by index of the visit.
        exact: Whether the values are counted, so that they have no noise.
        fit: The level at each visit with a value, by index.
        changes: The steps, oldest first.
        out_of_line: Visits with a value that has no weight.
        noise: Standard deviation of a run around its level: relative, of exponents absolute; None
            where too few runs tell.
        would_find: The smallest change that would have been found nearly always, had it lasted
            five runs: relative, of exponents absolute; None where `untold`.
        untold: Why steps cannot be told, or None.
    """

    quantity: Quantity
    cost: Metric
    label: str
    case_id: str | None
    setup: Setup
    sizes: tuple[int, ...]
    points: tuple[Interval | None, ...]
    gaps: Mapping[int, str]
    exact: bool
    fit: Mapping[int, float] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    out_of_line: tuple[int, ...] = ()
    noise: float | None = None
    would_find: float | None = None
    untold: str | None = None

    @property
    def present(self) -> list[int]:
        """The visits with a value."""
        return [i for i, value in enumerate(self.points) if value is not None]

    @property
    def at(self) -> str:
        """Scope, mode and shape in words."""
        return self.setup.panel.label


def tracks_of(runs: Sequence[str], rows: Sequence[dict[str, Any]]) -> list[Track]:
    """Follow every case, and the exponents of every configuration, over runs; no levels yet.

    Args:
        runs: The runs in order.
        rows: The rows of their records.
    """
    by_case: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_case.setdefault(str(row["case_id"]), []).append(row)
    tracks: list[Track] = []
    for cost in _COSTS:
        places = {key: i for i, key in enumerate(_places(rows, cost))}
        found = [(case, series_of_rows(own, cost)) for case, own in by_case.items()]
        ordered = sorted(
            ((case, series) for case, series in found if series),
            key=lambda pair: places[_place(pair[1][0])],
        )
        tracks += [_case_track(runs, case, by_case[case], series) for case, series in ordered]
    for cost in _COSTS:
        setups: dict[Setup, list[Series]] = {setup: [] for setup, _ in _places(rows, cost)}
        for series in series_of_rows(rows, cost):
            setups[_anywhere(series.setup)].append(series)
        slopes = (_slope_track(runs, setup, series) for setup, series in setups.items())
        tracks += [track for track in slopes if track is not None]
    return tracks


def _anywhere(setup: Setup) -> Setup:
    return replace(setup, run_id="")


def _place(series: Series) -> tuple[Setup, int]:
    return _anywhere(series.setup), series.sizes[0]


def _places(rows: Sequence[dict[str, Any]], cost: Metric) -> list[tuple[Setup, int]]:
    """Return what was measured in the order a reader expects: by configuration, then by n."""
    as_one_run = series_of_rows(({**row, "run_id": ""} for row in never_wrong(rows)), cost)
    return [(series.setup, n) for series in as_one_run for n in series.sizes]


def _case_track(
    runs: Sequence[str], case_id: str, rows: Sequence[dict[str, Any]], series: Sequence[Series]
) -> Track:
    first = series[0]
    (n,) = first.sizes
    points = {one.setup.run_id: one.point(n) for one in series}
    values = [points[run].value if run in points else None for run in runs]
    sources = {cell.source for one in series for cell in one.cells}
    return Track(
        quantity="time" if first.metric == "time" else "memory",
        cost=first.metric,
        label=f"{first.setup.label} n={n}",
        case_id=case_id,
        setup=_anywhere(first.setup),
        sizes=(n,),
        points=tuple(values),
        gaps={
            i: _reason(rows, run, first.metric) for i, run in enumerate(runs) if values[i] is None
        },
        exact=first.metric == "memory" and sources <= _COUNTED and _agree(values),
    )


def _agree(values: Iterable[Interval | None]) -> bool:
    """Say whether the rounds of every run agree, as far as there are several."""
    return all(value.low == value.high for value in values if value is not None)


def _reason(rows: Sequence[dict[str, Any]], run: str, cost: Metric) -> str:
    own = [row for row in rows if row["run_id"] == run]
    if not own:
        return NOT_IN_RUN
    failed = [row for row in own if row["status"] != "ok"]
    if not failed:
        return f"no {cost} measured"
    return failure(spoiler(failed))


def _slope_track(runs: Sequence[str], setup: Setup, series: Sequence[Series]) -> Track | None:
    """Return the exponents of one configuration, all of them over the same sizes.

    An exponent depends on where it is taken: were a run that lacks the largest n given one over
    what it has, the curve between the sizes would pass for a change. Sizes that most runs measured
    are the basis; runs without one of them have no exponent.
    """
    measured = {one.setup.run_id: one for one in series}
    counts: dict[int, int] = {}
    for one in series:
        for n in one.sizes:
            counts[n] = counts.get(n, 0) + 1
    usual = {n for n, count in counts.items() if 2 * count > len(series)}
    fullest = max(series, key=lambda one: len(usual & set(one.sizes)))
    cells = tuple(cell for cell in fullest.cells if cell.n in usual)
    sizes = tail_sizes(replace(fullest, cells=cells))
    if len(sizes) < TAIL_SIZES:
        return None
    values: list[Interval | None] = []
    gaps: dict[int, str] = {}
    for i, run in enumerate(runs):
        one_run = measured.get(run)
        missing = sorted(set(sizes) - set(one_run.sizes if one_run else ()))
        values.append(None if one_run is None or missing else exponent(one_run, sizes).slope)
        if missing:
            gaps[i] = f"not measured at n = {', '.join(map(str, missing))}"
    cost = series[0].metric
    sources = {cell.source for one in series for cell in one.cells}
    return Track(
        quantity="exponent",
        cost=cost,
        label=f"{setup.label}, {cost} over n={sizes[0]}..{sizes[-1]}",
        case_id=None,
        setup=setup,
        sizes=tuple(sizes),
        points=tuple(values),
        gaps=gaps,
        exact=cost == "memory" and sources <= _COUNTED and _agree(values),
    )


def _y(track: Track) -> list[float]:
    found = [value.value for value in track.points if value is not None]
    return found if track.quantity == "exponent" else [math.log(value) for value in found]


def values_of(track: Track, revisions: Sequence[int]) -> Values:
    """Return what to look for steps in; `revisions` are those of all visits."""
    return Values(_y(track), [revisions[i] for i in track.present])


def exact_levels(track: Track) -> Levels:
    """Return the levels of a track without noise."""
    return find_exact(_y(track), _SAME_SLOPE if track.quantity == "exponent" else _SAME)


def with_levels(track: Track, levels: Levels, visits: Sequence[Visit]) -> Track:
    """Return a track with its levels, in its own unit and with indices of visits."""
    slope, present = track.quantity == "exponent", track.present
    fit = [float(y) if slope else math.exp(y) for y in levels.fit]
    ends = [*(step.first for step in levels.steps), len(present)][1:]
    changes = []
    for step, end in zip(levels.steps, ends, strict=True):
        last_before, latest = present[step.earliest - 1], present[step.latest]
        changes.append(
            Change(
                first=present[step.first],
                last_before=last_before,
                latest=latest,
                size=step.change if slope else step.change.exp(),
                before=fit[step.earliest - 1],
                after=fit[step.latest],
                held=sum(i not in levels.out_of_line for i in range(step.first, end)),
                settings=differences(visits[last_before].settings, visits[latest].settings),
            )
        )
    spreads = [
        spread if slope or spread is None else math.expm1(spread)
        for spread in (levels.noise, levels.would_find)
    ]
    return replace(
        track,
        fit=dict(zip(present, fit, strict=True)),
        changes=tuple(changes),
        out_of_line=tuple(present[i] for i in levels.out_of_line),
        noise=spreads[0],
        would_find=spreads[1],
        untold=_untold(track, levels, [visits[i].revision for i in present]),
    )


def _untold(track: Track, levels: Levels, revisions: Sequence[int]) -> str | None:
    needed = 2 if track.exact else MIN_RUNS
    if len(revisions) < needed:
        return f"it takes {needed} runs to tell steps, there are {len(revisions)}"
    if not track.exact and len(set(revisions)) < 2:
        return "all runs are of one commit"
    return None if levels.would_find is not None else "too few runs are in line to tell steps"


def failure(row: Mapping[str, Any]) -> str:
    """Say why a record is no measurement: its status, and the reason."""
    return f"{row['status']}: {row['reason']}" if row["reason"] else str(row["status"])
