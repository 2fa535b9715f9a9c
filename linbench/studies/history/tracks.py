"""One series over the runs of a history: its values, gaps, levels and steps."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

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
from linbench.stats.steps import MIN_RUNS, Levels, Values, find, find_exact
from linbench.studies.history.visits import Visit, differences
from linbench.studies.scaling.exponent import TAIL_SIZES, exponent, tail_sizes

NOT_IN_RUN = "not in this run"
"""Why there is no value, where a run did not have the case."""
EXPONENT = "exponent"
"""The quantity of a track whose values are exponents; of others it is the name of the metric."""

_SAME = 1e-3  # counted values that differ by less, relatively, are the same level
_SAME_SLOPE = 0.01  # exponents of what is counted, likewise: what they are written to


@dataclass(frozen=True)
class Change:
    """A step of a track; all indices are those of the history's visits.

    Attributes:
        first: The first run of the new level: the best estimate of where it begins.
        last_before: The last run that surely has the old level, at 95 %.
        latest: The last run that may be the first of the new level, at 95 %.
        size: New level over old with its interval, or new minus old (see `Track.by_ratio`).
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
    """One series over the visits of a history: a metric of one case, or an exponent.

    Attributes:
        metric: What was measured; what the exponent is of.
        key: The configuration.
        case_id: The case; None for an exponent.
        sizes: The n measured; those an exponent is taken over.
        points: The value at each visit, None where there is none.
        gaps: Why there is no value, by index of the visit.
        exact: Whether the values are counted, so that they have no noise.
        fit: The level at each visit with a value, by index.
        changes: The steps, oldest first.
        out_of_line: Visits with a value that has no weight.
        noise: Standard deviation of a run around its level: relative where changes are ratios,
            else in the unit; None where too few runs tell.
        would_find: The smallest change that would have been found nearly always, had it lasted
            five runs, likewise; None where `undecided`.
        undecided: Why steps cannot be told, or None.
    """

    metric: Metric
    key: Case
    case_id: str | None
    sizes: tuple[int, ...]
    points: tuple[Interval | None, ...]
    gaps: Mapping[int, str]
    exact: bool
    fit: Mapping[int, float] = field(default_factory=dict)
    changes: tuple[Change, ...] = ()
    out_of_line: tuple[int, ...] = ()
    noise: float | None = None
    would_find: float | None = None
    undecided: str | None = None

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
        """Return how much worse a change makes things, in log units; an exponent by a doubling.

        Args:
            change: A ratio or a difference, as changes of this track are.
        """
        if self.by_ratio:
            found = math.log(change)
        else:
            found = change * math.log(2) if self.case_id is None else change / self.typical
        return found if self.metric.better == "less" else -found


def tracks_of(runs: Sequence[Run], visits: Sequence[Visit]) -> tuple[Track, ...]:
    """Follow each metric of every case, then every exponent, and cut them into levels.

    Args:
        runs: The runs of one machine in order.
        visits: Their places in the history.
    """
    metrics = Runs(tuple(runs)).metrics
    # one description of a metric for all, whether or not a run has its own
    described = [replace(run, header=run.header.model_copy(update={"metrics": metrics}))
                 for run in runs]  # fmt: skip
    cases, slopes = [], []
    for metric in metrics:
        places = _places(described, metric)
        cases += _case_tracks(described, metric, {place: i for i, place in enumerate(places)})
        if metric.scale == "log":
            slopes += _slope_tracks(described, metric, [key for key, _ in places])
    tracks = [*cases, *slopes]
    revisions = [visit.revision for visit in visits]
    noisy = [track for track in tracks if not track.exact]
    found = iter(
        find([Values(_y(track), [revisions[i] for i in track.present]) for track in noisy])
    )
    return tuple(
        _with_levels(track, _exact_levels(track) if track.exact else next(found), visits)
        for track in tracks
    )


def _places(runs: Sequence[Run], metric: Metric) -> list[tuple[Case, int]]:
    """Return what was measured in the order a reader expects: by configuration, then by n."""
    records = (record for run in runs for record in drop_incorrect(run.records))
    together = Runs.of(runs[0].header, records)
    return [(one.key, n) for one in together.series(metric.name, unplaced=True) for n in one.sizes]


