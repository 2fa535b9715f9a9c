"""What a sweep visits, in which order, within its budget: with a fake pool and a fake clock."""

import math
import random
import re
from collections import Counter
from dataclasses import replace

import pytest
from machines import GIB, LINFORMER, Machine, grid

from linbench import tasks
from linbench.plan import measure
from linbench.plan.schedule import Plan, Schedule, Slot
from linbench.run.case import Case
from linbench.run.metrics import MEMORY, TIME, Measurement, Metric
from linbench.run.record import Record
from linbench.stats.intervals import half_width
from linbench.tasks import Task
from linbench.tasks.support import predicting

SIZES = [512 * 2**i for i in range(8)]
IMPLS = ("vanilla", "sdpa", "linformer")


def firsts_and_fourth(visits):
    """When each case was first visited, and when any had its fourth visit."""
    first, count, fourth = {}, Counter(), math.inf
    for at, (case, _) in enumerate(visits):
        first.setdefault(case, at)
        count[case] += 1
        if count[case] == 4:
            fourth = min(fourth, at)
    return first, fourth


# ---- order ----


def test_every_case_once_a_round_in_an_order_of_its_own():
    """Rounds hold every case exactly once, and their orders differ."""
    machine, cases = Machine(), grid(*IMPLS)
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


@pytest.mark.parametrize("slow", [(), (6,) * 4])
@pytest.mark.parametrize("budget_s", [20, 40, 60, 100, 200, 400, 800])
def test_one_round_at_each_common_n_before_any_case_gets_its_fourth(budget_s, slow):
    """Implementations can be compared at every n that all of them reach, whatever the budget."""
    machine = Machine(slow=slow)
    machine.run(grid(*IMPLS, sizes=SIZES), budget_s=budget_s, rounds=9)
    first, fourth = firsts_and_fourth(machine.visits)
    reached = Counter(case.seq for case in first)
    common = [case for case in first if reached[case.seq] == len(IMPLS)]
    assert common
    assert max(first[case] for case in common) < fourth < math.inf


def test_nothing_long_is_begun_on_a_guess():
    """In the first round each case follows one that is at most 20 times smaller, or is short."""
    machine = Machine(flops_per_s=5e9)
    machine.run(grid("sdpa", sizes=SIZES[:6]), rounds=1)
    sizes = [case.seq for case, _ in machine.visits]
    assert len(sizes) == 5
    for at, n in enumerate(sizes):
        if n > 2048:
            assert any(n / 5 < before < n for before in sizes[:at])


def test_a_plugin_of_unknown_cost_is_measured_from_small_to_large():
    """Without a cost model the smallest goes first, and what follows is extrapolated from it."""
    cases = [Case(impl="mine", seq=n) for n in (4096, 512, 65536, 1024, 2048)]
    machine = Machine()
    machine.call_s = lambda case: 1e-8 * case.seq**2
    machine.run(cases, rounds=1, case_timeout_s=20)
    sizes = [case.seq for case, _ in machine.visits]
    assert sizes[0] == 512
    assert sorted(sizes) == [512, 1024, 2048, 4096]
    assert all((n / max(b for b in sizes[:at] if b < n)) ** 2 <= 20
               for at, n in enumerate(sizes) if n > 512)  # fmt: skip
    assert machine.kept[-1].status == "skipped"


# ---- what does not fit ----


def test_what_does_not_fit_the_memory_is_skipped_with_the_prediction():
    """Vanilla attention at n = 65536 and 4 heads needs 128 GiB: never started, and said why."""
    machine = Machine(flops_per_s=1e15, free_bytes=20 * GIB)
    machine.run(grid("vanilla", sizes=(512, 65536)), rounds=2)
    (skipped,) = machine.skipped
    assert (skipped.case.seq, skipped.round) == (65536, 0)
    assert skipped.reason.startswith("predicted memory 128 GiB exceeds the 20.0 GiB that are free")
    assert skipped.metrics == {}
    assert skipped.detail.prediction["memory_bytes"] > 128 * GIB


def test_overhead_is_never_scaled_by_operations():
    """At n = 1 a call is all launch: it says nothing of how long n = 1024 takes."""
    machine = Machine(50e9, overhead_s=30e-6)
    cases = [Case(impl="sdpa", seq=n, d_model=64) for n in (1, 1024, 2048, 8192)]
    machine.run(cases)
    assert machine.skipped == []
    assert set(Counter(case for case, _ in machine.visits).values()) == {5}


