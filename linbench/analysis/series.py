"""Run tables -> series: the measured cells of one configuration along n."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from linbench.analysis import stats
from linbench.analysis.stats import Interval
from linbench.case import k_text

if TYPE_CHECKING:
    import pandas as pd

Metric = Literal["time", "memory", "energy"]
METRICS: tuple[Metric, ...] = ("time", "memory", "energy")
UNITS: dict[Metric, str] = {"time": "s", "memory": "bytes", "energy": "J"}
EXACT = ("vanilla", "sdpa", "xformers")  # implementations of the same exact attention
TASK = "efficiency"

_SHARING = ("none", "headwise", "kv", "layerwise")
_DISTURBED = 1.5  # times the median of the rounds
_FAR = 5.0  # standard deviations
_TO_DEVIATION = 1.4826  # times the median absolute deviation, for normal noise
_MIN_ROUNDS = 3


@dataclass(frozen=True)
class Setup:
    """What is held fixed along a series. One run is one fit, so runs and machines never mix.

    `k` is the rule where k follows one (`n/4`), `batch` is None where it follows from `tokens`.
    """

    run_id: str
    fingerprint: str
    impl: str
    k: int | str | None
    sharing: str | None
    projection: str | None
    order: str | None
    scope: str
    mode: str
    d_model: int
    heads: int
    layers: int
    batch: int | None
    tokens: int | None
    dtype: str
    device: str
    compile: bool

    @property
    def panel(self) -> "Panel":
        """What must be equal for two series to be compared with each other."""
        return Panel(**{name: getattr(self, name) for name in Panel.__dataclass_fields__})

    def batch_at(self, n: int) -> int:
        """Return the sequences of one call: as given, or as many as the given tokens make."""
        return self.tokens // n if self.tokens else self.batch or 1

    @property
    def label(self) -> str:
        """The configuration in words, without n and without what a panel shares."""
        words = [self.impl]
        if self.k is not None:
            words.append(f"k={self.k}")
        words += [word for word in (self.sharing, self.projection) if word not in (None, "linear")]
        if self.order not in (None, "auto"):
            words.append(str(self.order))
        return " ".join(words)


@dataclass(frozen=True)
class Panel:
    """What a figure holds fixed: the run, its machine and the problem, but not who solves it."""

    run_id: str
    fingerprint: str
    scope: str
    mode: str
    d_model: int
    heads: int
    layers: int
    batch: int | None
    tokens: int | None
    dtype: str
    device: str
    compile: bool

    @property
    def label(self) -> str:
        """The problem in words: `core, forward, d_model 256, 4 heads, batch 1, float32, cpu`."""
        if self.scope == "function":
            return self.scope
        size = f"{self.tokens} tokens" if self.tokens else f"batch {self.batch}"
        words = [self.scope, self.mode.replace("_", " + ")]
        words += [f"{self.layers} layers"] if self.layers > 1 else []
        words += [f"d_model {self.d_model}", f"{self.heads} heads", size, self.dtype, self.device]
        words += ["compiled"] if self.compile else []
        return ", ".join(word for word in words if word)  # a comparison of machines has no device


@dataclass(frozen=True)
class Cell:
    """One round of one case: the median over its calls, in the unit of the metric.

    A disturbed cell is far slower than the other rounds of its case; it stays in the tables,
    without weight in any estimate.
    """

    n: int
    round: int
    value: float
    calls: int
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
    calls: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Series:
    """The measured cells of one setup for one metric, ordered by n and round."""

    setup: Setup
    metric: Metric
    cells: tuple[Cell, ...]

    @property
    def sizes(self) -> list[int]:
        """The measured n, ascending."""
        return sorted({cell.n for cell in self.cells})

    @property
    def in_line(self) -> tuple[Cell, ...]:
        """The cells that were not disturbed."""
        return tuple(cell for cell in self.cells if not cell.disturbed)

    def logs(self, n: int) -> dict[int, float]:
        """Return the log value by undisturbed round at one size."""
        return {cell.round: math.log(cell.value) for cell in self.in_line if cell.n == n}

    def layout(self, sizes: Iterable[int]) -> stats.Layout:
        """Fit the undisturbed log values of some sizes (ascending) by size and round."""
        index = {n: i for i, n in enumerate(sizes)}
        cells = [cell for cell in self.in_line if cell.n in index]
        return stats.fit_layout(
            [index[cell.n] for cell in cells],
            [cell.round for cell in cells],
            np.log([cell.value for cell in cells]),
        )

    def points(self) -> list[Point]:
        """Return the typical value at each size."""
        return [self.point(n) for n in self.sizes]

    def point(self, n: int) -> Point:
        """Return the typical value at one size."""
        cells = [cell for cell in self.cells if cell.n == n]
        return Point(
            n=n,
            value=stats.location([*self.logs(n).values()]).exp(),
            rounds=len(cells),
            disturbed=sum(cell.disturbed for cell in cells),
            calls=sum(cell.calls for cell in cells),
            sources=tuple(sorted({cell.source for cell in cells if cell.source})),
        )


def setup_of(row: dict[str, Any]) -> Setup:
    """Return the setup of one row of a run table."""
    tokens = _integer(row["tokens"])
    return Setup(
        run_id=str(row["run_id"]),
        fingerprint=str(row["fingerprint"]),
        impl=str(row["impl"]),
        k=_k(row["k_rule"], row["k"]),
        **{name: _word(row[name]) for name in ("sharing", "projection", "order")},
        scope=str(row["scope"]),
        mode=str(row["mode"]),
        d_model=int(row["d_model"]),
        heads=int(row["heads"]),
        layers=int(row["layers"]),
        batch=None if tokens else int(row["batch"]),
        tokens=tokens,
        dtype=str(row["dtype"]),
        device=str(row["device"]),
        compile=bool(row["compile"]),
    )


def _k(rule: Any, k: Any) -> int | str | None:
    if isinstance(rule, str):
        return rule
    return k_text(tuple(k)) if isinstance(k, tuple | list) else _integer(k)


def _word(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _integer(value: Any) -> int | None:
    return None if value is None or value != value else int(value)  # noqa: PLR0124 (NaN)


def cell_of(row: dict[str, Any], metric: Metric) -> Cell | None:
    """Return what one record says about a metric, or None where it measured none.

    Only records with status `ok` are measurements; a value that is unknown or not positive
    (nothing above what was resident before) has no logarithm and is left out.
    """
    if row["status"] != "ok" or row["task"] != TASK:
        return None
    calls = len(row["seconds"] or ())
    source = None
    if metric == "time":
        value = statistics.median(row["seconds"]) if calls else None
    elif metric == "memory":
        value, source = row["peak_bytes"], _word(row["memory_source"])
    else:
        value = row["energy_j"]
    if value is None or not math.isfinite(value) or value <= 0:
        return None
    return Cell(int(row["seq"]), int(row["round"]), float(value), calls, source)


def series_of(frame: "pd.DataFrame", metric: Metric) -> list[Series]:
    """Split a run table, or several put together, into series of one metric.

    Args:
        frame: What `linbench.record.load` returns.
        metric: `time` (median of `seconds`), `memory` (`peak_bytes`) or `energy` (`energy_j`).

    Returns:
        The series that have at least one measured cell, exact attention first, then by k. A round
        measured twice (a resumed run) counts with its last record. A case that was wrong in any
        round of a run has no cell of that run.
    """
    return series_of_rows(rows_of(frame), metric)


def rows_of(frame: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a run table, a dict each."""
    return frame.to_dict("records")  # type: ignore[return-value]  # pandas types keys as Hashable


