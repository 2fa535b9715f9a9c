"""One series over the runs of a history: its values, gaps, levels and steps."""

import math
import statistics
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from linbench import words
from linbench.run.case import Case
from linbench.run.metrics import Metric
from linbench.run.record import Record
from linbench.run.runs import (
    Run,
    Runs,
    Series,
    drop_incorrect,
    failure_record,
    series_by_case,
    series_of,
)
from linbench.stats.interval import Interval
from linbench.stats.steps import MIN_RUNS, Levels, find, find_exact
from linbench.studies.history.visits import Visit, differences
from linbench.studies.scaling.exponent import TAIL_SIZES, exponent, tail_sizes

K = TypeVar("K", bound=Hashable)

NOT_IN_RUN = "not in this run"
"""Why there is no value, where a run did not have the case."""
EXPONENT = "exponent"
"""The quantity of a track whose values are exponents; of others it is the name of the metric."""

_SAME = 1e-3  # counted values that differ by less, relatively, are the same level
_SAME_SLOPE = 0.01  # exponents of what is counted, likewise: what they are written to


@dataclass(frozen=True)
class Change:
    """A step of a track; all indices are those of the history's visits, bounds are at 95 %."""

    first: int
    """The first run of the new level: the best estimate of where it begins."""
    last_before: int
    """The last run that surely has the old level."""
    latest: int
    """The last run that may be the first of the new level."""
    size: Interval
    """New level over old, or new minus old (see `Track.by_ratio`)."""
    before: float
    after: float
    held: int
    """Runs that have measured the new level."""
    settings: tuple[str, ...]
    """What else changed between `last_before` and `latest`, in words."""


@dataclass(frozen=True)
class Track:
    """One series over the visits of a history: a metric of one case, or an exponent.

    Noise and what would be found are relative where changes are ratios, else in the unit.
    """

    metric: Metric
    """What was measured; what the exponent is of."""
    key: Case
    case_id: str | None
    """None for an exponent."""
    sizes: tuple[int, ...]
    """The n measured; those an exponent is taken over."""
    points: tuple[Interval | None, ...]
    """The value at each visit."""
    gaps: Mapping[int, str]
    """Why there is no value, by index of the visit."""
    exact: bool
    """Whether the values are counted, so that they have no noise."""
    fit: Mapping[int, float] = field(default_factory=dict)
    """The level at each visit with a value, by index."""
    changes: tuple[Change, ...] = ()
    """The steps, oldest first."""
    out_of_line: tuple[int, ...] = ()
    """Visits with a value that has no weight."""
    noise: float | None = None
    """Standard deviation of a run around its level; None where too few runs tell."""
    would_find: float | None = None
    """The smallest change that would have been found nearly always, had it lasted five runs."""
    undecided: str | None = None
    """Why steps are undecided."""

    @property
    def quantity(self) -> str:
        """The name of the metric, or `exponent`."""
        return EXPONENT if self.case_id is None else self.metric.name

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return words.EXPONENT if self.case_id is None else self.metric.unit

    @property
    def by_ratio(self) -> bool:
        """Whether changes are ratios: not of exponents, nor of a metric on a linear scale."""
        return self.case_id is not None and self.metric.scale == "log"

    @property
    def label(self) -> str:
        """Its configuration in words, n included."""
        if self.case_id is None:
            return f"{self.key.label}, {self.metric.name} over n={self.sizes[0]}..{self.sizes[-1]}"
        return self.key.at(self.sizes[0]).title

    @property
    def present(self) -> list[int]:
        """The visits with a value."""
        return [i for i, value in enumerate(self.points) if value is not None]

    @property
    def values(self) -> list[float]:
        """The values there are, in the order of the visits."""
        return [value.value for value in self.points if value is not None]

    @property
    def typical(self) -> float:
        """The size that differences are held against: 1 of exponents, never 0."""
        return 1.0 if self.case_id is None else statistics.median(map(abs, self.values)) or 1.0

    def worse(self, change: float) -> float:
        """Return how much worse a change makes things, in log units; an exponent by a doubling."""
        if self.by_ratio:
            found = math.log(change)
        else:
            found = change * math.log(2) if self.case_id is None else change / self.typical
        return found if self.metric.better == "less" else -found


def tracks_of(runs: Sequence[Run], visits: Sequence[Visit]) -> tuple[Track, ...]:
    """Follow each metric of every case, then every exponent, over the runs of one machine."""
    metrics = Runs(tuple(runs)).metrics
    # one description of a metric for all, whether or not a run has its own
    update = {"metrics": metrics}
    described = [replace(run, header=run.header.model_copy(update=update)) for run in runs]
    records = (record for run in runs for record in drop_incorrect(run.records))
    together = Runs.of(described[0].header, records)
    cases, slopes = [], []
    for metric in metrics:
        order = together.series(metric.name, unplaced=True)
        cases += _case_tracks(described, metric, order)
        if metric.is_cost:
            slopes += _slope_tracks(described, metric, order)
    tracks = [*cases, *slopes]
    noisy = [track for track in tracks if not track.exact]
    found = iter(
        find([(_y(track), [visits[i].revision for i in track.present]) for track in noisy])
    )
    return tuple(
        _with_levels(track, _exact_levels(track) if track.exact else next(found), visits)
        for track in tracks
    )


