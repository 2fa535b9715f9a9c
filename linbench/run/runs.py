"""Runs, read into typed objects, and their series: the measured rounds of one configuration."""

import math
import statistics
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
    """All rounds of one size: the typical value with its interval, in the unit of the metric.

    `disturbed` of the `rounds` have no weight in the value.
    """

    n: int
    value: Interval
    rounds: int
    disturbed: int
    samples: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """The readings of one configuration of one run for one metric, ordered by n and round.

    Runs and machines never mix: one run is one fit.

    Attributes:
        run_id: The run.
        fingerprint: Its machine.
        key: The configuration: a case without n, and without what follows n.
        metric: What was measured.
        readings: The measured rounds.
        mathematics: What its outputs were found to be, in a word (`exact`, `linformer`), or None.
    """

    run_id: str
    fingerprint: str
    key: Case
    metric: Metric
    readings: tuple[Reading, ...]
    mathematics: str | None = None

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
        """How the values were come by."""
        return {one.source for one in self.readings}

    def logs(self, n: int) -> dict[int, float]:
        """Return the log value by undisturbed round at one size, of values that have one."""
        return {
            one.round: math.log(one.value) for one in self.in_line if one.n == n and one.value > 0
        }

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
        """The problem in words: `core, forward, d_model 256, 4 heads, batch 1, float32, cpu`."""
        return self.problem.problem_label


@dataclass(frozen=True)
class Run:
    """One run: its header, and its records in the order of its file."""

    header: Header
    records: tuple[Record, ...]

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
        found: dict[str, list[Record]] = {}
        for record in self.records:
            found.setdefault(record.case_id, []).append(record)
        return found

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
        for path in paths:
            header, records = read(path)
            earlier = found.get(header.run_id)
            if earlier and earlier.header.created != header.created:
                name = f"{header.run_id} of {header.created}"
                header = header.model_copy(update={"run_id": name})
            found.setdefault(header.run_id, Run(header, tuple(records)))
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
        """Return the series of one metric along n.

        Args:
            metric: Its name.
            unplaced: Whether the cases without n are there too, each a series of its own at 0.

        Returns:
            Those with at least one reading, exact attention first, then by k. A round measured
            twice (a resumed run) counts with its last record. A case whose outputs were wrong in
            any round of a run has no reading of that run.
        """
        every = (one for run in self.runs for one in series_of(run, metric))
        along = (one if unplaced else one.over(filter(None, one.sizes)) for one in every)
        found = [one for one in along if one.readings]
        return sorted(found, key=lambda one: (one.run_id, *_order(one)))


def series_of(run: Run, metric: str) -> list[Series]:
    """Return the series of one run for one metric, in the order of their first records.

    Cases without n are there too, each a series of its own at 0.
    """
    described = run.header.metric(metric)
    found: dict[Case, dict[tuple[int, int], Reading]] = {}
    checked: dict[Case, set[str | None]] = {}
    keys: dict[str, Case] = {}
    for record in drop_incorrect(run.records):
        reading = _reading(record, described)
        if reading is None:
            continue
        key = keys.get(record.case_id) or record.case.key("seq", "seed")
        keys[record.case_id] = key
        found.setdefault(key, {})[reading.n, reading.round] = reading
        check = record.detail.check
        if check and (check.mathematics or not check.reference):
            checked.setdefault(key, set()).add(check.mathematics)
    return [
        Series(
            run.run_id,
            run.fingerprint,
            key,
            described,
            _marked([readings[place] for place in sorted(readings)], described),
            _mathematics(key, checked.get(key)),
        )
        for key, readings in found.items()
    ]


def series_by_case(run: Run, metric: str) -> dict[str, Series]:
    """Return the series of each measured case of a run: of one n, so that its own rounds count."""
    return {
        case_id: one
        for case_id, records in run.by_case().items()
        for one in series_of(replace(run, records=tuple(records)), metric)
    }


def _mathematics(key: Case, checked: set[str | None] | None) -> str | None:
    """Return what outputs were held against; where nothing was checked, what the row states."""
    if checked is None:
        row = attention.known(str(key.impl)) if key.scope != "function" else None
        return row.mathematics if row else None
    return checked.pop() if len(checked) == 1 else None


def _reading(record: Record, metric: Metric) -> Reading | None:
    """Return what one record says about a metric, or None where it measured none.

    Only records with status `ok` are measurements; a value that is unknown, or not positive where
    its logarithm is compared (nothing above what was resident before), is left out.
    """
    value = record.value(metric.name)
    if record.status != "ok" or value is None:
        return None
    if not math.isfinite(value) or (metric.scale == "log" and value <= 0):
        return None
    found = record.metrics[metric.name]
    n = record.case.seq or 0
    return Reading(n, record.round, float(value), len(found.samples), found.source)


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
    key = series.key
    rows = list(attention.BUILTIN)
    place = rows.index(key.impl) if key.impl in rows else len(rows)
    exact = (not series.is_exact_attention, place if series.is_exact_attention else 0)
    k = key.k if isinstance(key.k, int) else math.inf
    sharing = _SHARING.index(key.sharing) if key.sharing in _SHARING else len(_SHARING)
    variant = (sharing, str(key.projection), str(key.order))
    return (*exact, str(key.impl), k, str(key.k_text), *variant)


def _marked(readings: Sequence[Reading], metric: Metric) -> tuple[Reading, ...]:
    """Mark disturbed rounds where a busy machine can explain them: not in what is counted."""
    busy = metric.noise == "rounds" and metric.scale == "log" and metric.better == "less"
    return mark_disturbed(readings) if busy else tuple(readings)


def mark_disturbed(readings: Sequence[Reading]) -> tuple[Reading, ...]:
    """Mark rounds that something else on the machine slowed down.

    A round counts as disturbed where it took 1.5 times the median of its case's rounds or more,
    and lies five times as far above it as rounds of this series usually lie off. At least three
    rounds are needed to tell, and only one, or a quarter of them, can be marked: where more are
    slow, being slow at times is what this machine does.
    """
    off: dict[int, dict[int, float]] = {}
    for one in readings:
        off.setdefault(one.n, {})[one.round] = math.log(one.value)
    for rounds in off.values():
        middle = statistics.median(rounds.values())
        for index in rounds:
            rounds[index] -= middle
    usual = _TO_DEVIATION * statistics.median(
        abs(x) for rounds in off.values() for x in rounds.values()
    )
    bound = max(math.log(_DISTURBED), _FAR * usual)
    slow = {n: {i for i, x in rounds.items() if x >= bound} for n, rounds in off.items()}
    marked = {
        n: some
        for n, some in slow.items()
        if len(off[n]) >= _MIN_ROUNDS and len(some) <= max(1, len(off[n]) // 4)
    }
    return tuple(
        replace(one, disturbed=True) if one.round in marked.get(one.n, ()) else one
        for one in readings
    )


def panels_of(series: Iterable[Series]) -> dict[Panel, list[Series]]:
    """Group series that may be compared with each other, in their order."""
    panels: dict[Panel, list[Series]] = {}
    for one in series:
        panels.setdefault(one.panel, []).append(one)
    return panels