def test_the_budget_holds_three_rounds_of_all_that_is_begun():
    """The dearest cases are skipped, the others get at least three rounds, the budget is kept."""
    machine = Machine()
    cases = grid("sdpa", sizes=[512 * 2**i for i in range(9)])
    machine.run(cases, rounds=5, budget_s=60, case_timeout_s=1000)
    assert machine.now <= 60
    visits = [sum(case == visited for visited, _ in machine.visits) for case in cases]
    assert visits[0] >= 3
    assert visits[-1] == 0
    # the last that fits at all gets what is left, once the others have theirs
    late = [count for count in visits if 0 < count < 3]
    assert len(late) <= 1
    assert visits == sorted(visits, reverse=True)
    assert len(machine.skipped) == sum(count == 0 for count in visits)
    assert all(re.search(r"--budget \d+s would do", one.reason) for one in machine.skipped)


@pytest.mark.parametrize("flops_per_s", [5e9, 20e9, 50e9, 200e9])
def test_the_budget_is_kept(flops_per_s):
    """Where predictions are right, from almost nothing to more than is needed."""
    for budget_s in (1, 2, 3, 5, 10, 20, 40, 60, 100, 200, 300, 600):
        for overhead_s in (0.0, 2e-3):
            machine = Machine(flops_per_s, overhead_s=overhead_s)
            machine.run(grid(*IMPLS, sizes=SIZES), budget_s=budget_s)
            assert machine.now <= budget_s


@pytest.mark.parametrize("slow", [(), (4,) * 4, (3,) * 12, (1, 1, 20)])
@pytest.mark.parametrize("flops_per_s", [5e9, 50e9, 200e9])
def test_no_sweep_ends_with_budget_left_while_a_skipped_case_would_fit(flops_per_s, slow):
    """Also where the first visits took far longer than those after them."""
    for budget_s in (5, 10, 20, 40, 60, 100, 150, 200, 300, 600):
        machine = Machine(flops_per_s, overhead_s=3e-5, slow=slow)
        schedule = machine.run(grid(*IMPLS, sizes=SIZES), budget_s=budget_s)
        for record in machine.skipped:
            round_s = record.detail.prediction["round_s"]
            fits = round_s <= schedule.plan.case_timeout_s and "memory" not in record.reason
            assert not (fits and round_s <= schedule.left_s), (budget_s, record.reason)


def test_what_did_not_fit_is_asked_for_again_when_others_took_less():
    """Predictions too high at first leave no hole: of each series only the largest n is skipped."""
    machine = Machine(slow=(4,) * 4)
    sizes = SIZES[:7]
    cases = grid("sdpa", "vanilla", "linformer", sizes=sizes)
    machine.run(cases, rounds=3, budget_s=200, case_timeout_s=1000)
    skipped = {(record.case.impl, record.case.seq) for record in machine.skipped}
    assert skipped <= {("sdpa", sizes[-1]), ("vanilla", sizes[-1]), ("vanilla", sizes[-2])}
    assert machine.now <= 200
    assert len(set(machine.visits)) == len(machine.visits)


def test_any_number_of_rounds_ends_with_the_budget():
    """Rounds without end, on a machine too noisy for any case to be known well enough."""
    machine = Machine(noise=0.3)
    machine.run(grid("sdpa", "linformer"), rounds=10**9, budget_s=120)
    assert 0.8 * 120 < machine.now <= 125
    assert len(set(machine.visits)) == len(machine.visits)


def test_a_round_longer_than_the_timeout_is_not_begun():
    """What would be killed for sure is skipped, and a limit that would do is named."""
    machine = Machine(flops_per_s=1e9)
    cases = grid("sdpa", sizes=SIZES[:5])
    machine.run(cases, rounds=1, case_timeout_s=20, budget_s=None)
    last = machine.skipped[-1]
    assert [record.case.seq for record in machine.skipped] == [4096, 8192]
    said = re.fullmatch(
        r"predicted rounds of .* exceed --case-timeout 20s; --case-timeout (\d+)s would do",
        last.reason,
    )
    again = Machine(flops_per_s=1e9)
    again.run(cases, rounds=1, case_timeout_s=int(said[1]), budget_s=None)
    assert again.skipped == []


