"""What to measure next. Pure: it is asked for a visit and told what became of it.

A pass visits every case that needs another round, in random order, so that a machine that drifts
cannot tilt a slope. The first pass is the exception in part: a case waits there until its
prediction rests on a measured case not too far below it, so that nothing is started that cannot
end; and the budget must hold the sure rounds of all that is begun, the cheap before the dear. What
does not fit is put off, and asked for again before anything gets a round more than those: every
case that can be measured once is, before any is measured beyond what an interval needs.
"""

import bisect
import heapq
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field

from linbench import tasks, words
from linbench.plan.predict import Predictor, family_of, observed_of, tokens_of
from linbench.run.case import Case
from linbench.run.metrics import TIME, Metric
from linbench.run.record import Detail, Record
from linbench.stats.intervals import half_width, quantile
from linbench.tasks import SURE_ROUNDS, Prediction

STEADY_ROUNDS = 5
"""Rounds before a narrow interval may end a case: earlier, narrow ones are luck too often."""

SLACK = 1.15
"""How much longer than predicted all that is begun may take and still get its sure rounds."""

SHARE_OF_BUDGET = 0.97
"""The rest is for starting, closing, and the last visit to take longer than predicted."""

FAR = 20.0
"""In the first pass a case waits for a measured one within this factor of its work."""

SMALL_S = 0.3
"""A case predicted to be shorter than this on cautious rates need not wait."""

