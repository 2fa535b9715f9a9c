"""Runs, read into typed objects, and their series: the measured rounds of one configuration."""

import math
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from linbench import attention
from linbench.run.case import Case
from linbench.run.metrics import KNOWN, NOISY_SOURCES, Metric
from linbench.run.record import Header, Record, read
from linbench.stats import intervals
from linbench.stats.interval import Interval

T = TypeVar("T")

EXACT = "exact"
"""The mathematics of softmax(QKᵀ/√d)V, whoever computes it."""

_SHARING = ("none", "headwise", "kv", "layerwise")
_DISTURBED = 1.5  # times the median of the rounds
_FAR = 5.0  # standard deviations
_TO_DEVIATION = 1.4826  # times the median absolute deviation, for normal noise
_MIN_ROUNDS = 3


@dataclass(frozen=True)
class Reading:
    """What one round of one case gave for a metric, in its unit.

    `n` is 0 where the case has none (a stranger's benchmark): it is compared with itself, case by
    case, and has no place along n. A disturbed reading is far slower than the other rounds of its
    case; it stays in the tables, without weight in any estimate.
    """

    n: int
    round: int
    value: float
    samples: int
    source: str | None
    disturbed: bool = False


@dataclass(frozen=True)
class Point:
    """All rounds of one size: the typical value, in which disturbed rounds have no weight."""

    n: int
    value: Interval
    rounds: int
    disturbed: int
    samples: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """The readings of one configuration of one run for one metric, ordered by n and round."""

    run_id: str
    fingerprint: str
    key: Case
    """The configuration: a case without n, and without what follows n."""
    metric: Metric
    readings: tuple[Reading, ...]
    mathematics: str | None = None
    """What its outputs were found to be, in a word (`exact`, `linformer`)."""

    @property
    def panel(self) -> "Panel":
        """What must be equal for two series to be compared with each other."""
        return Panel(self.run_id, self.fingerprint, self.key.problem)

    @property
    def is_exact_attention(self) -> bool:
        """Whether it computes exact attention: a baseline of the others."""
        return self.mathematics == EXACT

    @property
    def sizes(self) -> list[int]:
        """The measured n, ascending."""
        return sorted({one.n for one in self.readings})

    @property
    def in_line(self) -> tuple[Reading, ...]:
        """The readings that were not disturbed."""
        return tuple(one for one in self.readings if not one.disturbed)

    @property
    def noiseless(self) -> bool:
        """Whether values were counted, and the same in every round."""
        if self.metric.noise != "exact" or self.sources & set(NOISY_SOURCES):
            return False
        return len({(one.n, one.value) for one in self.readings}) == len(self.sizes)

    @property
    def sources(self) -> set[str | None]:
        """How the values were obtained."""
        return {one.source for one in self.readings}

    def logs(self, n: int) -> dict[int, float]:
        """Return the log value by undisturbed round at one size, of values that have one."""
        kept = (one for one in self.in_line if one.n == n and one.value > 0)
        return {one.round: math.log(one.value) for one in kept}

    def layout(self, sizes: Iterable[int]) -> intervals.Layout:
        """Fit the undisturbed log values of some sizes (ascending) by size and round."""
        index = {n: i for i, n in enumerate(sizes)}
        readings = [one for one in self.in_line if one.n in index]
        return intervals.fit_layout(
            [index[one.n] for one in readings],
            [one.round for one in readings],
            np.log([one.value for one in readings]),
        )

    def points(self) -> list[Point]:
        """Return the typical value at each size."""
        return [self.point(n) for n in self.sizes]

    def point(self, n: int) -> Point:
        """Return the typical value at one size."""
        own = [one for one in self.readings if one.n == n]
        kept = [one.value for one in own if not one.disturbed]
        if len(set(kept)) == 1:
            value = Interval(kept[0], *kept[:2]) if len(kept) > 1 else Interval(kept[0])
        elif self.metric.scale == "log":
            value = intervals.location(np.log(kept)).exp()
        else:
            value = intervals.location(kept)
        return Point(
            n=n,
            value=value,
            rounds=len(own),
            disturbed=sum(one.disturbed for one in own),
            samples=sum(one.samples for one in own),
            sources=tuple(sorted({one.source for one in own if one.source})),
        )

    def over(self, sizes: Iterable[int]) -> "Series":
        """Return the series over some of its sizes."""
        kept = set(sizes)
        return replace(self, readings=tuple(one for one in self.readings if one.n in kept))