def test_each_version_of_a_visit_has_the_timeout_to_itself():
    """A visit of two may take twice as long; the message is about one of them."""
    cases = grid("sdpa", sizes=(512, 1024, 2048, 4096, 8192))
    slow = Machine(flops_per_s=1e9)
    slow.run(cases, rounds=1, case_timeout_s=20, budget_s=None)
    both = Machine(flops_per_s=1e9)
    both.run(cases, rounds=1, case_timeout_s=10, budget_s=None, versions=2)
    assert both.visits == slow.visits
    said = both.skipped[-1].reason
    assert "exceed --case-timeout 10s; " in said
    needed_s = both.skipped[-1].detail.prediction["round_s"]
    enough_s = int(re.search(r"--case-timeout (\d+)s would do", said)[1])
    assert needed_s / 2 < enough_s < 0.6 * needed_s + 1


# ---- one line for each cause ----


@pytest.mark.parametrize("budget_s", [20, 60, 100, 150, 200, 300])
@pytest.mark.parametrize("flops_per_s", [20e9, 50e9, 200e9])
def test_the_budget_said_to_do_does(flops_per_s, budget_s):
    """All cases of one cause share its reason; with that budget none of them is skipped."""
    cases = grid(*IMPLS, sizes=SIZES)
    machine = Machine(flops_per_s)
    machine.run(cases, budget_s=budget_s, case_timeout_s=1e5)
    causes = Counter(record.reason for record in machine.skipped)
    over_budget = [reason for reason in causes if "--budget" in reason]
    assert len(over_budget) <= 1
    assert len(causes) <= 2  # and the memory
    for reason in over_budget:
        said = re.fullmatch(
            rf"3 rounds of .* each \(predicted\) did not fit --budget {budget_s}s; "
            r"--budget (\d+)s would do",
            reason,
        )
        again = Machine(flops_per_s)
        again.run(cases, budget_s=int(said[1]), case_timeout_s=1e5)
        assert not [one for one in again.skipped if "--budget" in one.reason]
        assert min(Counter(case for case, _ in again.visits).values()) >= 3


def test_skipped_cases_stand_at_the_end_cheapest_first():
    """They are told when all is measured, each with a prediction of its own."""
    machine = Machine()
    machine.run(grid("sdpa", sizes=SIZES), budget_s=20, case_timeout_s=1000)
    statuses = [record.status for record in machine.kept]
    assert statuses == sorted(statuses, key="skipped".__eq__)
    predicted = [record.detail.prediction["round_s"] for record in machine.skipped]
    assert len(predicted) > 1
    assert predicted == sorted(predicted)
    assert {record.detail.prediction["grounds"] for record in machine.skipped} == {"calibrated"}


def test_foreseeing_says_what_would_be_skipped():
    """A dry run gives every case a prediction, and a reason where it would be skipped."""
    schedule = Schedule(grid("vanilla", sizes=(65536, 512)), Plan(), flops_per_s=100e9)
    rows = schedule.foreseen(Slot(free_bytes=20 * GIB))
    assert [(case.seq, reason is None) for case, _, reason in rows] == [(512, True), (65536, False)]
    assert all(prediction.memory_bytes > 0 for _, prediction, _ in rows)
    small = Schedule(grid("sdpa"), Plan(budget_s=5), flops_per_s=100e9).foreseen(Slot())
    assert [reason is None for _, _, reason in small] == [True, True, False, False]
    said = int(re.search(r"--budget (\d+)s would do", small[-1][2])[1])
    assert 5 < said < 12
    rows = Schedule(grid("sdpa"), Plan(budget_s=said), flops_per_s=100e9).foreseen(Slot())
    assert {reason for _, _, reason in rows} == {None}


# ---- how it ends for a case ----


@pytest.mark.parametrize("fate", ["oom", "error", "incorrect", "skipped", "timeout"])
def test_a_case_that_ended_badly_is_not_tried_again(fate):
    """Its first round is its record; the others go on."""
    machine = Machine(fate={"vanilla": fate})
    machine.run(grid("vanilla", "sdpa", sizes=(512,)), rounds=3)
    assert [r.round for r in machine.kept if r.case.impl == "vanilla"] == [0]
    assert [r.round for r in machine.kept if r.case.impl == "sdpa"] == [0, 1, 2]


def test_after_a_timeout_larger_cases_are_predicted_to_time_out():
    """A case that hung is not followed by one with far more to do."""
    machine = Machine(flops_per_s=1e12, fate={"sdpa": "timeout"})
    machine.run(grid("sdpa", sizes=(512, 16384)), rounds=1)
    assert [record.status for record in machine.kept] == ["timeout", "skipped"]


