"""A run beside Table 3 of the Linformer paper: time and memory saved, cell by cell.

The paper's numbers are those of Wang, Li, Khabsa, Fang and Ma 2020, arXiv 2006.04768, Table 3:
inference with layerwise sharing on one V100 of 16 GB, a full forward pass on random data. Memory
saved is there the ratio of the largest batches that fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from linbench.analysis.crossover import Ratio, ratios, ratios_to_best
from linbench.analysis.series import (
    EXACT,
    TASK,
    Panel,
    Series,
    Setup,
    rows_of,
    series_of_rows,
    setup_of,
    spoiler,
)
from linbench.analysis.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

SOURCE = "Wang et al. 2020, arXiv 2006.04768, Table 3"
KS = (128, 256, 512, 1024, 2048)
TIME = {
    512: (1.5, 1.3),
    1024: (1.7, 1.6, 1.3),
    2048: (2.6, 2.4, 2.1, 1.3),
    4096: (3.4, 3.2, 2.8, 2.2, 1.3),
    8192: (5.5, 5.0, 4.4, 3.5, 2.1),
    16384: (8.6, 7.8, 7.0, 5.6, 3.3),
    32768: (13.0, 12.0, 11.0, 8.8, 5.0),
    65536: (20.0, 18.0, 16.0, 14.0, 7.9),
}
"""Time saved over the Transformer, by n, for each of KS up to n/2."""
MEMORY = {
    512: (1.7, 1.5),
    1024: (3.0, 2.9, 1.8),
    2048: (6.1, 5.6, 3.6, 2.0),
    4096: (14.0, 13.0, 8.3, 4.3, 2.3),
    8192: (28.0, 26.0, 17.0, 8.5, 4.5),
    16384: (56.0, 48.0, 32.0, 16.0, 8.0),
    32768: (56.0, 48.0, 36.0, 18.0, 16.0),
    65536: (60.0, 52.0, 40.0, 20.0, 18.0),
}
"""Memory saved over the Transformer, likewise."""
HOW_TO_READ = (
    (
        "Core attention takes 2n²d multiply-adds, Linformer's 4nkd: they are even at n = 2k, where "
        "the paper's time saved still reads 1.3. Saved on that diagonal is memory traffic of a "
        "softmax that is not fused, not arithmetic; fused exact attention saves it too, without "
        "approximating, and is the baseline to beat. The paper has no such baseline."
    ),
    (
        "The rows n = 32768 and 65536 cannot have run against written-out attention of 12 heads on "
        "16 GB: one matrix P at n = 32768 takes 24 GiB even in fp16. How they came about is not "
        "stated."
    ),
    (
        "For k of 512 or more, up to n = 16384, the paper's memory saved is about n/k, as if the "
        "n × k matrix of attention filled the memory; our Linformer attends to its k slots with a "
        "fused kernel that holds none, so that its memory hardly depends on k."
    ),
)
"""What the paper's numbers say of themselves, derived."""
ROBERTA_BASE = {"layers": 12, "d_model": 768, "heads": 12}

Saved = Literal["time", "max_batch", "bytes"]
SAVED: tuple[Saved, ...] = ("time", "max_batch", "bytes")
How = Literal["interval", "exact", "extrapolated"]
NOT_IN_RUN, NO_RATIO = "not in this run", "no ratio"
SEARCH = "max_batch"  # the task

Row = Mapping[str, Any]
Key = tuple[str, str, int | None, int]  # task, implementation, k, n


@dataclass(frozen=True)
class Gain:
    """How many times as much of something a baseline takes as Linformer; above 1 Linformer wins.

    Attributes:
        value: The ratio; None where there is none.
        how: `interval`: the value has noise, and an interval over rounds; `exact`: bytes and
            batches have none; `extrapolated`: batches that were not all run but follow from the
            exact bytes of smaller ones, or from counts (see `linbench.batch_search`).
        baseline: Whose cost is compared.
        batches: Linformer's largest batch and the baseline's, where these were compared.
        status: Why there is no value, in a word: a record's status, `not in this run`, `no ratio`.
        reason: The same in a sentence.
    """

    value: Interval | None = None
    how: How | None = None
    baseline: str | None = None
    batches: tuple[int, int] | None = None
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Cell:
    """One cell of Table 3, the paper's and ours.

    Attributes:
        n: Sequence length.
        k: Projected length.
        saved: Time, or memory by the largest batch that fits or by bytes.
        paper: The paper's number, None where its table has no such cell.
        over_vanilla: Against attention with its n × n matrices written out.
        over_best: Against the exact implementation that does best at that n, fused ones among them.
    """

    n: int
    k: int
    saved: Saved
    paper: float | None
    over_vanilla: Gain
    over_best: Gain


@dataclass(frozen=True)
class Missing:
    """Cases of one configuration that gave no measurement, with the reason of the first."""

    task: str
    label: str
    status: str
    sizes: tuple[int, ...]
    reason: str


