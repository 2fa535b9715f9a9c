"""The order of a sweep, its budget, and what is skipped; with a fake executor and a fake clock."""

import math
import random
import re

import pytest

from linbench import runner
from linbench.case import Case
from linbench.predict import Measured, Predictor, cost_of, operations, sequences
from linbench.record import MaxBatch, Memory, Record
from linbench.runner import Plan

GIB = 2**30


class Machine:
    """A machine that takes a known time for each case; its clock moves only when it measures."""

    def __init__(self, flops_per_s=50e9, noise=0.0, fate=None):
        self.now = 0.0
        self.visits = []
        self.kept = []
        self.rate, self.noise, self.fate = flops_per_s, noise, fate or {}
        self.chance = random.Random(1)

    def call_s(self, case):
        return cost_of(case).flops / self.rate

    def measure(self, case, round_):
        self.visits.append((case, round_))
        call_s = self.call_s(case) * math.exp(self.chance.gauss(0, self.noise))
        status = self.fate.get(case.impl, "ok")
        duration_s = 0.2 + (60.0 if status == "timeout" else 3 * call_s)
        self.now += duration_s
        return Record(
            case_id=case.id, case=case, round=round_, status=status,
            reason=None if status == "ok" else "fate",
            seconds=[call_s] if status == "ok" else [],
            memory=Memory(peak_bytes=1000, weights_bytes=10, inputs_bytes=1),
            duration_s=duration_s,
        )  # fmt: skip

    def run(self, cases, done=(), free_bytes=64 * GIB, reconsider=False, **plan):
        return runner.run(
            cases, Plan(**plan), self.measure, self.kept.append,
            free_bytes=free_bytes, done=done, reconsider=reconsider, clock=lambda: self.now,
        )  # fmt: skip


def grid(*impls, sizes=(512, 1024, 2048, 4096)):
    return [
        Case(impl=impl, seq=n, scope="core", **(
            {"k": 64, "sharing": "headwise", "projection": "linear"} if impl == "linformer" else {}
        ))
        for impl in impls for n in sizes
    ]  # fmt: skip