def test_precise_cases_get_no_more_rounds_than_five():
    """With --rounds 20 a quiet machine stops after five, a noisy one goes on."""
    quiet, noisy = Machine(noise=0.001), Machine(noise=0.2)
    for machine in (quiet, noisy):
        machine.run(grid("sdpa"), rounds=20, precision=0.03)
    assert len(quiet.visits) == 4 * 5
    assert len(noisy.visits) > 4 * 12


def test_the_rest_of_the_budget_goes_to_the_widest_intervals():
    """Where not all can have another round, the noisy case has it."""
    calm, wild = grid("sdpa", sizes=(512, 1024))
    done = [
        Record(case_id=case.id, case=case, round=round_, status="ok", duration_s=2.0,
               metrics={"time": Measurement(0.1 * spread**round_)})
        for case, spread in ((calm, 1.01), (wild, 1.5)) for round_ in range(3)
    ]  # fmt: skip
    schedule = Schedule([calm, wild], Plan(rounds=9, budget_s=15.0), done=done, clock=lambda: 0.0)
    assert schedule.spent_s == pytest.approx(12)
    assert schedule.imprecise([calm, wild], 3) == [wild]


@pytest.mark.parametrize(
    ("metrics", "rounds"),
    [((TIME, MEMORY), 20), ((MEMORY,), 20), ((Metric("memory", "byte"),), 5)],
)
def test_what_scatters_decides_when_a_case_is_known(metrics, rounds):
    """An exact metric has no interval to wait for: without another one, time decides."""
    machine = Machine(noise=0.2)  # of time, while memory is the same each time
    machine.run(grid("sdpa", sizes=(512, 1024)), rounds=20, metrics=metrics)
    assert set(Counter(case for case, _ in machine.visits).values()) == {rounds}


@pytest.mark.parametrize(("values", "enough"), [((-2.0, 1e-3), True), ((0.0, 1.0), False)])
def test_a_linear_metric_is_known_relative_to_its_mean(values, enough):
    """Below zero too; where the mean is about zero, no relative width is narrow."""
    metric = Metric("score", better="more", scale="linear")
    machine = Machine()
    chance = random.Random(1)

    def record(case, round_, call_s, took_s):
        found = Machine.record(machine, case, round_, call_s, took_s)
        return found.model_copy(update={"metrics": {"score": Measurement(chance.gauss(*values))}})

    machine.record = record
    machine.run(grid("sdpa", sizes=(512,)), rounds=12, metrics=(metric,))
    assert len(machine.visits) == (5 if enough else 12)


def test_half_width_is_students_t_on_logarithms():
    """Known by hand: logs 0 and 0.1 have t(1) = 12.706, s/sqrt(2) = 0.05."""
    assert half_width([1.0, math.exp(0.1)]) == pytest.approx(math.expm1(12.7062 * 0.05), rel=1e-4)
    assert half_width([1.0]) == math.inf


# ---- resuming ----


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
    """Resumed with more time, what was skipped is measured, in rounds of their own numbers."""
    cases = grid("sdpa", sizes=SIZES[:7])
    short = Machine()
    short.run(cases, rounds=4, budget_s=10)
    assert short.skipped
    for retry_skipped in (False, True):
        machine = Machine()
        machine.run(cases, rounds=4, budget_s=None, done=short.kept, retry_skipped=retry_skipped)
        measured = {r.case for r in short.kept + machine.kept if r.status == "ok"}
        assert (len(measured) == len(cases)) == retry_skipped
        visits = [(r.case, r.round) for r in short.kept + machine.kept]
        assert len(visits) == len(set(visits))


def test_skipped_again_and_resumed_again_no_round_is_there_twice():
    """Three budgets one after the other: each line of the file has a (case, round) of its own."""
    cases, file = grid("sdpa", sizes=SIZES), []
    for budget_s in (5, 10, 60, 10_000):
        machine = Machine()
        machine.run(cases, rounds=3, budget_s=budget_s, case_timeout_s=1000, done=file,
                    retry_skipped=True)  # fmt: skip
        file += machine.kept
    assert len({(r.case, r.round) for r in file}) == len(file)
    rounds = Counter(r.case for r in file if r.status == "ok")
    assert set(rounds) == set(cases)
    assert min(rounds.values()) >= 2
    # without another chance for them: what has been measured since is not held to be skipped
    last = Machine()
    schedule = last.schedule(cases, Plan(rounds=3, budget_s=None), done=file)
    assert [schedule.rounds_of(case) for case in cases] == [rounds[case] for case in cases]


# ---- several places, and lost ones ----