@dataclass(frozen=True)
class Comparison:
    """A run beside Table 3 at one shape, width, precision and batch.

    Attributes:
        panel: What was held fixed; its batch is that of the timed calls.
        limit_bytes: What the largest batches had to fit, None where none was found or they had to
            fit different ones.
        cells: All cells of the paper, and those of the run that the paper does not have.
        missing: What the run holds without a measurement.
    """

    panel: Panel
    limit_bytes: int | None
    cells: tuple[Cell, ...]
    missing: tuple[Missing, ...]

    def of(self, saved: Saved) -> list[Cell]:
        """Return the cells of one quantity."""
        return [cell for cell in self.cells if cell.saved == saved]

    @property
    def sizes(self) -> list[int]:
        """All n, ascending."""
        return sorted({cell.n for cell in self.cells})

    @property
    def ks(self) -> list[int]:
        """All k, ascending."""
        return sorted({cell.k for cell in self.cells})


def comparisons(frame: "pd.DataFrame") -> list[Comparison]:
    """Hold a run table against Table 3.

    Args:
        frame: What `linbench.record.load` returns.

    Returns:
        One for each setting that holds, in a forward pass, an exact implementation and Linformer
        with layerwise sharing and learned projections; none where a run has no such setting.
    """
    timed: dict[Panel, list[Row]] = {}
    searched: dict[Panel, list[Row]] = {}
    for row in rows_of(frame):
        setup = setup_of(row)
        if setup.mode == "forward" and (setup.impl in EXACT or _of_the_table(setup)):
            if row["task"] == TASK:
                timed.setdefault(setup.panel, []).append(row)
            elif row["task"] == SEARCH:
                searched.setdefault(_without_batch(setup.panel), []).append(row)
    beside = {_without_batch(panel) for panel in timed}
    timed |= {replace(panel, batch=1): [] for panel in searched if panel not in beside}
    found = (
        _comparison(panel, rows, searched.get(_without_batch(panel), []))
        for panel, rows in timed.items()
    )
    return [one for one in found if one is not None]


def _of_the_table(setup: Setup) -> bool:
    return (
        (setup.impl, setup.sharing, setup.projection) == ("linformer", "layerwise", "linear")
        and isinstance(setup.k, int)
        and setup.order in (None, "auto")
    )


def _without_batch(panel: Panel) -> Panel:
    return replace(panel, batch=None, tokens=None)


def _comparison(panel: Panel, timed: Sequence[Row], searched: Sequence[Row]) -> Comparison | None:
    cases: dict[Key, list[Row]] = {}
    for row in (*timed, *searched):
        cases.setdefault(_key(row), []).append(row)
    own = {(n, k) for _, impl, k, n in cases if impl == "linformer" and k is not None}
    if not own or all(impl == "linformer" for _, impl, _, _ in cases):
        return None
    where = sorted(own | {(n, k) for n, row in TIME.items() for k in KS[: len(row)]})
    limits = {int(row["max_batch"]["limit_bytes"]) for row in searched if row["status"] == "ok"}
    return Comparison(
        panel=panel,
        limit_bytes=limits.pop() if len(limits) == 1 else None,
        cells=(
            *_measured("time", series_of_rows(map(dict, timed), "time"), where, cases),
            *(_batches(n, k, cases) for n, k in where),
            *_measured("bytes", series_of_rows(map(dict, timed), "memory"), where, cases),
        ),
        missing=tuple(_missing(cases)),
    )


def _key(row: Row) -> Key:
    k = setup_of(dict(row)).k
    return str(row["task"]), str(row["impl"]), k if isinstance(k, int) else None, int(row["seq"])


def _paper(saved: Saved, n: int, k: int) -> float | None:
    table = TIME if saved == "time" else MEMORY
    return dict(zip(KS, table.get(n, ()), strict=False)).get(k)


def _measured(
    saved: Saved,
    series: Sequence[Series],
    where: Sequence[tuple[int, int]],
    cases: Mapping[Key, Sequence[Row]],
) -> list[Cell]:
    """Return the cells of what was measured in rounds: time, or bytes."""
    exact = [one for one in series if one.setup.impl in EXACT]
    vanilla = [one for one in exact if one.setup.impl == "vanilla"]
    with_fused = {n for one in exact if one not in vanilla for n in one.sizes}
    over_vanilla: dict[tuple[int, int | str | None], Ratio] = {}
    over_best: dict[tuple[int, int | str | None], Ratio] = {}
    for ours in (one for one in series if one.setup.impl == "linformer"):
        for baseline in vanilla:
            over_vanilla |= {(r.n, ours.setup.k): r for r in ratios(baseline, ours)}
        best = ratios_to_best(exact, ours)
        over_best |= {(r.n, ours.setup.k): r for r in best if r.n in with_fused}
    return [
        Cell(
            n,
            k,
            saved,
            _paper(saved, n, k),
            *(
                _of_ratio(found[n, k]) if (n, k) in found else _none(cases, TASK, n, k, baselines)
                for found, baselines in ((over_vanilla, EXACT[:1]), (over_best, EXACT[1:]))
            ),
        )
        for n, k in where
    ]


