"""What cases will take, from what was measured: each task predicts, this remembers for it."""

import bisect
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

from linbench import tasks
from linbench.errors import UsageError
from linbench.run.case import Case
from linbench.run.record import Record
from linbench.run.shape import costs_of
from linbench.tasks import Known, Observed, Prediction, Task
from linbench.tasks.support import predicting
from linbench.tasks.support.predicting import tokens_of

NEAREST = 2
"""A case is predicted from so many measured ones on each side of it, and from the smallest."""


@dataclass
class _Family:
    """The measured cases of one kind: tokens, order of appearance, what it took."""

    kin: list[tuple[float, int, Case]] = field(default_factory=list)
    age: int = 0


class Predictor:
    """Predicts cases from what measured ones took."""

    def __init__(self, flops_per_s: float | None = None) -> None:
        """Begin with nothing measured; rates are cautious unless one is given."""
        self._flops_per_s = flops_per_s
        self._observed: dict[Case, Observed] = {}
        self._families: dict[Case, _Family] = {}
        self._tasks: dict[str, Task] = {}
        # by case: its family, and what was predicted when the family was that old
        self._known: dict[Case, tuple[_Family, int, Prediction]] = {}

    def learn(self, case: Case, observed: Observed) -> None:
        """Take up what a visit of a case took; its latest counts."""
        family = self._family(case)
        if case not in self._observed:
            bisect.insort(family.kin, (tokens_of(case), len(self._observed), case))
        self._observed[case] = observed
        family.age += 1

    def predict(self, case: Case) -> Prediction:
        """Predict what a visit of a case will take."""
        known = self._known.get(case)
        if known is None or known[0].age != known[1]:
            family = known[0] if known else self._family(case)
            known = self._known[case] = family, family.age, self._predict(case, family)
        return known[2]

    def _family(self, case: Case) -> _Family:
        return self._families.setdefault(family_of(case), _Family())

    def _predict(self, case: Case, family: _Family) -> Prediction:
        if seen := self._observed.get(case):
            return Prediction(seen.round_s, seen.memory_bytes, seen.call_s, "measured")
        task = self._tasks.get(case.task) or tasks.find(case.task)
        self._tasks[case.task] = task
        at = bisect.bisect(family.kin, (tokens_of(case),))
        # the smallest and the nearest
        near = [*family.kin[:1], *family.kin[max(0, at - NEAREST) : at + NEAREST]]
        alike = [self._observed[other] for *_, other in dict.fromkeys(near)]
        known = Known(alike, self._flops_per_s)
        if task.predict is None:
            return predicting.by_tokens(case, known)
        try:
            found = task.predict(case, known)
            if found.round_s >= 0:  # NaN is not
                return found
        except Exception as error:
            raise UsageError(
                f"task {case.task}: its predict raised {type(error).__name__}: {error}; expected "
                "a Prediction, or leave predict out"
            ) from error
        raise UsageError(
            f"task {case.task}: its predict gave a round of {found.round_s} s, expected 0 or more"
        )


def family_of(case: Case) -> Case:
    """Return what is alike in cases whose times tell of each other: all but n, k, batch, sharing.

    A plug-in's k may mean anything, so that it stays part of it.
    """
    counted = costs_of(case) is not None
    k = ("k", "k_rule") if counted else ()
    return case.key("seq", "batch", "tokens", "sharing", "seed", *k)


def observed_of(records: Sequence[Record], timeout_s: float) -> Observed:
    """Return what a visit took, a record of each version; one killed took at least its limit."""
    case, last = records[0].case, records[-1]
    round_s = math.fsum(record.duration_s or 0.0 for record in records)
    if any(record.status == "timeout" for record in records):
        return Observed(case, len(records) * timeout_s, timeout_s / 3)
    memory, parts = last.detail.memory, [last.value("memory")]
    parts += [memory.weights_bytes, memory.inputs_bytes] if memory else []
    known = [part for part in parts if part is not None]
    calls = [statistics.median(own) for r in records if (own := r.samples("time"))]
    start_s = predicting.START_S[case.device or "cpu"]
    call_s = statistics.fmean(calls) if calls else max(0.0, round_s / len(records) - start_s)
    return Observed(case, round_s, call_s, math.fsum(known) if known else None)