def test_every_case_once_a_round_in_an_order_of_its_own():
    """Rounds hold every case exactly once, and their orders differ."""
    machine, cases = Machine(), grid("vanilla", "sdpa", "linformer")
    machine.run(cases, rounds=4)
    orders = [[case for case, r in machine.visits if r == round_] for round_ in range(4)]
    assert all(sorted(map(hash, order)) == sorted(map(hash, cases)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert len(machine.kept) == 48


def test_the_order_depends_on_the_seed_alone():
    """The same seed gives the same order, another one another."""
    orders = []
    for seed in (0, 0, 1):
        machine = Machine()
        machine.run(grid("sdpa", "linformer"), rounds=3, seed=seed)
        orders.append(machine.visits)
    assert orders[0] == orders[1] != orders[2]


def test_what_does_not_fit_the_memory_is_skipped_with_the_prediction():
    """Vanilla attention at n = 65536 and 4 heads needs 128 GiB: never started, and said why."""
    machine = Machine(flops_per_s=1e15)
    machine.run(grid("vanilla", sizes=(512, 65536)), free_bytes=20 * GIB, rounds=2)
    skipped = [record for record in machine.kept if record.status == "skipped"]
    assert [(record.case.seq, record.round) for record in skipped] == [(65536, 0)]
    assert "predicted memory 128" in skipped[0].reason
    assert "20.0 GiB that are free" in skipped[0].reason
    assert skipped[0].seconds == []


def test_the_budget_holds_three_rounds_of_all_that_is_begun():
    """The dearest cases are skipped, the others get at least three rounds, the budget is kept."""
    machine = Machine()
    cases = grid("sdpa", sizes=[512 * 2**i for i in range(9)])
    machine.run(cases, rounds=5, budget_s=60, case_timeout_s=1000)
    assert machine.now <= 60
    visits = [sum(case == visited for visited, _ in machine.visits) for case in cases]
    assert visits[0] >= 3
    assert visits[-1] == 0
    assert all(count == 0 or count >= 3 for count in visits)
    assert visits == sorted(visits, reverse=True)
    skipped = [record for record in machine.kept if record.status == "skipped"]
    assert len(skipped) == sum(count == 0 for count in visits)
    assert all("raise --budget" in record.reason for record in skipped)


def test_nothing_long_is_begun_on_a_guess():
    """In the first round each case follows one that is at most 20 times smaller, or is short."""
    machine = Machine(flops_per_s=5e9)
    machine.run(grid("sdpa", sizes=[512 * 2**i for i in range(6)]), rounds=1)
    sizes = [case.seq for case, _ in machine.visits]
    for at, n in enumerate(sizes):
        if n > 2048:
            assert any(n / 5 < before < n for before in sizes[:at])


def test_a_round_longer_than_the_timeout_is_not_begun():
    """What would be killed for sure is skipped and the remedy named."""
    machine = Machine(flops_per_s=1e9)
    cases = grid("sdpa", sizes=(512, 1024, 2048, 4096, 8192))
    machine.run(cases, rounds=1, case_timeout_s=20, budget_s=None)
    last = machine.kept[-1]
    assert (last.case.seq, last.status) == (8192, "skipped")
    assert "--case-timeout 20s; raise it" in last.reason


@pytest.mark.parametrize("fate", ["oom", "error", "incorrect", "skipped", "timeout"])
def test_a_case_that_ended_badly_is_not_tried_again(fate):
    """Its first round is its record; the others go on."""
    machine = Machine(fate={"vanilla": fate})
    machine.run(grid("vanilla", "sdpa", sizes=(512,)), rounds=3)
    assert [r.round for r in machine.kept if r.case.impl == "vanilla"] == [0]
    assert [r.round for r in machine.kept if r.case.impl == "sdpa"] == [0, 1, 2]


def test_after_a_timeout_larger_cases_are_predicted_to_time_out():
    """A case that hung is not followed by one sixteen times as large."""
    machine = Machine(flops_per_s=1e12, fate={"sdpa": "timeout"})
    machine.run(grid("sdpa", sizes=(512, 2048)), rounds=1)
    assert [record.status for record in machine.kept] == ["timeout", "skipped"]


def test_resuming_measures_what_is_missing_and_only_that():
    """Cut anywhere, a resumed run ends with every (case, round) exactly once."""
    cases = grid("vanilla", "linformer")
    whole = Machine()
    whole.run(cases, rounds=3)
    for cut in (0, 1, 5, 8, 13, 24):
        machine = Machine()
        machine.run(cases, rounds=3, done=whole.kept[:cut])
        both = [(r.case, r.round) for r in whole.kept[:cut] + machine.kept]
        assert len(both) == len(set(both)) == 24


def test_a_larger_budget_gives_skipped_cases_another_chance():
    """Resumed with more time, what was skipped is measured from the next round on."""
    cases = grid("sdpa", sizes=[512 * 2**i for i in range(7)])
    short = Machine()
    short.run(cases, rounds=4, budget_s=10)
    assert "skipped" in {record.status for record in short.kept}
    for reconsider in (False, True):
        machine = Machine()
        machine.run(cases, rounds=4, budget_s=None, done=short.kept, reconsider=reconsider)
        measured = {r.case for r in short.kept + machine.kept if r.status == "ok"}
        assert (len(measured) == len(cases)) == reconsider
        visits = [(r.case, r.round) for r in short.kept + machine.kept]
        assert len(visits) == len(set(visits))


def test_precise_cases_get_no_more_rounds_than_five():
    """With --rounds 20 a quiet machine stops after five, a noisy one goes on."""
    quiet, noisy = Machine(noise=0.001), Machine(noise=0.2)
    for machine in (quiet, noisy):
        machine.run(grid("sdpa"), rounds=20, precision=0.03)
    assert len(quiet.visits) == 4 * 5
    assert len(noisy.visits) > 4 * 12


def test_the_rest_of_the_budget_goes_to_the_widest_intervals():
    """Where not all can have another round, the noisy case has it."""
    state = runner.State(Plan(rounds=9, budget_s=3.0), GIB)
    calm, wild = grid("sdpa", sizes=(512, 1024))
    for case, spread in ((calm, 1.01), (wild, 1.5)):
        for round_ in range(3):
            state.add(
                Record(case_id=case.id, case=case, round=round_, status="ok",
                       seconds=[0.1 * spread**round_], duration_s=2.0)
            )  # fmt: skip
    assert runner.wanting([calm, wild], 3, state) == [wild]


def test_half_width_is_students_t_on_logarithms():
    """Known by hand: logs 0 and 0.1 have t(1) = 12.706, s/sqrt(2) = 0.05."""
    records = [
        Record(case_id="c", case=grid("sdpa")[0], round=i, status="ok", seconds=[math.exp(i / 10)])
        for i in range(2)
    ]
    assert runner.half_width(records) == pytest.approx(math.expm1(12.7062 * 0.05), rel=1e-4)
    assert runner.half_width(records[:1]) == math.inf


def test_a_plugin_of_unknown_cost_is_measured_from_small_to_large():
    """Without a cost model the smallest goes first, and what follows is extrapolated from it."""
    cases = [Case(impl="mine", seq=n) for n in (4096, 512, 65536, 1024, 2048)]
    machine = Machine()
    machine.call_s = lambda case: 1e-8 * case.seq**2
    machine.run(cases, rounds=1, case_timeout_s=20)
    assert [case.seq for case, _ in machine.visits] == [512, 1024, 2048, 4096]
    assert machine.kept[-1].status == "skipped"


def searches(*sizes, impl="sdpa"):
    """Cases of task max_batch; 12 heads at n = 65536 fit 16 GiB written out by no means."""
    shape = {"d_model": 768, "heads": 12, "memory_limit_bytes": 16 * GIB}
    return [Case(task="max_batch", impl=impl, seq=n, **shape) for n in sizes]


class Searching(Machine):
    """A machine whose searches for the largest batch take as long as all the batches they run."""

    def measure(self, case, round_):
        if case.task != "max_batch":
            return super().measure(case, round_)
        self.visits.append((case, round_))
        duration_s = 0.15 + (operations(case) or 0.0) / self.rate
        self.now += duration_s
        found = MaxBatch(batch=3, limit_bytes=case.memory_limit_bytes, how="extrapolated")
        return Record(
            case_id=case.id, case=case, round=round_, status="ok", max_batch=found,
            duration_s=duration_s,
        )  # fmt: skip


def test_a_largest_batch_is_looked_for_once():
    """Its answer is exact: one round, while times have all of theirs."""
    machine = Searching()
    machine.run(searches(512, 1024) + grid("sdpa", sizes=(512,)), rounds=4)
    rounds = [(case.task, round_) for case, round_ in machine.visits]
    assert rounds.count(("max_batch", 0)) == 2
    assert len(rounds) == 2 + 4


def test_the_budget_need_hold_one_round_of_a_search():
    """A search that fits the budget once is begun where three rounds would not fit."""
    (case,) = searches(8192)
    round_s = 0.15 + operations(case) / 50e9
    machine = Searching()
    machine.run([*searches(512), case], rounds=3, budget_s=1.6 * round_s, case_timeout_s=1e4)
    assert [record.status for record in machine.kept] == ["ok", "ok"]


def test_what_counts_exclude_takes_no_time_and_tells_nothing_of_others():
    """A batch of 0 by counting is predicted at once, and is no measure for cases that are run."""
    (nothing,), (something,) = searches(65536, impl="vanilla"), searches(512, impl="vanilla")
    predictor = Predictor()
    prediction = predictor.predict(nothing)
    assert (prediction.call_s, prediction.memory_bytes) == (0.0, 0)
    before = predictor.predict(something)
    predictor.learn(nothing, Measured(0.1, 0.1, None))
    assert predictor.predict(something) == before
    assert before.memory_bytes < 16 * GIB


def test_searches_are_predicted_from_searches():
    """The time of one search scales to another by all the sequences that both run."""
    small, large = searches(512, 8192)
    predictor = Predictor()
    predictor.learn(small, Measured(2.0, 2.15, None))
    predicted = predictor.predict(large)
    assert predicted.grounds == "calibrated"
    ratio = cost_of(large).flops / cost_of(small).flops  # both run batches of 1 and 2
    assert predicted.round_s == pytest.approx(2.0 * ratio, rel=0.1)
    assert sequences(small) == sequences(large) == 3


def test_foreseeing_says_what_would_be_skipped():
    """A dry run gives every case a prediction, and a reason where it would be skipped."""
    rows = runner.foresee(grid("vanilla", sizes=(512, 65536)), Plan(), 20 * GIB, 100e9)
    assert [(case.seq, reason is None) for case, _, reason in rows] == [(512, True), (65536, False)]
    assert all(prediction.memory_bytes > 0 for _, prediction, _ in rows)


def test_what_did_not_fit_is_asked_for_again_when_others_took_less():
    """Predictions too high at first leave no hole: of each series only the largest n is skipped."""

    class Startled(Machine):
        def call_s(self, case):
            return super().call_s(case) * (4 if len(self.visits) <= 4 else 1)

    machine = Startled()
    sizes = [512 * 2**i for i in range(6)]
    cases = grid("sdpa", "vanilla", "linformer", sizes=sizes)
    machine.run(cases, rounds=3, budget_s=80, case_timeout_s=1000)
    skipped = {(r.case.impl, r.case.seq) for r in machine.kept if r.status == "skipped"}
    assert skipped == {("sdpa", sizes[-1]), ("vanilla", sizes[-1])}
    assert machine.now <= 80
    # what was put off was visited once a round like any other
    assert len(set(machine.visits)) == len(machine.visits) == 3 * (len(cases) - 2)


@pytest.mark.parametrize("budget_s", range(20, 200, 5))
def test_the_seconds_said_to_be_free_are_too_few(budget_s):
    """The reason of a skipped case does not contradict itself: its rounds are longer than that."""
    machine = Machine()
    cases = grid("sdpa", "vanilla", sizes=[512 * 2**i for i in range(8)])
    machine.run(cases, budget_s=budget_s, case_timeout_s=1000)
    skipped = [record.reason for record in machine.kept if record.status == "skipped"]
    assert skipped
    for reason in skipped:
        said = re.match(r"predicted (\d) rounds of ([0-9.]+) s .*, (\d+) s are free", reason)
        if said:  # else the memory
            rounds, each, free = map(float, said.groups())
            assert rounds * each >= free