def _of_ratio(ratio: Ratio) -> Gain:
    gain = ratio.gain
    exact = gain.bounded and gain.low == gain.high
    return Gain(gain, "exact" if exact else "interval", ratio.baseline.impl)


def _none(
    cases: Mapping[Key, Sequence[Row]], task: str, n: int, k: int, baselines: Sequence[str]
) -> Gain:
    """Say why there is no ratio: what Linformer's case, or those of all baselines, came to."""
    for impls, at in ((("linformer",), k), (baselines, None)):
        held = [cases[task, impl, at, n] for impl in impls if (task, impl, at, n) in cases]
        if not held:
            return Gain(
                status=NOT_IN_RUN, reason=f"{' or '.join(impls)} is not in this run at n = {n}"
            )
        if not any(_ok(rows) for rows in held):
            why = spoiler(held[0])
            return Gain(
                status=str(why["status"]),
                reason=f"{why['impl']} {why['status']}: {why['reason']}",
            )
    return Gain(status=NO_RATIO, reason="measured, but not this")


def _ok(rows: Sequence[Row]) -> list[Row]:
    """Return the rows that are measurements: none of a case that was wrong in any round."""
    wrong = any(row["status"] == "incorrect" for row in rows)
    return [] if wrong else [row for row in rows if row["status"] == "ok"]


def _batches(n: int, k: int, cases: Mapping[Key, Sequence[Row]]) -> Cell:
    """Return the cell of the largest batches that fit."""

    def found(impl: str, at: int | None = None) -> list[Mapping[str, Any]]:
        return [row["max_batch"] for row in _ok(cases.get((SEARCH, impl, at, n), ()))]

    def over(baselines: Sequence[str], *rest: str) -> Gain:
        ours = found("linformer", k)
        theirs = {impl: some for impl in baselines if (some := found(impl))}
        if not ours or not theirs:
            return _none(cases, SEARCH, n, k, baselines)
        theirs |= {impl: some for impl in rest if (some := found(impl))}
        limits = {int(one["limit_bytes"]) for some in (ours, *theirs.values()) for one in some}
        if len(limits) > 1:
            differing = " and ".join(map(str, sorted(limits)))
            reason = f"largest batches for limits of {differing} bytes do not compare"
            return Gain(status=NO_RATIO, reason=reason)
        best = max(theirs, key=lambda impl: theirs[impl][0]["batch"])
        batches = (int(ours[0]["batch"]), int(theirs[best][0]["batch"]))
        run = {ours[0]["how"], theirs[best][0]["how"]} == {"measured"}
        how: How = "exact" if run else "extrapolated"
        if not batches[1]:
            reason = f"not even one sequence fits {best}, {batches[0] or 'none'} of linformer's do"
            return Gain(None, how, best, batches, NO_RATIO, reason)
        value = batches[0] / batches[1]
        return Gain(Interval(value, value, value), how, best, batches)

    return Cell(n, k, "max_batch", _paper("max_batch", n, k),
                over(EXACT[:1]), over(EXACT[1:], EXACT[0]))  # fmt: skip


def _missing(cases: Mapping[Key, Sequence[Row]]) -> list[Missing]:
    groups: dict[tuple[str, str, str], dict[int, str]] = {}
    for task, impl, k, n in sorted(cases, key=_place):
        rows = cases[task, impl, k, n]
        if not _ok(rows):
            label = impl if k is None else f"{impl} k={k}"
            why = spoiler(rows)
            group = groups.setdefault((task, label, str(why["status"])), {})
            group[n] = str(why["reason"])
    return [
        Missing(task, label, status, tuple(reasons), next(iter(reasons.values())))
        for (task, label, status), reasons in groups.items()
    ]


def _place(key: Key) -> tuple[str, int, int, int]:
    task, impl, k, n = key
    return task, EXACT.index(impl) if impl in EXACT else len(EXACT), k or 0, n


def to_json(found: Sequence[Comparison]) -> dict[str, Any]:
    """Return comparisons in the form of `linbench paper --json`."""
    return {"source": SOURCE, "comparisons": [_comparison_json(one) for one in found]}


def _comparison_json(one: Comparison) -> dict[str, Any]:
    return {
        **asdict(one.panel),
        "memory_limit_bytes": one.limit_bytes,
        "cells": [
            {
                "saved": cell.saved,
                "n": cell.n,
                "k": cell.k,
                "paper": cell.paper,
                "over_vanilla": _gain_json(cell.over_vanilla),
                "over_best": _gain_json(cell.over_best),
            }
            for cell in one.cells
        ],
    }


def _gain_json(gain: Gain) -> dict[str, Any]:
    value = gain.value
    return {
        "value": value.value if value else None,
        "ci_low": value.low if value else None,
        "ci_high": value.high if value else None,
        "how": gain.how,
        "baseline": gain.baseline,
        "batches": gain.batches,
        "status": gain.status,
        "reason": gain.reason,
    }