def _by_key(runs: Iterable[Mapping[K, Series]]) -> dict[K, dict[int, Series]]:
    """Return the series of each key by the index of the run."""
    found: dict[K, dict[int, Series]] = {}
    for i, own in enumerate(runs):
        for key, series in own.items():
            found.setdefault(key, {})[i] = series
    return found


def _case_tracks(runs: Sequence[Run], metric: Metric, order: Sequence[Series]) -> list[Track]:
    records = [run.by_case() for run in runs]
    places = ((series.key, n) for series in order for n in series.sizes)
    rank = {place: i for i, place in enumerate(places)}
    every = range(len(runs))
    tracks = []
    for case_id, measured in _by_key(series_by_case(run, metric.name) for run in runs).items():
        first = next(iter(measured.values()))
        (n,) = first.sizes
        points = tuple(measured[i].point(n).value if i in measured else None for i in every)
        gaps = {i: _reason(records[i].get(case_id, ()), metric) for i in every if i not in measured}
        exact = _exact(measured.values())
        tracks.append(Track(metric, first.key, case_id, (n,), points, gaps, exact))
    return sorted(tracks, key=lambda track: rank[track.key, track.sizes[0]])


def _exact(series: Collection[Series]) -> bool:
    """Say whether all runs counted, and in one way."""
    sources = {source for own in series for source in own.sources}
    return len(sources) == 1 and all(own.noiseless for own in series)


def _reason(own: Sequence[Record], metric: Metric) -> str:
    if not own:
        return NOT_IN_RUN
    failed = [record for record in own if record.status != "ok"]
    return failure_record(failed).failure if failed else f"no {metric.name} measured"


def _slope_tracks(runs: Sequence[Run], metric: Metric, order: Sequence[Series]) -> list[Track]:
    """Return the exponents of each configuration, all of them over the same sizes.

    An exponent depends on where it is taken: were a run that lacks the largest n given one over
    what it has, the curve between the sizes would pass for a change. Sizes that most runs measured
    are the basis; runs without one of them have no exponent.
    """
    found = _by_key({series.key: series for series in series_of(run, metric.name)} for run in runs)
    tracks = []
    for key in dict.fromkeys(series.key for series in order):
        measured = found[key]
        runs_at = Counter(n for series in measured.values() for n in series.sizes)
        usual = {n for n, count in runs_at.items() if 2 * count > len(measured)}
        fullest = max(measured.values(), key=lambda series: len(usual & set(series.sizes)))
        sizes = tail_sizes(fullest.over(usual))
        if len(sizes) < TAIL_SIZES:
            continue
        points: list[Interval | None] = []
        gaps: dict[int, str] = {}
        for i in range(len(runs)):
            series = measured.get(i)
            missing = sorted(set(sizes) - set(series.sizes if series else ()))
            points.append(exponent(series, sizes).slope if series and not missing else None)
            if missing:
                gaps[i] = f"not measured at n = {', '.join(map(str, missing))}"
        exact = _exact(measured.values())
        tracks.append(Track(metric, key, None, tuple(sizes), tuple(points), gaps, exact))
    return tracks


def _y(track: Track) -> list[float]:
    """Return the values as steps are looked for in them: changes are differences, near 1 large."""
    if track.by_ratio:
        return [math.log(value) for value in track.values]
    return [value / track.typical for value in track.values]


def _exact_levels(track: Track) -> Levels:
    same = math.log1p(_SAME) if track.by_ratio else _SAME
    return find_exact(_y(track), _SAME_SLOPE if track.case_id is None else same)


def _with_levels(track: Track, levels: Levels, visits: Sequence[Visit]) -> Track:
    """Return a track with its levels, in its own unit and with indices of visits."""
    present, unit = track.present, track.typical
    fit = [math.exp(y) if track.by_ratio else y * unit for y in levels.fit.tolist()]
    ends = [*(step.first for step in levels.steps), len(present)][1:]
    changes = []
    for step, end in zip(levels.steps, ends, strict=True):
        last_before, latest = present[step.earliest - 1], present[step.latest]
        changes.append(
            Change(
                first=present[step.first],
                last_before=last_before,
                latest=latest,
                size=step.change.exp() if track.by_ratio else _scaled(step.change, unit),
                before=fit[step.earliest - 1],
                after=fit[step.latest],
                held=sum(i not in levels.out_of_line for i in range(step.first, end)),
                settings=differences(visits[last_before], visits[latest]),
            )
        )
    noise, would_find = (
        None if spread is None else math.expm1(spread) if track.by_ratio else spread * unit
        for spread in (levels.noise, levels.would_find)
    )
    return replace(
        track,
        fit=dict(zip(present, fit, strict=True)),
        changes=tuple(changes),
        out_of_line=tuple(present[i] for i in levels.out_of_line),
        noise=noise,
        would_find=would_find,
        undecided=_undecided(track, levels, {visits[i].revision for i in present}),
    )


def _scaled(interval: Interval, by: float) -> Interval:
    low, high = (None if end is None else end * by for end in (interval.low, interval.high))
    return Interval(interval.value * by, low, high)


def _undecided(track: Track, levels: Levels, revisions: set[str]) -> str | None:
    runs, needed = len(track.present), 2 if track.exact else MIN_RUNS
    if runs < needed:
        return f"it takes {needed} runs to detect a step, there are {runs}"
    if not track.exact and len(revisions) < 2:
        return "all runs are of one commit"
    return None if levels.would_find is not None else "too few runs are in line to detect a step"
