"""What a run saves beside Table 3 of the paper: the types, and their JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from linbench.run.runs import Panel
from linbench.stats.interval import Interval
from linbench.studies.paper import published

Saved = Literal["time", "max_batch", "bytes"]
SAVED: tuple[Saved, ...] = ("time", "max_batch", "bytes")
How = Literal["interval", "exact", "extrapolated"]
NOT_IN_RUN, NO_RATIO = "not in this run", "no ratio"


@dataclass(frozen=True)
class Gain:
    """How many times as much of something a baseline takes as Linformer; above 1 Linformer wins.

    Attributes:
        value: The ratio; None where there is none.
        how: `interval`: the value has noise, and an interval over rounds; `exact`: bytes and
            batches have none; `extrapolated`: batches that were not all run but follow from the
            exact bytes of smaller ones, or from counts.
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
class Saving:
    """What is saved at one n and k: a cell of Table 3, the paper's and ours.

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
class Table3:
    """A run beside Table 3 at one shape, width, precision and batch.

    Attributes:
        panel: What was held fixed; its batch is that of the timed calls.
        candidate: The implementation of Linformer.
        limit_bytes: What the largest batches had to fit, None where none was found or they had to
            fit different ones.
        savings: All cells of the paper, and those of the run that the paper does not have.
        missing: What the run holds without a measurement.
    """

    panel: Panel
    candidate: str
    limit_bytes: int | None
    savings: tuple[Saving, ...]
    missing: tuple[Missing, ...]

    def of(self, saved: Saved) -> list[Saving]:
        """Return the savings of one quantity."""
        return [one for one in self.savings if one.saved == saved]

    @property
    def sizes(self) -> list[int]:
        """All n, ascending."""
        return sorted({one.n for one in self.savings})

    @property
    def ks(self) -> list[int]:
        """All k, ascending."""
        return sorted({one.k for one in self.savings})


def to_json(found: Sequence[Table3]) -> dict[str, Any]:
    """Return comparisons in the form of `linbench paper --json`."""
    return {"source": published.SOURCE, "comparisons": [_table_json(one) for one in found]}


_SHAPE = (
    "scope", "mode", "d_model", "heads", "layers", "batch", "tokens", "dtype", "device", "compile",
)  # fmt: skip


def _table_json(table: Table3) -> dict[str, Any]:
    return {
        "run_id": table.panel.run_id,
        "fingerprint": table.panel.fingerprint,
        **{name: getattr(table.panel.problem, name) for name in _SHAPE},
        "candidate": table.candidate,
        "memory_limit_bytes": table.limit_bytes,
        "cells": [
            {
                **vars(one),
                "over_vanilla": _gain_json(one.over_vanilla),
                "over_best": _gain_json(one.over_best),
            }
            for one in table.savings
        ],
    }


def _gain_json(gain: Gain) -> dict[str, Any]:
    value = gain.value
    ends = {"ci_low": value and value.low, "ci_high": value and value.high}
    return {"value": None, **ends, **vars(gain)} | {"value": value and value.value}