@pytest.mark.parametrize("places", [1, 3])
def test_every_visit_is_made_once_wherever_there_is_room(places):
    """Several at once, never two of the same; the more places, the sooner."""
    cases = grid(*IMPLS)
    machine = Machine(places=places)
    schedule = machine.run(cases, rounds=3)
    assert sorted(Counter(machine.visits).values()) == [1] * 36
    assert {(r.case, r.round) for r in machine.kept} == set(machine.visits)
    assert machine.shared == []
    assert not schedule.in_flight


def test_places_side_by_side_are_used_from_the_first_round_on():
    """What a visit grounds is ready as soon as it is told, whoever was measured beside it."""
    cases = [
        case
        for scope in ("core", "layer") for mode in ("forward", "forward_backward")
        for dtype in ("float32", "float64")
        for case in grid("sdpa", sizes=SIZES[3:6], scope=scope, mode=mode, dtype=dtype)
    ]  # fmt: skip
    took = []
    for places in (1, 4):
        machine = Machine(20e9, places=places)
        machine.run(cases, rounds=1, budget_s=None, case_timeout_s=1e4)
        took.append(machine.now)
    assert took[1] < 0.4 * took[0]


def test_nothing_is_asked_where_no_place_is_free():
    """And nothing before what is in flight has been told, where that decides."""
    machine = Machine()
    (case,) = grid("sdpa", sizes=(512,))
    schedule = machine.schedule([case], rounds=2)
    assert schedule.ask(()) is None
    visit = schedule.ask(machine.slots())
    assert (visit.slot, visit.case, visit.round) == (machine.slots()[0], case, 0)
    assert schedule.ask(machine.slots()) is None  # the second round waits for the first
    schedule.tell(machine.record(case, 0, 0.1, 1.0))
    assert schedule.ask(machine.slots()).round == 1


def test_a_case_goes_to_the_first_place_that_has_its_memory():
    """The small place takes small cases; where the large one is busy, large cases wait for it."""
    small, large = Slot("small", free_bytes=0.25 * GIB), Slot("large", free_bytes=64 * GIB)
    for places in ((small, large), (large, small)):
        machine = Machine(1e12)
        machine.free = list(places)
        given = []
        schedule = machine.schedule(grid("vanilla", sizes=(512, 1024, 4096, 8192)), rounds=1)
        measure.run(schedule, [machine], machine.keep, given.append)
        assert {visit.slot for visit in given if visit.case.seq > 1024} == {large}
        assert {visit.slot for visit in given if visit.case.seq <= 1024} >= {places[0]}
        assert {record.status for record in machine.kept} == {"ok"}
        assert sorted(Counter(machine.visits).values()) == [1] * 4


def test_what_no_place_holds_any_more_is_still_visited():
    """A case that was measured once goes on, in the place with the most memory."""
    (case,) = grid("sdpa", sizes=(512,))
    machine = Machine()
    schedule = machine.schedule([case], rounds=2)
    schedule.ask(machine.slots())
    schedule.tell(machine.record(case, 0, 0.1, 1.0))
    visit = schedule.ask((Slot("a", free_bytes=1), Slot("b", free_bytes=2)))
    assert (visit.slot.id, visit.round) == ("b", 1)


@pytest.mark.parametrize("places", [1, 3])
def test_a_visit_lost_once_is_asked_for_again(places):
    """A node that went away costs no record, in whichever round."""
    cases = grid("sdpa", "linformer")
    lose = [(case, round_) for case in cases for round_ in (0, 2)]
    machine = Machine(lose=lose, places=places)
    machine.run(cases, rounds=3)
    assert len(machine.visits) == 8 * 3 + len(lose)
    assert {record.status for record in machine.kept} == {"ok"}
    assert len({(r.case, r.round) for r in machine.kept}) == len(machine.kept) == 24


@pytest.mark.parametrize("places", [1, 3])
def test_a_visit_lost_twice_is_an_error_with_the_reason(places):
    """The case is not asked for again, the others are measured."""
    cases = grid("sdpa")
    machine = Machine(lose=[(cases[1], 1)] * 2, places=places)
    machine.run(cases, rounds=3)
    (failed,) = (record for record in machine.kept if record.status != "ok")
    assert (failed.case, failed.round, failed.status) == (cases[1], 1, "error")
    assert failed.reason == "lost twice: the node went away"
    assert len(machine.kept) == 3 * 3 + 2


# ---- planning is linear ----


