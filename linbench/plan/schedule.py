"""What to measure next. Pure: it is asked for a visit and told what became of it.

A pass visits every case that needs another round, in random order, so that a machine that drifts
cannot tilt a slope. The first pass is the exception in part: a case waits there until its
prediction rests on a measured case not too far below it, so that nothing is started that cannot
end; and the budget must hold the sure rounds of all that is begun, the cheap before the dear. What
does not fit is put off, and asked for again before anything gets a round more than those: every
case that can be measured once is, before any is measured beyond what an interval needs.
"""

import itertools
import math
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial

from linbench import tasks
from linbench.plan import reasons
from linbench.plan.first_pass import Frontier, Waiting, cost
from linbench.plan.precision import widest
from linbench.plan.predict import Predictor, observed_of
from linbench.plan.reasons import SLACK, Cause, Found, explained
from linbench.run.case import Case
from linbench.run.metrics import TIME, Metric
from linbench.run.record import Detail, Record
from linbench.tasks import SURE_ROUNDS, Prediction

STEADY_ROUNDS = 5
"""Rounds before a narrow interval may end a case: earlier, narrow ones are luck too often."""

SHARE_OF_BUDGET = 0.97
"""The rest is for starting, closing, and the last visit to take longer than predicted."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: Maximum rounds per case.
        budget_s: Seconds for the sweep in all; None: no limit.
        case_timeout_s: Seconds for one round of one case.
        precision: Relative half-width of a 95 % interval at which a case needs no more rounds.
        seed: Of the order in which cases are visited.
    """

    rounds: int = 5
    budget_s: float | None = 300.0
    case_timeout_s: float = 60.0
    precision: float = 0.03
    seed: int = 0


@dataclass(frozen=True)
class Slot:
    """A place where one visit at a time can be measured."""

    id: str = "local"
    node: str | None = None
    gpu_uuid: str | None = None
    machine: str | None = None
    free_bytes: float = math.inf


@dataclass(frozen=True)
class Visit:
    """One round of one case, at a place."""

    slot: Slot
    case: Case
    round: int


@dataclass(frozen=True)
class Lost(Visit):
    """A visit that gave no record: its place went away."""

    reason: str


@dataclass
class _Fate:
    """What has become of one case so far."""

    results: list[Sequence[Record]] = field(default_factory=list)
    rounds: set[int] = field(default_factory=set)
    status: str = "waiting"  # waiting, put off, ok, or the status that ended it
    lost: int = 0


Continue = Callable[["Schedule", list[Case], int], list[Case]]