@dataclass(frozen=True)
class Panel:
    """What a comparison holds fixed: run, machine and problem, but not who solves it."""

    run_id: str
    fingerprint: str
    problem: Case

    @property
    def label(self) -> str:
        """The problem in words."""
        return self.problem.problem_label


@dataclass(frozen=True)
class Run:
    """One run: its header, and its records in the order of its file."""

    header: Header
    records: tuple[Record, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a run, see `linbench.run.record.read`."""
        header, records = read(path)
        return cls(header, tuple(records))

    @property
    def run_id(self) -> str:
        """Its name."""
        return self.header.run_id

    @property
    def fingerprint(self) -> str:
        """Its machine."""
        return self.header.machine.fingerprint

    def by_case(self) -> dict[str, list[Record]]:
        """Return the records of each case, cases in the order of the run."""
        found = defaultdict(list)
        for record in self.records:
            found[record.case_id].append(record)
        return dict(found)

    def only(self, keep: Callable[[Record], bool]) -> "Run":
        """Return the run with some of its records."""
        return replace(self, records=tuple(record for record in self.records if keep(record)))


@dataclass(frozen=True)
class Runs:
    """Several runs read together; their names tell them apart."""

    runs: tuple[Run, ...]
    _found: dict[Callable[["Runs"], Any], Any] = field(
        default_factory=dict, compare=False, repr=False
    )

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Self:
        """Read run files.

        A run that is named twice counts once. Runs of one name that were made at different times (a
        job that always names its run alike) are all kept, and told apart by when they were made.

        Raises:
            RunFileError: a file cannot be read, see `linbench.run.record.read`.
        """
        found: dict[str, Run] = {}
        for run in map(Run.read, paths):
            header = run.header
            earlier = found.setdefault(run.run_id, run).header
            if earlier.created != header.created:
                name = f"{run.run_id} of {header.created}"
                named = header.model_copy(update={"run_id": name})
                found.setdefault(name, replace(run, header=named))
        return cls(tuple(found.values()))

    @classmethod
    def of(cls, header: Header, records: Iterable[Record]) -> Self:
        """Return one run as runs."""
        return cls((Run(header, tuple(records)),))

    def once(self, compute: Callable[["Runs"], T]) -> T:
        """Return what a function makes of these runs, computed the first time it is asked for."""
        if compute not in self._found:
            self._found[compute] = compute(self)
        found: T = self._found[compute]
        return found

    @property
    def headers(self) -> list[Header]:
        """The header of each run."""
        return [run.header for run in self.runs]

    @property
    def records(self) -> Iterator[tuple[Run, Record]]:
        """Every record with its run."""
        return ((run, record) for run in self.runs for record in run.records)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics that any record has: time, memory and energy first."""
        names = {name: run.header for run, record in self.records for name in record.metrics}
        ordered = sorted(names, key=lambda name: list(KNOWN).index(name) if name in KNOWN else 9)
        return [names[name].metric(name) for name in ordered]

    def header(self, run_id: str) -> Header:
        """Return the header of a run."""
        return next(run.header for run in self.runs if run.run_id == run_id)

    def series(self, metric: str, *, unplaced: bool = False) -> list[Series]:
        """Return the series of one metric along n: exact attention first, then by k.

        A round measured twice (a resumed run) counts with its last record. A case whose outputs
        were wrong in any round of a run has no reading of that run.

        Args:
            metric: Its name.
            unplaced: Whether the cases without n are there too, each a series of its own at 0.
        """
        every = (one for run in self.runs for one in series_of(run, metric))
        along = (one if unplaced else one.over(filter(None, one.sizes)) for one in every)
        return sorted((one for one in along if one.readings), key=_order)


def series_of(run: Run, metric: str) -> list[Series]:
    """Return the series of one run for one metric in the order of their records, unplaced too."""
    described = run.header.metric(metric)
    found: dict[Case, dict[tuple[int, int], Reading]] = defaultdict(dict)
    checked: dict[Case, set[str | None]] = defaultdict(set)
    keys: dict[str, Case] = {}
    unknown = _without_logs(run, described)
    for record in drop_incorrect(run.records):
        reading = _reading(record, described)
        if reading is None:
            continue
        if record.case_id in unknown:
            continue
        key = keys.get(record.case_id) or record.case.key("seq", "seed")
        keys[record.case_id] = key
        found[key][reading.n, reading.round] = reading
        check = record.detail.check
        if check and (check.mathematics or not check.reference):
            checked[key].add(check.mathematics)
    # a busy machine can explain slow rounds, not counts
    busy = described.is_cost and described.noise == "rounds"
    series = []
    for key, by_place in found.items():
        readings = tuple(by_place[place] for place in sorted(by_place))
        readings = mark_disturbed(readings) if busy else readings
        mathematics = _mathematics(key, checked[key])
        series.append(Series(run.run_id, run.fingerprint, key, described, readings, mathematics))
    return series


def series_by_case(run: Run, metric: str) -> dict[str, Series]:
    """Return the series of each measured case of a run: of one n, so that its own rounds count."""
    return {
        case_id: one
        for case_id, records in run.by_case().items()
        for one in series_of(replace(run, records=tuple(records)), metric)
    }


def _mathematics(key: Case, checked: set[str | None]) -> str | None:
    """Return what outputs were held against; where nothing was checked, what the row states."""
    if not checked and key.scope != "function":
        row = attention.known(str(key.impl))
        return row.mathematics if row else None
    return checked.pop() if len(checked) == 1 else None


def _reading(record: Record, metric: Metric) -> Reading | None:
    """Return what an `ok` record says about a metric; where logs are compared, if positive."""
    value = record.value(metric.name)
    if record.status != "ok" or value is None:
        return None
    if not math.isfinite(value) or (metric.scale == "log" and value <= 0):
        return None
    samples, source = record.samples(metric.name), record.metrics[metric.name].source
    return Reading(record.case.seq or 0, record.round, float(value), len(samples), source)


def _without_logs(run: Run, metric: Metric) -> set[str]:
    """Return the cases with a round that has no logarithm: the others alone would flatter them."""
    if metric.scale == "linear":
        return set()
    values = ((r.case_id, r.value(metric.name)) for r in run.records if r.status == "ok")
    return {case_id for case_id, value in values if value is not None and value <= 0}


def drop_incorrect(records: Iterable[Record]) -> list[Record]:
    """Return the records of cases whose outputs were wrong (`incorrect`) in no round of their run.

    The other rounds of a wrong case ran the same code: their times are those of wrong answers.
    """
    records = list(records)
    wrong = {record.case_id for record in records if record.status == "incorrect"}
    return [record for record in records if record.case_id not in wrong]


def failure_record(records: Sequence[Record]) -> Record:
    """Return the record that says why a case has no measurement: a wrong one, else the last."""
    return next((record for record in records if record.status == "incorrect"), records[-1])


def _order(series: Series) -> tuple[Any, ...]:
    """Order as a reader expects it: exact attention first, then by k, from few shared to all."""
    key, exact = series.key, series.is_exact_attention
    rows = list(attention.BUILTIN)
    place = rows.index(key.impl) if key.impl in rows else len(rows)
    k = key.k if isinstance(key.k, int) else math.inf
    sharing = _SHARING.index(key.sharing) if key.sharing in _SHARING else len(_SHARING)
    variant = (k, str(key.k_text), sharing, str(key.projection), str(key.order))
    return (series.run_id, not exact, place if exact else 0, str(key.impl), *variant)


def mark_disturbed(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Mark rounds that something else on the machine slowed down.

    A round counts as disturbed where it took 1.5 times the median of its case's rounds or more,
    and lies five times as far above it as rounds of this series usually lie off. At least three
    rounds are needed to tell, and only one, or a quarter of them, can be marked: where more are
    slow, being slow at times is what this machine does.
    """
    logs: dict[int, list[float]] = defaultdict(list)
    for one in readings:
        logs[one.n].append(math.log(one.value))
    middle = {n: statistics.median(own) for n, own in logs.items()}
    off = (abs(x - middle[n]) for n, own in logs.items() for x in own)
    bound = max(math.log(_DISTURBED), _FAR * (_TO_DEVIATION * statistics.median(off)))

    def is_slow(one: Reading) -> bool:
        return math.log(one.value) - middle[one.n] >= bound

    slow = Counter(one.n for one in readings if is_slow(one))
    marked = {
        n for n, own in logs.items() if len(own) >= _MIN_ROUNDS and slow[n] <= max(1, len(own) // 4)
    }
    return tuple(replace(one, disturbed=one.n in marked and is_slow(one)) for one in readings)


def panels_of(series: Iterable[Series]) -> dict[Panel, list[Series]]:
    """Group series that may be compared with each other, in their order."""
    panels = defaultdict(list)
    for one in series:
        panels[one.panel].append(one)
    return dict(panels)
