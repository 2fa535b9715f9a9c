"""The order of a sweep: rounds, what fits the budget, when a case is known well enough.

Every case is visited once a round, in random order, so that a machine that drifts cannot tilt a
slope. The first round is the exception in part: a case waits there until its prediction rests on a
measured case not too far below it, so that nothing is started that cannot end. What does not fit is
put off to the end of that round, and if it still does not fit it is recorded as skipped, with the
prediction as its reason.
"""

import math
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from scipy import special

from linbench.case import Case
from linbench.predict import START_S, Measured, Prediction, Predictor
from linbench.record import Record

Measure = Callable[[Case, int], Record]

SURE_ROUNDS = 3
"""A case is begun only if this many rounds of it are predicted to fit: fewer give no interval."""

ONE_ROUND = ("max_batch",)
"""Tasks whose answer is exact: another round would only repeat it."""

STEADY_ROUNDS = 5
"""Rounds before a narrow interval may end a case: earlier, narrow ones are luck too often."""

SLACK = 1.15
"""How much longer than predicted all that is begun may take and still get its SURE_ROUNDS."""

SHARE_OF_BUDGET = 0.97
"""The rest is for starting, closing, and the last visit to take longer than predicted."""

FAR = 20.0
"""In the first round a case waits for a measured one within this factor of its operations."""

SMALL_S = 0.3
"""A case predicted to be shorter than this on cautious rates need not wait."""