class Schedule:
    """The visits of a sweep, one after the other."""

    def __init__(
        self,
        cases: Sequence[Case],
        plan: Plan,
        *,
        metrics: Sequence[Metric] = (),
        done: Sequence[Record] = (),
        retry_skipped: bool = False,
        cases_to_continue: Continue | None = None,
        sure_only: bool = False,
        versions: int = 1,
        flops_per_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Plan a sweep.

        Args:
            cases: The grid.
            plan: Rounds, budget and limits.
            metrics: What is measured: those that scatter decide when a case is known well enough.
            done: Records of an interrupted run that is resumed: rounds not to be measured again.
            retry_skipped: Whether cases that `done` has as skipped get another chance.
            cases_to_continue: Says which of some cases get another round from the second pass on,
                given the number of the pass; None: those not yet known to the plan's precision.
            sure_only: Whether a case is not begun at all unless its sure rounds fit.
            versions: How many versions of a case a visit measures, each within its own limit.
            flops_per_s: What this machine reaches in a matrix product, for predictions of what was
                not measured; None: a cautious rate.
            clock: A monotonic clock, in seconds.
        """
        self.plan = plan
        self.cases = list(dict.fromkeys(cases))
        self.predictor = Predictor(flops_per_s)
        self.round = 0
        self.in_flight: set[tuple[Case, int]] = set()
        self._pass_s = self._todo_s = 0.0
        self._told: list[Case] = []
        self._noisy = [metric for metric in metrics if metric.noise == "rounds"] or [TIME]
        self._fates = {case: _Fate() for case in self.cases}
        self._sure = {name: tasks.find(name).rounds(plan) for name in {c.task for c in self.cases}}
        self._committed: dict[Case, float] = {}
        self._continue = cases_to_continue or Schedule.imprecise
        self._sure_only = sure_only
        self._versions = versions
        self._slots: dict[str, Slot] = {}
        self._clock = clock
        measured = {record.case for record in done if record.status != "skipped"}
        for record in done:
            if record.case not in self._fates:
                continue
            if record.status == "skipped" and (retry_skipped or record.case in measured):
                self._fates[record.case].rounds.add(record.round)
            else:
                self._take_up([record])
        self._earlier_s = math.fsum(record.duration_s or 0.0 for record in done)
        self._began = clock()
        self._visits = self._all_visits()
        self._again: deque[tuple[Case, int]] = deque()  # visits that were lost, or wait for room

    # ---- asked and told ----

    def ask(self, slots: Sequence[Slot]) -> Visit | None:
        """Return what to measure next, in the first free place that has the memory.

        Returns:
            None where nothing is to be done now: all is done if nothing is in flight, else what is
            in flight must be told first.
        """
        if not slots:
            return None
        busy = self._slots if self.in_flight else {}
        self._slots = {**busy, **{slot.id: slot for slot in slots}}
        visit = self._again.popleft() if self._again else next(self._visits, None)
        if visit is None:
            return None
        needed_bytes = self.predictor.predict(visit[0]).memory_bytes or 0.0
        roomy = next((slot for slot in slots if slot.free_bytes >= needed_bytes), None)
        if roomy is None and needed_bytes <= self._free_bytes:  # there is room where one is busy
            self._again.append(visit)
            return None
        self.in_flight.add(visit)
        return Visit(roomy or max(slots, key=lambda slot: slot.free_bytes), *visit)

    def tell(self, *results: Record | Lost) -> Record | None:
        """Take up what became of a visit: its record, or that of each version; or that it was lost.

        Returns:
            A record to keep where a visit was lost twice; a visit lost once is asked for again.
        """
        case, round_ = visit = results[0].case, results[0].round
        self.in_flight.discard(visit)
        lost = [result for result in results if isinstance(result, Lost)]
        if not lost:
            self._take_up([result for result in results if isinstance(result, Record)])
            return None
        self._fates[case].lost += 1
        if self._fates[case].lost < 2:
            self._again.append(visit)
            return None
        reason = f"lost twice: {lost[0].reason}"
        failed = Record(case_id=case.id, case=case, round=round_, status="error", reason=reason)
        self._take_up([failed])
        return failed

    def skipped(self) -> list[Record]:
        """Return a record for each case that was never visited: its reason and prediction."""
        return [
            Record(
                case_id=case.id, case=case, round=self._next_round(case), status="skipped",
                reason=reason, detail=Detail.model_validate({"prediction": asdict(prediction)}),
            )
            for case, prediction, reason in explained(
                (case, prediction, self._unfit(prediction) or self._over_budget)
                for case, prediction in self._cheapest_first(self._unvisited)
            )
        ]  # fmt: skip

    def _cheapest_first(self, cases: Iterable[Case]) -> list[tuple[Case, Prediction]]:
        predicted = [(case, self.predictor.predict(case)) for case in cases]
        return sorted(predicted, key=lambda pair: cost(*pair))

    @property
    def _unvisited(self) -> list[Case]:
        return [case for case, fate in self._fates.items() if not fate.results]

    def _take_up(self, records: Sequence[Record]) -> None:
        case = records[0].case
        fate = self._fates[case]
        fate.results.append(records)
        fate.rounds.add(records[0].round)
        fate.lost = 0
        fate.status = next((r.status for r in records if r.status != "ok"), "ok")
        self._told.append(case)
        self._committed.pop(case, None)
        if fate.status in ("ok", "timeout"):
            self.predictor.learn(case, observed_of(records, self.plan.case_timeout_s))
        if fate.status == "ok" and len(fate.results) < self._sure[case.task]:
            more = self._sure[case.task] - len(fate.results)
            self._committed[case] = more * self.predictor.predict(case).round_s

    # ---- what is known ----

    @property
    def spent_s(self) -> float:
        """Seconds used so far, those of an interrupted run that is resumed included."""
        return self._earlier_s + self._clock() - self._began

    @property
    def left_s(self) -> float:
        """Seconds left of the budget."""
        budget_s = self.plan.budget_s
        return math.inf if budget_s is None else SHARE_OF_BUDGET * budget_s - self.spent_s

    def _alive(self, case: Case) -> bool:
        """Whether more rounds of a case make sense: all so far ended well, and are not enough."""
        return self._fates[case].status == "ok" and self._sure[case.task] > 1

    @property
    def remaining_s(self) -> float:
        """About how long it will go on, in seconds: this pass, and as many more as there may be."""
        later = self.plan.rounds - self.round - 1
        return max(0.0, min(self._todo_s + later * self._pass_s, self.left_s))

    def rounds_of(self, case: Case) -> int:
        """Return how many rounds of a case there are."""
        return len(self._fates[case].results)

    def imprecise(self, cases: list[Case], round_: int) -> list[Case]:
        """Return those of `cases` that get another round, in the order given.

        The sure rounds are for all. After them a case whose interval is tight enough is done, and
        where the budget cannot hold all the rest, the widest intervals come first.
        """
        if round_ < SURE_ROUNDS:
            return cases
        width: dict[Case, float] = {}
        for case in cases:
            found = widest(self._noisy, [records[-1] for records in self._fates[case].results])
            if self.rounds_of(case) < STEADY_ROUNDS or found > self.plan.precision:
                width[case] = found
        left, chosen = self.left_s, set()
        for case in sorted(width, key=lambda c: (self.rounds_of(c) >= SURE_ROUNDS, -width[c])):
            round_s = self.predictor.predict(case).round_s
            if round_s <= left:
                left -= round_s
                chosen.add(case)
        return [case for case in width if case in chosen]

    # ---- the visits ----

    def _all_visits(self) -> Iterator[tuple[Case, int] | None]:
        """Yield case and round of each visit; None where what is in flight must end first."""
        yield from self._first_pass()
        sure = min(SURE_ROUNDS, self.plan.rounds)
        for round_ in range(1, self.plan.rounds):
            yield from self._settle()
            self.round = round_
            visited = (yield from self._late(round_)) if round_ >= sure else 0
            alive = [case for case in self._shuffled(round_) if self._alive(case)]
            begun = [case for case in alive if round_ not in self._fates[case].rounds]
            visited += yield from self._pass(self._continue(self, begun, round_), round_)
            if not visited and not any(round_ in fate.rounds for fate in self._fates.values()):
                break  # nothing is left to do, however many rounds may still be
        yield from self._settle()
        yield from self._late(self.plan.rounds - 1)
        for round_ in itertools.count(self.plan.rounds):  # what began late has few rounds yet
            yield from self._settle()
            few = [c for c in self.cases if self._alive(c) and self.rounds_of(c) < sure]
            if not (few and (yield from self._pass(self._continue(self, few, round_), round_))):
                break

    def _settle(self) -> Iterator[None]:
        while self.in_flight:
            yield None

    def _shuffled(self, round_: int) -> list[Case]:
        # a seed of its own for each round: a resumed run goes on in the order it had
        chance = random.Random(f"{self.plan.seed} {round_}")  # noqa: S311 (an order, not a secret)
        order = list(self.cases)
        chance.shuffle(order)
        return order

    def _pass(self, cases: list[Case], round_: int) -> Generator[tuple[Case, int], None, int]:
        """Visit some cases once, as far as the budget goes; return how many."""
        visited = 0
        rounds_s = (self.predictor.predict(case).round_s for case in cases)
        self._pass_s = self._todo_s = math.fsum(rounds_s)
        for case in cases:
            round_s = self.predictor.predict(case).round_s
            self._todo_s -= round_s
            if round_s <= self.left_s:
                visited += 1
                yield case, self._next_round(case, round_)
        return visited

    def _late(self, round_: int) -> Generator[tuple[Case, int], None, int]:
        """Visit what was put off and now fits once."""
        left = [] if self._sure_only else self._unvisited
        return self._put_off(left, round_, lambda _, prediction: prediction.round_s <= self.left_s)

    def _put_off(
        self, cases: Sequence[Case], round_: int, fits: Callable[[Case, Prediction], bool]
    ) -> Generator[tuple[Case, int], None, int]:
        """Visit those of some cases that fit by now, the cheapest first; return how many."""
        visited = 0
        for case, _ in self._cheapest_first(cases if self.left_s > 0 else ()):
            prediction = self.predictor.predict(case)
            if self._unfit(prediction) is None and fits(case, prediction):
                visited += 1
                yield self._begin(case, round_)
        return visited

    def _first_pass(self) -> Iterator[tuple[Case, int] | None]:
        order = [case for case in self._shuffled(0) if not self._fates[case].results]
        frontier = Frontier(order, self.predictor, self.plan.seed)
        waiting = Waiting(order, self.predictor, self._sure)
        put_off: list[Case] = []
        known = len(self._told)
        while len(frontier) and self.left_s > 0:
            for told in self._told[known:]:  # several, where visits are measured beside each other
                waiting.learnt()
                frontier.advance(told)
            known = len(self._told)
            case = frontier.take() or frontier.cheapest([case for case, _ in self.in_flight])
            if case is None:
                yield None  # what is measured now may ground it
                continue
            waiting.remove(case)
            prediction = self.predictor.predict(case)
            if self._unfit(prediction) or not self._fits(case, prediction, waiting):
                put_off.append(case)
                continue
            self._todo_s = self._pass_s = waiting.total_s + prediction.round_s
            yield self._begin(case)
        yield from self._settle()
        # the others may have taken less than predicted
        yield from self._put_off(put_off, 0, partial(self._fits, waiting=waiting))

    def _begin(self, case: Case, least_round: int = 0) -> tuple[Case, int]:
        more = self._sure[case.task] - 1
        self._committed[case] = more * self.predictor.predict(case).round_s
        return case, self._next_round(case, least_round)

    def _next_round(self, case: Case, least: int = 0) -> int:
        """Return the first round from `least` on of which a case has no record, skipped or not."""
        rounds = self._fates[case].rounds
        return next(round_ for round_ in itertools.count(least) if round_ not in rounds)

    # ---- what fits ----

    def foreseen(self, slot: Slot) -> list[tuple[Case, Prediction, str | None]]:
        """Return every case with its prediction and why it would be skipped, the cheapest first."""
        self._slots = {slot.id: slot}
        rows: list[tuple[Case, Prediction, Cause | None]] = []
        taken_s = 0.0
        for case, prediction in self._cheapest_first(self.cases):
            needed_s = self._sure[case.task] * prediction.round_s
            cause = self._unfit(prediction)
            if cause is None and SLACK * (taken_s + needed_s) > self.left_s:
                cause = self._over_budget
            if cause is None:
                taken_s += needed_s
                self._committed[case] = needed_s
            rows.append((case, prediction, cause))
        return sorted(explained(rows), key=lambda row: cost(*row[:2]))

    def _unfit(self, prediction: Prediction) -> Cause | None:
        """Return why a case cannot be visited at all: memory, or the time of a round; or None."""
        if prediction.memory_bytes is not None and prediction.memory_bytes > self._free_bytes:
            return self._over_memory
        limit_s = self._versions * self.plan.case_timeout_s
        return self._over_timeout if prediction.round_s > limit_s else None

    @property
    def _free_bytes(self) -> float:
        return max((slot.free_bytes for slot in self._slots.values()), default=math.inf)

    def _fits(self, case: Case, prediction: Prediction, waiting: Waiting) -> bool:
        """Whether the budget holds the sure rounds of this case, of all begun, of all cheaper."""
        left_s, sure = self.left_s, self._sure[case.task]
        begun_s = math.fsum(self._committed.values()) if left_s < math.inf else 0.0
        most_s = max(self._sure.values()) * len(waiting) * prediction.round_s
        own_s = sure * prediction.round_s
        if SLACK * (begun_s + most_s + own_s) <= left_s:
            return True  # even if all that wait were as dear
        return SLACK * (begun_s + waiting.cheaper_s(prediction.round_s) + own_s) <= left_s

    def _over_memory(self, found: Found) -> str:
        return reasons.over_memory(found, self._free_bytes)

    def _over_timeout(self, found: Found) -> str:
        return reasons.over_timeout(found, self.plan.case_timeout_s, self._versions)

    def _over_budget(self, found: Found) -> str:
        needed_s = math.fsum(self._sure[case.task] * round_.round_s for case, round_ in found)
        begun_s = math.fsum(self._committed.values())
        # for a sweep that goes on from here, and for one that begins anew
        resumed_s = self.spent_s + SLACK * (begun_s + needed_s)
        visited = [case for case in dict.fromkeys(self._told) if self._fates[case].status == "ok"]
        again = ((self._sure[c.task], self.predictor.predict(c).round_s) for c in visited)
        anew_s = SLACK * (math.fsum(sure * round_s for sure, round_s in again) + needed_s)
        enough_s = math.ceil(max(resumed_s, anew_s) / SHARE_OF_BUDGET)
        sure = max(self._sure[case.task] for case, _ in found)
        return reasons.over_budget(found, sure, self.plan.budget_s or 0, enough_s)
