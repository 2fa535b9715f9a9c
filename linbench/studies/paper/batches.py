"""The largest batches that fit a memory: what the paper calls memory saved is their ratio."""

from dataclasses import dataclass
from typing import Final

from linbench import words
from linbench.report.content import Table, count, whole
from linbench.run.record import Record
from linbench.run.runs import Run
from linbench.studies.labels import label_of

SEARCH: Final = "max_batch"
"""The task that finds the largest batch, and its metric: how many sequences fit."""


@dataclass(frozen=True)
class Fit:
    """The largest batch that fits a limit, and how it is known: measured, extrapolated, counted."""

    batch: int
    how: str | None
    limit_bytes: int | None


def fit_of(record: Record) -> Fit | None:
    """Return the largest batch that a record holds, if it does."""
    batch = record.value(SEARCH)
    if record.status != "ok" or batch is None:
        return None
    found = (record.detail.model_extra or {}).get(SEARCH) or {}
    limit = found.get("limit_bytes") or record.case.setting("memory_limit_bytes")
    return Fit(int(batch), record.metrics[SEARCH].source, limit)


def table(run: Run) -> Table | None:
    """Return the largest batches of a run, a row per record that has one."""
    found = [(record.case, fit) for record in run.records if (fit := fit_of(record))]
    if not found:
        return None
    keys = list(dict.fromkeys(case.key("seq", "seed") for case, _ in found))
    limits = dict.fromkeys(words.quantity(fit.limit_bytes, "byte") for _, fit in found)
    rows = sorted(
        (label_of(case, keys), case.scope, case.mode, case.seq or 0, fit.batch, str(fit.how))
        for case, fit in found
    )
    return Table(
        "Largest batches",
        ("series", "scope", "mode", "n", "sequences", "how it is known"),
        tuple((*series, whole(n), count(batch), how) for *series, n, batch, how in rows),
        f"The most sequences of which weights, inputs and the peak of one call fit "
        f"{words.listed(limits)}. "
        "Extrapolated: from the exact bytes of smaller batches. Counted: operation counts alone "
        "exceed it.",
        folded=True,
    )