@pytest.fixture
def predictions(monkeypatch):
    """How often the task of sweeps was asked to predict."""
    count = Counter()
    task = tasks.find("efficiency")

    def predict(case, known):
        count["predicted"] += 1
        return task.predict(case, known)

    monkeypatch.setitem(tasks._plugged, "efficiency", replace(task, predict=predict))
    return count


def many(count):
    """A grid of so many cases, all short."""
    fields = {"impl": "linformer", "scope": "core", **LINFORMER}
    return [
        Case(**{**fields, "seq": 64 * (1 + i % 100), "k": 1 + i // 100 % 64, "seed": i // 6400})
        for i in range(count)
    ]


def test_planning_is_linear_in_cases(predictions):
    """Ten times the cases are ten times the predictions, and a little."""
    counted = []
    for count in (400, 4000):
        predictions.clear()
        machine = Machine(1e15)
        machine.run(many(count), rounds=1, budget_s=None)
        assert len(machine.visits) == count
        counted.append(predictions["predicted"])
    assert counted[1] < 15 * counted[0]


def test_planning_does_not_eat_a_small_budget(predictions):
    """3,000 cases in five seconds: a few predictions of each, one line for all that is skipped."""
    machine = Machine(50e9)
    machine.run(many(3000), budget_s=5)
    assert machine.now <= 5
    assert predictions["predicted"] < 8 * 3000
    assert len(machine.kept) >= 3000
    assert len({record.reason for record in machine.skipped}) == 1


# ---- tasks ----


def searches(*sizes, impl="sdpa"):
    """Cases of task max_batch; 12 heads at n = 65536 fit 16 GiB written out by no means."""
    shape = {"d_model": 768, "heads": 12, "settings": {"memory_limit_bytes": 16 * GIB}}
    return [Case(task="max_batch", impl=impl, seq=n, **shape) for n in sizes]


class Searching(Machine):
    """A machine whose searches for the largest batch take as long as they are predicted to."""

    def round_s(self, case, call_s):
        if case.task != "max_batch":
            return super().round_s(case, call_s)
        return predicting.START_S["cpu"] + 3 * call_s  # batches of 1 and 2

    def record(self, case, round_, call_s, took_s):
        if case.task != "max_batch":
            return super().record(case, round_, call_s, took_s)
        return Record(
            case_id=case.id, case=case, round=round_, status="ok", duration_s=took_s,
            metrics={"max_batch": Measurement(3.0, source="extrapolated")},
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
    machine = Searching()
    round_s = machine.round_s(case, machine.call_s(case))
    machine.run([*searches(512), case], rounds=3, budget_s=1.6 * round_s, case_timeout_s=1e4)
    assert [record.status for record in machine.kept] == ["ok", "ok"]
    less = Searching()
    less.run([*searches(512), case], rounds=3, budget_s=0.9 * round_s, case_timeout_s=1e4)
    assert less.skipped[0].reason.startswith("1 round of ")


def test_a_task_says_how_many_rounds_it_needs(monkeypatch):
    """Ten rounds that the budget must hold: begun only where it does."""
    task = Task(metrics=(TIME,), run=lambda case, context: {}, rounds=lambda plan: 10)
    monkeypatch.setitem(tasks._plugged, "thorough", task)
    cases = grid("sdpa", sizes=(512, 1024), task="thorough")
    for budget_s, measured in ((5, 0), (60, 2)):
        machine = Machine(noise=0.2)
        machine.run(cases, rounds=10, budget_s=budget_s, sure_only=True)
        visits = Counter(case for case, _ in machine.visits)
        assert sum(count == 10 for count in visits.values()) == measured


def test_random_sweeps_end_whole():
    """Whatever machine and limits: each case has its records or one that says why not."""
    chance = random.Random(7)
    for _ in range(40):
        cases = grid(*chance.sample(IMPLS, chance.randint(1, 3)),
                     sizes=sorted(chance.sample(SIZES, chance.randint(1, 8))))  # fmt: skip
        fate = {chance.choice(IMPLS): chance.choice(["ok", "oom", "timeout", "error"])}
        machine = Machine(
            10 ** chance.uniform(9, 12), noise=chance.choice([0, 0.1]), fate=fate,
            places=chance.randint(1, 3), overhead_s=10 ** chance.uniform(-6, -2),
        )  # fmt: skip
        machine.run(cases, rounds=chance.randint(1, 7), budget_s=10 ** chance.uniform(0, 3),
                    seed=chance.randint(0, 9))  # fmt: skip
        assert {record.case for record in machine.kept} == set(cases)
        assert len({(r.case, r.round) for r in machine.kept}) == len(machine.kept)
        assert machine.shared == []
