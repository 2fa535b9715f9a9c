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

    Where there is no value, `status` says why in a word and `reason` in a sentence. Values from
    rounds have an interval; bytes and batches are exact, unless batches were not all run but follow
    from the exact bytes of smaller ones, or from counts: then they are extrapolated.
    """

    value: Interval | None = None
    how: How | None = None
    baseline: str | None = None
    batches: tuple[int, int] | None = None  # Linformer's largest and the baseline's
    status: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Saving:
    """What is saved at one n and k: a cell of Table 3, the paper's and ours.

    The paper's is None where it has no such cell. Ours is over attention with its n × n matrices
    written out, and over the exact implementation that does best at that n, fused ones among them.
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
    """A run beside Table 3 at one shape, width, precision and batch (that of the timed calls)."""

    panel: Panel
    candidate: str  # the implementation of Linformer
    limit_bytes: int | None  # of the largest batches; None where there is none, or several differ
    savings: tuple[Saving, ...]  # all cells of the paper, and those that only the run has
    missing: tuple[Missing, ...]

    def of(self, saved: Saved) -> list[Saving]:
        """Return the savings of one quantity."""
        return [cell for cell in self.savings if cell.saved == saved]

    @property
    def sizes(self) -> list[int]:
        """All n, ascending."""
        return sorted({cell.n for cell in self.savings})

    @property
    def ks(self) -> list[int]:
        """All k, ascending."""
        return sorted({cell.k for cell in self.savings})


_SHAPE = (
    "scope", "mode", "d_model", "heads", "layers", "batch", "tokens", "dtype", "device", "compile",
)  # fmt: skip


def to_json(found: Sequence[Table3]) -> dict[str, Any]:
    """Return comparisons in the form of `linbench paper --json`."""
    comparisons = [
        {
            "run_id": table.panel.run_id,
            "fingerprint": table.panel.fingerprint,
            **{name: getattr(table.panel.problem, name) for name in _SHAPE},
            "candidate": table.candidate,
            "memory_limit_bytes": table.limit_bytes,
            "cells": [
                {
                    **vars(cell),
                    "over_vanilla": _gain_json(cell.over_vanilla),
                    "over_best": _gain_json(cell.over_best),
                }
                for cell in table.savings
            ],
        }
        for table in found
    ]
    return {"source": published.SOURCE, "comparisons": comparisons}


def _gain_json(gain: Gain) -> dict[str, Any]:
    value = gain.value
    ends = {"ci_low": value and value.low, "ci_high": value and value.high}
    return {**vars(gain), "value": value and value.value, **ends}