def never_wrong(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of cases whose outputs were wrong (`incorrect`) in no round of their run.

    The other rounds of a wrong case ran the same code: their times are those of wrong answers.
    """
    rows = list(rows)
    wrong = {(row["run_id"], row["case_id"]) for row in rows if row["status"] == "incorrect"}
    return [row for row in rows if (row["run_id"], row["case_id"]) not in wrong]


def spoiler(rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the record that says why a case has no measurement: a wrong one, else the last."""
    return next((row for row in rows if row["status"] == "incorrect"), rows[-1])


def series_of_rows(rows: Iterable[dict[str, Any]], metric: Metric) -> list[Series]:
    """Split the rows of a run table into series, as `series_of` does."""
    found: dict[Setup, dict[tuple[int, int], Cell]] = {}
    for row in never_wrong(rows):
        cell = cell_of(row, metric)
        if cell is not None:
            found.setdefault(setup_of(row), {})[cell.n, cell.round] = cell
    series = [
        Series(setup, metric, _marked([cells[key] for key in sorted(cells)], metric))
        for setup, cells in found.items()
    ]
    return sorted(series, key=lambda one: _order(one.setup))


def _order(setup: Setup) -> tuple[Any, ...]:
    """Order as a reader expects it: exact attention first, then by k, from few shared to all."""
    impl = EXACT.index(setup.impl) if setup.impl in EXACT else len(EXACT)
    k = setup.k if isinstance(setup.k, int) else math.inf
    sharing = _SHARING.index(setup.sharing) if setup.sharing in _SHARING else len(_SHARING)
    variant = (sharing, str(setup.projection), str(setup.order))
    return (setup.run_id, impl, setup.impl, k, str(setup.k), *variant)


def _marked(cells: Sequence[Cell], metric: Metric) -> tuple[Cell, ...]:
    """Mark disturbed rounds where a busy machine can explain them: not in memory."""
    return tuple(cells) if metric == "memory" else mark_disturbed(cells)


def mark_disturbed(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Mark rounds that something else on the machine slowed down.

    A round counts as disturbed where it took 1.5 times the median of its case's rounds or more,
    and lies five times as far above it as rounds of this series usually lie off. At least three
    rounds are needed to tell, and only one, or a quarter of them, can be marked: where more are
    slow, being slow at times is what this machine does.
    """
    off: dict[int, dict[int, float]] = {}
    for cell in cells:
        off.setdefault(cell.n, {})[cell.round] = math.log(cell.value)
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
        replace(cell, disturbed=True) if cell.round in marked.get(cell.n, ()) else cell
        for cell in cells
    )


def panels_of(series: Iterable[Series]) -> dict[Panel, list[Series]]:
    """Group series that may be compared with each other, in their order."""
    panels: dict[Panel, list[Series]] = {}
    for one in series:
        panels.setdefault(one.setup.panel, []).append(one)
    return panels


def as_fields(setup: Setup) -> dict[str, Any]:
    """Return a setup as plain JSON fields."""
    return asdict(setup)