@dataclass(frozen=True)
class Plan:
    """How long to measure.

    Attributes:
        rounds: Most rounds of a case.
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


@dataclass
class State:
    """What is known of a sweep while it runs.

    Attributes:
        spent_s: Seconds used so far, those of an interrupted run that is resumed included.
        records: By case, in order.
        forgiven: Cases skipped in an interrupted run that get another chance in the resumed one.
        begun: Seconds of a round of each case that will get more rounds.
        predictor: Knows what each measured case took.
    """

    plan: Plan
    free_bytes: float
    records: dict[Case, list[Record]] = field(default_factory=dict)
    forgiven: set[Case] = field(default_factory=set)
    begun: dict[Case, float] = field(default_factory=dict)
    predictor: Predictor = field(default_factory=Predictor)
    spent_s: float = 0.0

    def add(self, record: Record) -> None:
        """Take up a record."""
        self.records.setdefault(record.case, []).append(record)
        self.begun.pop(record.case, None)
        if record.status != "ok":
            self.forgiven.discard(record.case)
        if record.status == "ok":
            if rounds_needed(record.case, self.plan) > 1:
                self.begun[record.case] = record.duration_s or 0.0
            self.predictor.learn(record.case, measured_of(record))
        elif record.status == "timeout":  # its time is at least this: larger cases are predicted so
            call_s = self.plan.case_timeout_s / 3
            self.predictor.learn(record.case, Measured(call_s, self.plan.case_timeout_s, None))

    def rounds_of(self, case: Case) -> set[int]:
        """Return the rounds in which a case has been visited."""
        return {record.round for record in self.records.get(case, [])}

    def alive(self, case: Case) -> bool:
        """Whether more rounds of a case make sense: none so far ended otherwise than well."""
        found = {record.status for record in self.records.get(case, [])}
        if case.task in ONE_ROUND and "ok" in found:
            return False
        bad = found - {"ok"}
        return not bad or (bad == {"skipped"} and case in self.forgiven)

    def left_s(self) -> float:
        """Return the seconds left of the budget."""
        if self.plan.budget_s is None:
            return math.inf
        return SHARE_OF_BUDGET * self.plan.budget_s - self.spent_s


def measured_of(record: Record) -> Measured:
    """Return what a round took: its typical call, the whole round, and its memory."""
    memory = record.memory
    parts = [memory.peak_bytes, memory.weights_bytes, memory.inputs_bytes] if memory else []
    known = [part for part in parts if part is not None]
    round_s = record.duration_s or 0.0
    if record.seconds:
        call_s = statistics.median(record.seconds)
    else:  # a search: its calls are the round
        call_s = max(0.0, round_s - START_S[record.case.device])
    return Measured(call_s, round_s, sum(known) if known else None)


def rounds_needed(case: Case, plan: Plan) -> int:
    """Return how many rounds of a case the budget must hold for it to be begun."""
    return 1 if case.task in ONE_ROUND else min(SURE_ROUNDS, plan.rounds)


def run(
    cases: Sequence[Case],
    plan: Plan,
    measure: Measure,
    keep: Callable[[Record], None],
    *,
    free_bytes: float,
    done: Sequence[Record] = (),
    reconsider: bool = False,
    clock: Callable[[], float] = time.monotonic,
    visiting: Callable[[Case, int, "State", list[Case]], None] = lambda *_: None,
    wanted: Callable[[list[Case], int, "State"], list[Case]] | None = None,
) -> State:
    """Measure a grid, round by round.

    Args:
        cases: The grid.
        plan: Rounds, budget and limits.
        measure: Measures one round of one case (an executor).
        keep: Takes each record as soon as it is there, skipped ones included.
        free_bytes: Memory a case may take.
        done: Records of an interrupted run that is resumed; their rounds are not measured again.
        reconsider: Whether cases that `done` has as skipped get another chance, from the next round
            on (the budget is larger now, say).
        clock: A monotonic clock, in seconds.
        visiting: Told before each visit, with the cases still to come in this round.
        wanted: Says which cases get another round, from the second one on (see `wanting`).

    Returns:
        What is known at the end.
    """
    state = State(plan, free_bytes)
    for record in done:
        state.add(record)
    if reconsider:
        state.forgiven = {record.case for record in done if record.status == "skipped"}
    earlier_s = sum(record.duration_s or 0.0 for record in done)
    put_off: set[Case] = set()
    begin = clock()
    for round_ in range(plan.rounds):
        state.spent_s = earlier_s + clock() - begin
        order = _order(cases, round_, state, wanted or wanting)
        for case, waiting in order:
            reason = unfit(case, round_, state, waiting)
            if reason and round_ == 0 and waiting and case not in put_off:
                put_off.add(case)
                waiting.append(case)  # what comes before it may take less than predicted
                continue
            visiting(case, round_, state, waiting)
            if reason is None:
                record = measure(case, round_)
            elif round_ == 0:
                record = Record(
                    case_id=case.id, case=case, round=0, status="skipped", reason=reason
                )
            else:
                continue
            state.add(record)
            keep(record)
            state.spent_s = earlier_s + clock() - begin
    return state


def _order(
    cases: Sequence[Case],
    round_: int,
    state: State,
    wanted: Callable[[list[Case], int, State], list[Case]],
) -> Iterator[tuple[Case, list[Case]]]:
    """Yield the cases of a round in the order to visit, each with those still waiting."""
    # a seed of its own for each round: a resumed run goes on in the order it had
    chance = random.Random(f"{state.plan.seed} {round_}")  # noqa: S311 (an order, not a secret)
    waiting = list(cases)
    chance.shuffle(waiting)
    waiting = [case for case in waiting if round_ not in state.rounds_of(case)]
    if round_ > 0:
        waiting = wanted(waiting, round_, state)
        while waiting:
            yield waiting.pop(0), waiting
        return
    while waiting:
        ready = (i for i, case in enumerate(waiting) if _grounded(state.predictor.predict(case)))
        at = next(ready, None)
        if at is None:  # the shortest grounds the next
            at = min(range(len(waiting)), key=lambda i: _cost(waiting[i], state))
        yield waiting.pop(at), waiting


def _grounded(prediction: Prediction) -> bool:
    if prediction.grounds == "model":
        return prediction.call_s is not None and prediction.call_s < SMALL_S
    return prediction.reach <= FAR


def _cost(case: Case, state: State) -> tuple[float, int]:
    """Order cases by what a round is predicted to take, unknown ones by their tokens."""
    prediction = state.predictor.predict(case)
    return prediction.round_s, case.seq * case.batch


def unfit(case: Case, round_: int, state: State, waiting: Sequence[Case]) -> str | None:
    """Say why a case cannot be visited now, or None: memory, the time of a round, the budget.

    In the first round the budget must hold SURE_ROUNDS rounds of this case beside those of all that
    were begun and of all that wait and are cheaper; later, this one visit.
    """
    prediction = state.predictor.predict(case)
    plan = state.plan
    if prediction.memory_bytes is not None and prediction.memory_bytes > state.free_bytes:
        return (
            f"predicted memory {gib(prediction.memory_bytes)} exceeds the "
            f"{gib(state.free_bytes)} that are free"
        )
    how = f"({prediction.grounds})"
    if prediction.round_s > plan.case_timeout_s:
        return (
            f"predicted {prediction.round_s:.0f} s a round {how} exceed --case-timeout "
            f"{plan.case_timeout_s:g}s; raise it"
        )
    left = state.left_s()
    if round_ > 0:
        return None if prediction.round_s <= left else "the budget is spent"
    most, sure = min(SURE_ROUNDS, plan.rounds), rounds_needed(case, plan)
    begun = (most - 1) * sum(state.begun.values())
    if SLACK * (begun + most * (1 + len(waiting)) * prediction.round_s) <= left:
        return None  # even if all that wait were as dear
    cheaper = sum(
        rounds_needed(other, plan) * p.round_s
        for other, p in ((other, state.predictor.predict(other)) for other in waiting)
        if p.round_s < prediction.round_s
    )
    if SLACK * (begun + cheaper + sure * prediction.round_s) <= left:
        return None
    return (
        f"predicted {sure} round{'s' * (sure > 1)} of {prediction.round_s:.1f} s {how} do not fit: "
        "of the budget "
        f"{plan.budget_s:g} s, {int(max(0.0, left / SLACK - begun - cheaper))} s are free; "
        "raise --budget"
    )


def foresee(
    cases: Sequence[Case], plan: Plan, free_bytes: float, flops_per_s: float
) -> list[tuple[Case, Prediction, str | None]]:
    """Predict a sweep without measuring: each case with its prediction and why it would be skipped.

    Args:
        cases: The grid.
        plan: Rounds, budget and limits.
        free_bytes: Memory a case may take.
        flops_per_s: What this machine reaches in a matrix product.
    """
    state = State(plan, free_bytes, predictor=Predictor(flops_per_s))
    rows = []
    for case in sorted(cases, key=lambda case: _cost(case, state)):
        prediction = state.predictor.predict(case)
        reason = unfit(case, 0, state, [])
        if reason is None:
            state.spent_s += rounds_needed(case, plan) * prediction.round_s
        rows.append((case, prediction, reason))
    return rows


def wanting(cases: list[Case], round_: int, state: State) -> list[Case]:
    """Return those of `cases` that get another round, in the order given.

    The first SURE_ROUNDS rounds are for all. After them a case whose interval is tight enough is
    done, and where the budget cannot hold all the rest, the widest intervals come first.
    """
    cases = [case for case in cases if state.alive(case)]
    if round_ < SURE_ROUNDS:
        return cases
    width = {case: half_width(state.records.get(case, [])) for case in cases}
    cases = [
        case
        for case in cases
        if len(state.rounds_of(case)) < STEADY_ROUNDS or width[case] > state.plan.precision
    ]
    left = state.left_s()
    chosen = set()
    for case in sorted(cases, key=lambda case: -width[case]):
        round_s = state.predictor.predict(case).round_s
        if round_s <= left:
            left -= round_s
            chosen.add(case)
    return [case for case in cases if case in chosen]


def half_width(records: Sequence[Record]) -> float:
    """Return the relative half-width of a 95 % interval for a case's time, rounds as units.

    Student's t on the logarithms of the rounds' medians; infinite for fewer than two rounds.
    """
    logs = [math.log(statistics.median(r.seconds)) for r in records if r.seconds]
    if len(logs) < 2:
        return math.inf
    factor = float(special.stdtrit(len(logs) - 1, 0.975))  # scipy.stats takes long to load
    return math.expm1(factor * statistics.stdev(logs) / math.sqrt(len(logs)))


def gib(count: float) -> str:
    """Write bytes in GiB, or MiB below one."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
