"""Run tables -> what each case measured, and what became of cases that one run did not measure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from linbench.analysis.compare import rows_by_case
from linbench.analysis.series import Series, series_of_rows, setup_of
from linbench.gate.verdicts import CaseNote, Comparison, Kind, Limits, Verdict, What

if TYPE_CHECKING:
    import pandas as pd

WRONG = ("error", "incorrect")


@dataclass(frozen=True)
class Measured:
    """One case of one run.

    Attributes:
        case_id: Its id, the same in every run.
        label: Its configuration in words, with n.
        at: Scope, mode and shape.
        problem: What is solved, n included: equal for a case and its anchor.
        impl: The implementation.
        status: `ok` where it was measured and never failed, else the worst status.
        reason: Why it is not ok.
        time: Its times by round; None where there are none.
        samples: Log times of each record, by round.
        memory: Its peak memory by round; None where there is none.
        threads: Threads of an operation; None where unknown.
        weights_bytes: Parameters and buffers; None where unknown.
        operations: Counted operations; None where unknown.
        max_batch: Sequences of the largest batch, and the memory it fits in bytes; None where that
            was not asked.
    """

    case_id: str
    label: str
    at: str
    problem: object
    impl: str
    status: str
    reason: str
    time: Series | None
    samples: Mapping[int, Sequence[float]]
    memory: Series | None
    threads: int | None
    weights_bytes: int | None
    operations: int | None
    max_batch: tuple[int, int] | None


def cases_of(frame: "pd.DataFrame") -> dict[str, Measured]:
    """Return what each case of a run measured, in the order of the run."""
    return {case_id: _measured(case_id, rows) for case_id, rows in rows_by_case(frame).items()}


def _measured(case_id: str, rows: list[dict[str, Any]]) -> Measured:
    setup = setup_of(rows[0])
    by_status = {row["status"]: row["reason"] for row in rows}
    ok = [row for row in rows if row["status"] == "ok"]
    # a case that was skipped after some rounds, when the budget ended, has been measured
    ranked = (*WRONG, "oom", "timeout", *(("ok", "skipped") if ok else ("skipped",)))
    status = next(one for one in ranked if one in by_status)
    return Measured(
        case_id=case_id,
        label=f"{setup.label} n={rows[0]['seq']}",
        at=setup.panel.label,
        problem=(replace(setup.panel, run_id="", fingerprint=""), int(rows[0]["seq"])),
        impl=setup.impl,
        status=status,
        reason=str(by_status[status] or ""),
        time=next(iter(series_of_rows(rows, "time")), None),
        samples={int(row["round"]): np.log(row["seconds"]).tolist() for row in ok},
        memory=next(iter(series_of_rows(rows, "memory")), None),
        threads=_known(ok, "timing", "threads"),
        weights_bytes=_known(ok, "memory", "weights_bytes"),
        operations=_known(ok, "costs", "flops"),
        max_batch=_pair(_known(ok, "max_batch", "batch"), _known(ok, "max_batch", "limit_bytes")),
    )


def _pair(first: int | None, second: int | None) -> tuple[int, int] | None:
    return None if first is None or second is None else (first, second)


def _known(rows: list[dict[str, Any]], column: str, key: str) -> int | None:
    """Return the last known value of a key of a dict column that some runs do not have."""
    found = [table[key] for row in rows if isinstance(table := row.get(column), Mapping)
             and table.get(key) is not None]  # fmt: skip
    return int(found[-1]) if found else None


@dataclass(frozen=True)
class Runs:
    """Both runs, case by case, and how they are to be compared (see `judge`)."""

    before: Mapping[str, Measured]
    after: Mapping[str, Measured]
    limits: Limits
    same_machine: bool
    paired: bool
    merged: bool

    @property
    def shared(self) -> list[str]:
        """The cases that were measured in both, in the order of the candidate."""
        return [
            case_id
            for case_id, new in self.after.items()
            if new.status == "ok"
            and (old := self.before.get(case_id)) is not None
            and old.status == "ok"
        ]

    def comparison(
        self,
        case_id: str,
        metric: What,
        *,
        baseline: float | None = None,
        candidate: float | None = None,
        detail: str = "",
    ) -> Comparison:
        """Return a comparison of one case that waits for its verdict."""
        case = self.after[case_id]
        return Comparison(
            case_id, case.label, case.at, metric, "inconclusive",
            baseline=baseline, candidate=candidate, detail=detail,
        )  # fmt: skip


def statuses(runs: Runs) -> tuple[list[Comparison], list[CaseNote]]:
    """Hold what became of each case against what became of it in the baseline.

    Returns:
        A comparison for each case that got worse, and notes on those that cannot be compared.
    """
    before, after = runs.before, runs.after
    worse, notes = [], []
    for case_id in [*before, *(case_id for case_id in after if case_id not in before)]:
        old, new = before.get(case_id), after.get(case_id)
        one = new or old
        assert one is not None
        was, now = (old.status if old else "absent"), (new.status if new else "absent")
        reason = (new and new.reason) or (old and old.reason)
        said = f"{was} → {now}" + (f": {reason}" if reason else "")
        verdict = _worse(was, now, same_machine=runs.same_machine)
        if verdict:
            detail = said if verdict == "regression" else f"{said}; the machines differ"
            worse.append(Comparison(case_id, one.label, one.at, "status", verdict, detail=detail))
        elif runs.paired and was in WRONG:
            # measured just now: more likely its checkout lacks something than that it was broken
            detail = f"{said}; the reference does not work here, so that nothing is compared"
            worse.append(
                Comparison(case_id, one.label, one.at, "status", "inconclusive", detail=detail)
            )
        elif was == "absent":
            notes.append(CaseNote(case_id, one.label, "new", now))
        elif was != "ok":
            notes.append(CaseNote(case_id, one.label, _kind(was, now), said))
    return worse, notes


def _kind(was: str, now: str) -> Kind:
    if now == "ok":
        return "mended"
    return "not measured" if {was, now} & {"skipped", "absent"} else "failed in both"


def _worse(was: str, now: str, *, same_machine: bool) -> Verdict | None:
    """Judge a change of status; None where it is no change for the worse.

    Memory and speed of another machine can make a case fail that did not, so that only a wrong or
    a missing case is a regression there.
    """
    if now in WRONG and was not in WRONG:
        return "regression"
    if was != "ok" or now == "ok":
        return None
    return "regression" if same_machine or now == "absent" else "inconclusive"