REPLANS = 32
"""A grid of more cases is not predicted anew after each visit, but so many times in a pass."""


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
class Lost:
    """A visit that gave no record: its place went away."""

    slot: Slot
    case: Case
    round: int
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
            flops_per_s: What this machine reaches in a matrix product, for predictions of what was
                not measured; None: a cautious rate.
            clock: A monotonic clock, in seconds.
        """
        self.plan = plan
        self.cases = list(dict.fromkeys(cases))
        self.predictor = Predictor(flops_per_s)
        self.round = 0
        self._pass_s = 0.0
        self._todo_s = 0.0
        self.in_flight: set[tuple[Case, int]] = set()
        self._told: list[Case] = []
        self._noisy = [metric for metric in metrics if metric.noise == "rounds"] or [TIME]
        self._fates = {case: _Fate() for case in self.cases}
        self._sure = {name: tasks.find(name).rounds(plan) for name in {c.task for c in self.cases}}
        self._committed: dict[Case, float] = {}
        self._continue = cases_to_continue or Schedule.imprecise
        self._sure_only = sure_only
        self._slots: Sequence[Slot] = ()
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

    # ---- asked and told ----

    def ask(self, slots: Sequence[Slot]) -> Visit | None:
        """Return what to measure next in one of some free places.

        Returns:
            None where nothing is to be done now: all is done if nothing is in flight, else what is
            in flight must be told first.
        """
        if not slots:
            return None
        self._slots = slots
        found = next(self._visits, None)
        if found is None:
            return None
        case, round_ = found
        self.in_flight.add(found)
        return Visit(slots[0], case, round_)

    def tell(self, *results: Record | Lost) -> Record | None:
        """Take up what became of a visit.

        Args:
            results: Its record; several where several versions of a case were measured.

        Returns:
            A record to keep where a visit was lost twice; a visit lost once is asked for again.
        """
        first = results[0]
        self.in_flight.discard((first.case, first.round))
        lost = [result for result in results if isinstance(result, Lost)]
        if not lost:
            self._take_up([result for result in results if isinstance(result, Record)])
            return None
        fate = self._fates[first.case]
        fate.lost += 1
        if fate.lost < 2:
            self._visits = itertools.chain([(first.case, first.round)], self._visits)
            return None
        reason = f"lost twice: {lost[0].reason}"
        failed = Record(case_id=first.case.id, case=first.case, round=first.round, status="error",
                        reason=reason)  # fmt: skip
        self._take_up([failed])
        return failed

    def skipped(self) -> list[Record]:
        """Return a record for each case that was never visited, cheapest first.

        The reason is one for all cases of one cause, with what would do; the prediction of each is
        in its detail.
        """
        left = [case for case, fate in self._fates.items() if not fate.results]
        predicted = {case: self.predictor.predict(case) for case in left}
        causes: dict[_Cause, list[Case]] = {}
        for case in sorted(left, key=lambda case: _cost(case, predicted[case])):
            cause = self._unfit(predicted[case]) or self._over_budget
            causes.setdefault(cause, []).append(case)
        return [
            Record(
                case_id=case.id, case=case, round=self._next_round(case), status="skipped",
                reason=reason,
                detail=Detail.model_validate({"prediction": asdict(predicted[case])}),
            )
            for cause, cases in causes.items()
            for reason in (cause([(case, predicted[case]) for case in cases]),)
            for case in cases
        ]  # fmt: skip

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
        if self.plan.budget_s is None:
            return math.inf
        return SHARE_OF_BUDGET * self.plan.budget_s - self.spent_s

    def alive(self, case: Case) -> bool:
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
        width = {case: self._width(case) for case in cases}
        cases = [
            case
            for case in cases
            if self.rounds_of(case) < STEADY_ROUNDS or width[case] > self.plan.precision
        ]
        left, chosen = self.left_s, set()
        for case in sorted(cases, key=lambda case: (self.rounds_of(case) >= SURE_ROUNDS,
                                                    -width[case])):  # fmt: skip
            round_s = self.predictor.predict(case).round_s
            if round_s <= left:
                left -= round_s
                chosen.add(case)
        return [case for case in cases if case in chosen]

    def _width(self, case: Case) -> float:
        """Return the widest relative interval of what scatters, infinite where there is none."""
        records = [records[-1] for records in self._fates[case].results]
        values = {
            metric: [value for r in records if (value := r.value(metric.name)) is not None]
            for metric in self._noisy
        }
        widths = (_relative(metric, own) for metric, own in values.items() if own)
        return max(widths, default=math.inf)

    # ---- the visits ----

    def _all_visits(self) -> Iterator[tuple[Case, int] | None]:
        """Yield case and round of each visit; None where what is in flight must end first."""
        yield from self._first_pass()
        sure = min(SURE_ROUNDS, self.plan.rounds)
        for round_ in range(1, self.plan.rounds):
            yield from self._settle()
            self.round = round_
            visited = (yield from self._put_off(round_)) if round_ >= sure else 0
            order = self._shuffled(round_)
            begun = [c for c in order if self.alive(c) and round_ not in self._fates[c].rounds]
            visited += yield from self._pass(self._continue(self, begun, round_), round_)
            if not visited and not any(round_ in fate.rounds for fate in self._fates.values()):
                break  # nothing is left to do, however many rounds may still be
        yield from self._settle()
        yield from self._put_off(self.plan.rounds - 1)
        for round_ in itertools.count(self.plan.rounds):  # what began late has few rounds yet
            yield from self._settle()
            few = [c for c in self.cases if self.alive(c) and self.rounds_of(c) < sure]
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
        self._pass_s = math.fsum(self.predictor.predict(case).round_s for case in cases)
        self._todo_s = self._pass_s
        for case in cases:
            round_s = self.predictor.predict(case).round_s
            self._todo_s -= round_s
            if round_s <= self.left_s:
                visited += 1
                yield case, self._next_round(case, round_)
        return visited

    def _put_off(self, round_: int) -> Generator[tuple[Case, int], None, int]:
        """Visit what was put off and now fits once, the cheapest first; return how many."""
        visited = 0
        predict = self.predictor.predict
        left = [] if self._sure_only else [c for c, f in self._fates.items() if not f.results]
        for case in sorted(left, key=lambda case: _cost(case, predict(case))):
            prediction = predict(case)
            if self._unfit(prediction) is None and prediction.round_s <= self.left_s:
                visited += 1
                yield case, self._next_round(case, round_)
        return visited

    def _first_pass(self) -> Iterator[tuple[Case, int] | None]:
        order = [case for case in self._shuffled(0) if not self._fates[case].results]
        frontier = _Frontier(order, self.predictor, self.plan.seed)
        waiting = _Waiting(order, self.predictor, self._sure)
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
            yield from self._begin(case)
        yield from self._settle()
        # the others may have taken less than predicted
        for case in sorted(put_off, key=lambda c: _cost(c, self.predictor.predict(c))):
            prediction = self.predictor.predict(case)
            if self._unfit(prediction) is None and self._fits(case, prediction, waiting):
                yield from self._begin(case)

    def _begin(self, case: Case) -> Iterator[tuple[Case, int]]:
        more = self._sure[case.task] - 1
        self._committed[case] = more * self.predictor.predict(case).round_s
        yield case, self._next_round(case)

    def _next_round(self, case: Case, least: int = 0) -> int:
        """Return the first round from `least` on of which a case has no record, skipped or not."""
        rounds = self._fates[case].rounds
        return next(round_ for round_ in itertools.count(least) if round_ not in rounds)

    # ---- what fits ----

    def foreseen(self, slot: Slot) -> list[tuple[Case, Prediction, str | None]]:
        """Return every case with its prediction and why it would be skipped, the cheapest first."""
        self._slots = (slot,)
        predicted = [(case, self.predictor.predict(case)) for case in self.cases]
        causes: dict[_Cause | None, list[tuple[Case, Prediction]]] = {}
        taken_s = 0.0
        for case, prediction in sorted(predicted, key=lambda pair: _cost(*pair)):
            needed_s = self._sure[case.task] * prediction.round_s
            cause = self._unfit(prediction)
            if cause is None and SLACK * (taken_s + needed_s) > self.left_s:
                cause = self._over_budget
            if cause is None:
                taken_s += needed_s
                self._committed[case] = needed_s
            causes.setdefault(cause, []).append((case, prediction))
        rows = [
            (*pair, reason)
            for cause, found in causes.items()
            for reason in (cause and cause(found),)
            for pair in found
        ]
        return sorted(rows, key=lambda row: _cost(*row[:2]))

    def _unfit(self, prediction: Prediction) -> "_Cause | None":
        """Return why a case cannot be visited at all: memory, or the time of a round; or None."""
        if prediction.memory_bytes is not None and prediction.memory_bytes > self._free_bytes:
            return self._over_memory
        return self._over_timeout if prediction.round_s > self.plan.case_timeout_s else None

    @property
    def _free_bytes(self) -> float:
        return max((slot.free_bytes for slot in self._slots), default=math.inf)

    def _fits(self, case: Case, prediction: Prediction, waiting: "_Waiting") -> bool:
        """Whether the budget holds the sure rounds of this case, of all begun, of all cheaper."""
        left_s, sure = self.left_s, self._sure[case.task]
        begun_s = math.fsum(self._committed.values()) if left_s < math.inf else 0.0
        most_s = max(self._sure.values()) * len(waiting) * prediction.round_s
        own_s = sure * prediction.round_s
        if SLACK * (begun_s + most_s + own_s) <= left_s:
            return True  # even if all that wait were as dear
        return SLACK * (begun_s + waiting.cheaper_s(prediction.round_s) + own_s) <= left_s

    def _over_memory(self, found: "_Found") -> str:
        sizes = _span([one.memory_bytes or 0.0 for _, one in found], "byte")
        free = words.quantity(self._free_bytes, "byte")
        return f"predicted memory {sizes} exceeds the {free} that are free"

    def _over_timeout(self, found: "_Found") -> str:
        rounds_s = [one.round_s for _, one in found]
        return (
            f"predicted rounds of {_span(rounds_s, 's')} exceed --case-timeout "
            f"{self.plan.case_timeout_s:g}s; --case-timeout {math.ceil(SLACK * max(rounds_s))}s "
            "would do"
        )

    def _over_budget(self, found: "_Found") -> str:
        needed_s = math.fsum(self._sure[case.task] * one.round_s for case, one in found)
        begun_s = math.fsum(self._committed.values())
        # for a sweep that goes on from here, and for one that begins anew
        resumed_s = self.spent_s + SLACK * (begun_s + needed_s)
        visited = [case for case in dict.fromkeys(self._told) if self._fates[case].status == "ok"]
        again = ((self._sure[c.task], self.predictor.predict(c).round_s) for c in visited)
        anew_s = SLACK * (math.fsum(sure * round_s for sure, round_s in again) + needed_s)
        enough_s = math.ceil(max(resumed_s, anew_s) / SHARE_OF_BUDGET)
        sure = max(self._sure[case.task] for case, _ in found)
        return (
            f"{words.plural(sure, 'round')} of {_span([one.round_s for _, one in found], 's')} "
            f"each (predicted) did not fit --budget {self.plan.budget_s or 0:g}s; "
            f"--budget {enough_s}s would do"
        )


_Found = Sequence[tuple[Case, Prediction]]
_Cause = Callable[[_Found], str]


def _span(values: Sequence[float], unit: str) -> str:
    low, high = words.quantity(min(values), unit), words.quantity(max(values), unit)
    return low if low == high else f"{low} to {high}"


def _relative(metric: Metric, values: Sequence[float]) -> float:
    """Return the half-width of a 95 % interval, relative to the typical value."""
    if metric.scale == "log":
        return half_width([value for value in values if value > 0])
    if len(values) < 2:
        return math.inf
    half = quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    mean = abs(statistics.fmean(values))
    return half / mean if mean else math.inf


def _cost(case: Case, prediction: Prediction) -> tuple[float, float]:
    """Order cases by what a round is predicted to take, unknown ones by their tokens."""
    return prediction.round_s, tokens_of(case)


class _Frontier:
    """The cases of the first pass: those whose predictions rest on something are ready."""

    def __init__(self, order: Sequence[Case], predictor: Predictor, seed: int) -> None:
        self._predict = predictor.predict
        self._chance = random.Random(f"{seed} first")  # noqa: S311 (an order, not a secret)
        self._ready: list[Case] = []
        self._behind: dict[Case, list[tuple[float, int, Case]]] = {}
        self._of: dict[Case, list[tuple[float, int, Case]]] = {}
        for place, case in enumerate(order):
            work = self._predict(case).call_s or tokens_of(case)
            heap = self._of[case] = self._behind.setdefault(family_of(case), [])
            heap.append((work, place, case))
        for heap in self._behind.values():
            heapq.heapify(heap)
            self._free(heap)

    def __len__(self) -> int:
        return len(self._ready) + sum(map(len, self._behind.values()))

    def _free(self, heap: list[tuple[float, int, Case]]) -> None:
        while heap and _grounded(self._predict(heap[0][2])):
            self._ready.append(heapq.heappop(heap)[2])

    def advance(self, case: Case) -> None:
        """Make ready what rests on a case that was measured."""
        self._free(self._of[case])

    def take(self) -> Case | None:
        """Take a ready case at random, None where none is."""
        if not self._ready:
            return None
        at = self._chance.randrange(len(self._ready))
        self._ready[at], self._ready[-1] = self._ready[-1], self._ready[at]
        return self._ready.pop()

    def cheapest(self, in_flight: Iterable[Case]) -> Case | None:
        """Take the case that will be over first: it grounds the next of its kind.

        None where of each kind one is being measured.
        """
        busy = {id(self._of[case]) for case in in_flight}
        heaps = [heap for heap in self._behind.values() if heap and id(heap) not in busy]
        if not heaps:
            return None
        return heapq.heappop(min(heaps, key=lambda h: _cost(h[0][2], self._predict(h[0][2]))))[2]


def _grounded(prediction: Prediction) -> bool:
    if prediction.grounds == "model":
        return prediction.call_s is not None and prediction.call_s < SMALL_S
    return prediction.reach <= FAR


class _Waiting:
    """The cases that wait in the first pass, and what their sure rounds will take.

    They are predicted anew where something was learnt; where there are very many, now and then.
    """

    def __init__(self, cases: Sequence[Case], predictor: Predictor, sure: dict[str, int]) -> None:
        self._predict, self._sure = predictor.predict, sure
        self._cases = dict.fromkeys(cases)
        self._learnt = 0
        self._plan()

    def __len__(self) -> int:
        return len(self._cases)

    def _plan(self) -> None:
        costs = sorted((self._predict(case).round_s, self._sure[case.task]) for case in self._cases)
        self._round_s = [round_s for round_s, _ in costs]
        self._sums = [0.0, *itertools.accumulate(sure * round_s for round_s, sure in costs)]
        self._each_s = math.fsum(self._round_s) / max(1, len(costs))

    @property
    def total_s(self) -> float:
        """About what one round of all of them takes, in seconds."""
        return self._each_s * len(self._cases)

    def remove(self, case: Case) -> None:
        """Take a case out that is visited, or put off."""
        del self._cases[case]

    def learnt(self) -> None:
        """Take note that there is more to predict from, after a visit."""
        self._learnt += 1

    def cheaper_s(self, round_s: float) -> float:
        """Return what the sure rounds of all take that wait and are cheaper than this."""
        if self._learnt > len(self._cases) / REPLANS:
            self._learnt = 0
            self._plan()
        return self._sums[bisect.bisect_left(self._round_s, round_s)]