def _case_tracks(
    runs: Sequence[Run], metric: Metric, places: Mapping[tuple[Case, int], int]
) -> list[Track]:
    found: dict[str, dict[int, Series]] = {}
    for i, run in enumerate(runs):
        for case_id, series in series_by_case(run, metric.name).items():
            found.setdefault(case_id, {})[i] = series
    records = [run.by_case() for run in runs]
    tracks = []
    for case_id, measured in found.items():
        first = next(iter(measured.values()))
        (n,) = first.sizes
        gaps = {
            i: _reason(own.get(case_id, ()), metric)
            for i, own in enumerate(records)
            if i not in measured
        }
        points = {i: series.point(n).value for i, series in measured.items()}
        every = tuple(points.get(i) for i in range(len(runs)))
        exact = _exact(list(measured.values()))
        tracks.append(Track(metric, first.key, case_id, (n,), every, gaps, exact))
    return sorted(tracks, key=lambda track: places[track.key, track.sizes[0]])


def _exact(series: Sequence[Series]) -> bool:
    """Say whether all runs counted, and in one way."""
    sources = {source for one in series for source in one.sources}
    return len(sources) == 1 and all(one.noiseless for one in series)


def _reason(own: Sequence[Record], metric: Metric) -> str:
    if not own:
        return NOT_IN_RUN
    failed = [record for record in own if record.status != "ok"]
    return failure_record(failed).failure if failed else f"no {metric.name} measured"


def _slope_tracks(runs: Sequence[Run], metric: Metric, order: Sequence[Case]) -> list[Track]:
    found: dict[Case, dict[int, Series]] = {key: {} for key in order}
    for i, run in enumerate(runs):
        for one in series_of(run, metric.name):
            found[one.key][i] = one
    tracks = (_slope_track(key, measured, len(runs)) for key, measured in found.items())
    return [track for track in tracks if track is not None]


def _slope_track(key: Case, measured: Mapping[int, Series], count: int) -> Track | None:
    """Return the exponents of one configuration, all of them over the same sizes.

    An exponent depends on where it is taken: were a run that lacks the largest n given one over
    what it has, the curve between the sizes would pass for a change. Sizes that most runs measured
    are the basis; runs without one of them have no exponent.
    """
    series = list(measured.values())
    runs_at = Counter(n for one in series for n in one.sizes)
    usual = {n for n, runs in runs_at.items() if 2 * runs > len(series)}
    fullest = max(series, key=lambda one: len(usual & set(one.sizes)))
    sizes = tail_sizes(fullest.over(usual))
    if len(sizes) < TAIL_SIZES:
        return None
    values: list[Interval | None] = []
    gaps: dict[int, str] = {}
    for i in range(count):
        own = measured.get(i)
        missing = sorted(set(sizes) - set(own.sizes if own else ()))
        values.append(None if own is None or missing else exponent(own, sizes).slope)
        if missing:
            gaps[i] = f"not measured at n = {', '.join(map(str, missing))}"
    metric = series[0].metric
    return Track(metric, key, None, tuple(sizes), tuple(values), gaps, _exact(series))


def _y(track: Track) -> list[float]:
    """Return the values as steps are looked for in them: changes are differences, near 1 large."""
    if track.by_ratio:
        return [math.log(value) for value in track.values]
    return [value / track.typical for value in track.values]


def _exact_levels(track: Track) -> Levels:
    """Return the levels of a track without noise."""
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
        undecided=_undecided(track, levels, [visits[i].revision for i in present]),
    )


def _scaled(interval: Interval, by: float) -> Interval:
    low, high = (None if end is None else end * by for end in (interval.low, interval.high))
    return Interval(interval.value * by, low, high)


def _undecided(track: Track, levels: Levels, revisions: Sequence[int]) -> str | None:
    needed = 2 if track.exact else MIN_RUNS
    if len(revisions) < needed:
        return f"it takes {needed} runs to tell steps, there are {len(revisions)}"
    if not track.exact and len(set(revisions)) < 2:
        return "all runs are of one commit"
    return None if levels.would_find is not None else "too few runs are in line to tell steps"
