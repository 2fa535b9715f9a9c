"""What a visit will take: from counts alone, from one measured size, from two."""

import itertools
import math
from dataclasses import replace

import pytest
from machines import GIB, Machine, grid

from linbench import tasks
from linbench.plan.predict import Predictor, family_of, observed_of
from linbench.run.case import Case
from linbench.run.record import Record
from linbench.run.shape import costs_of
from linbench.tasks import Known, Observed, Prediction
from linbench.tasks.max_batch import _sequences
from linbench.tasks.support import predicting
from linbench.tasks.support.predicting import affine

OVERHEAD_S = 2e-3
RATE = 40e9


def call_s(case):
    """A call on a machine of known speed."""
    return OVERHEAD_S + costs_of(case).flops / RATE


def learnt(*cases, **fields):
    """A predictor that has seen some cases on it."""
    predictor = Predictor()
    for case in cases:
        round_s = predicting.round_seconds(case, call_s(case), timed=True)
        predictor.learn(case, Observed(case, round_s, call_s(case), **fields))
    return predictor


# ---- a fixed part and one in proportion ----


@pytest.mark.parametrize("x", [0.1, 1.0, 7.0, 500.0])
def test_two_points_give_a_line(x):
    """3 + 2x, wherever it is asked for."""
    assert affine([(1.0, 5.0), (10.0, 23.0)], x, 99.0) == pytest.approx(3 + 2 * x)


def test_one_point_gives_a_line_through_the_overhead_that_is_assumed():
    """Only what lies above it is scaled; it is never more than what was measured."""
    assert affine([(2.0, 5.0)], 20.0, 1.0) == pytest.approx(1 + 40)
    assert affine([(2.0, 5.0)], 20.0, 0.0) == pytest.approx(50)
    assert affine([(2.0, 5.0)], 20.0, 8.0) == pytest.approx(5)
    assert affine([(2.0, 5.0)], 0.002, 1.0) == pytest.approx(1.004)


@pytest.mark.parametrize("ys", [(1.0, 30.0), (5.0, 5.0), (5.0, 2.0), (1e-9, 1e3)])
def test_predictions_are_never_negative_nor_fall_with_work(ys):
    """Also where points are steeper than a line through zero, flat, or falling."""
    points = list(zip((1.0, 10.0), ys, strict=True))
    found = [affine(points, x, 0.0) for x in (1e-3, 1.0, 10.0, 1e4)]
    assert all(value >= 0 for value in found)
    assert found[-1] >= found[-2]


def test_a_point_that_is_asked_for_is_met():
    """The nearest measured size counts most: it is met exactly."""
    points = [(1.0, 3.0), (4.0, 12.5), (16.0, 30.0)]
    for x, y in points:
        assert affine(points, x, 0.0) == pytest.approx(y)


# ---- predictions of what can be counted ----


def test_nothing_measured_is_a_cautious_guess():
    """Time by counts at a cautious rate, memory by counts, and it rests on nothing."""
    (case,) = grid("vanilla", sizes=(4096,))
    prediction = Predictor().predict(case)
    assert (prediction.grounds, prediction.reach) == ("model", math.inf)
    assert prediction.call_s > costs_of(case).flops / 20e9
    assert prediction.round_s > 2 * prediction.call_s
    assert prediction.memory_bytes == pytest.approx(0.5 * GIB, rel=0.05)
    assert Predictor(1e15).predict(case).call_s < prediction.call_s


def test_a_case_that_was_measured_takes_what_it_took():
    """Its latest visit, not a model of it."""
    (case,) = grid("sdpa", sizes=(512,))
    predictor = Predictor()
    predictor.learn(case, Observed(case, 3.0, 0.1, 1000.0))
    predictor.learn(case, Observed(case, 4.0, 0.2, 1000.0))
    assert predictor.predict(case) == Prediction(4.0, 1000.0, 0.2, "measured")


@pytest.mark.parametrize("known", [(512, 1024), (512, 4096), (512, 1024, 2048, 4096)])
@pytest.mark.parametrize("n", [256, 2048, 8192, 32768])
def test_two_known_sizes_tell_overhead_and_slope(known, n):
    """Any other n is then predicted to a few percent."""
    prediction = learnt(*grid("sdpa", sizes=known)).predict(*grid("sdpa", sizes=(n,)))
    assert prediction.grounds in ("calibrated", "measured")
    assert prediction.call_s == pytest.approx(call_s(*grid("sdpa", sizes=(n,))), rel=0.02)


def test_one_known_size_gives_at_most_a_little_overhead_away():
    """Too much rather than too little, by no more than the overhead scaled."""
    (small, large) = grid("sdpa", sizes=(2048, 16384))
    found = learnt(small).predict(large)
    assert call_s(large) / 1.2 < found.call_s <= 64.01 * call_s(small)
    assert found.reach == pytest.approx(64, rel=0.01)


def test_launches_are_never_scaled_by_operations():
    """A call at n = 1 is all launch: n = 8192 is not 100 million times as long."""
    small, large = (Case(impl="sdpa", seq=n, d_model=64) for n in (1, 8192))
    predictor = Predictor()
    predictor.learn(small, Observed(small, 0.45, 30e-6))
    assert predictor.predict(large).round_s < 5


def test_what_a_visit_takes_besides_grows_with_tokens():
    """The check and the inputs: twice the tokens are at most twice of it."""
    small, large = grid("sdpa", sizes=(1024, 2048))
    predictor = Predictor()
    besides_s = 5.0
    round_s = predicting.round_seconds(small, call_s(small), timed=True) + besides_s
    predictor.learn(small, Observed(small, round_s, call_s(small)))
    found = predictor.predict(large)
    own_s = predicting.round_seconds(large, found.call_s, timed=True)
    assert besides_s <= found.round_s - own_s <= 2 * besides_s + 1e-9


def test_sharing_and_k_tell_of_each_other_but_other_problems_do_not():
    """All that differs within a family is n, k, batch and who shares."""
    (case,) = grid("linformer", sizes=(1024,))
    same = [{"k": 32}, {"sharing": "kv"}, {"batch": 4}, {"seq": 512}, {"seed": 3}]
    other = [{"mode": "forward_backward"}, {"scope": "layer"}, {"projection": "mean"},
             {"dtype": "float64"}, {"d_model": 512}, {"impl": "mine"}]  # fmt: skip
    assert {family_of(case.model_copy(update=one)) for one in same} == {family_of(case)}
    assert len({family_of(case.model_copy(update=one)) for one in other}) == len(other)
    mine = Case(impl="mine", seq=64, k=8)
    assert family_of(mine) != family_of(mine.model_copy(update={"k": 9}))


def test_a_case_that_timed_out_took_at_least_its_limit():
    """Larger ones are predicted to take longer still."""
    small, large = grid("sdpa", sizes=(512, 4096))
    record = Record(case_id=small.id, case=small, round=0, status="timeout", duration_s=9.0)
    predictor = Predictor()
    predictor.learn(small, observed_of([record], 60.0))
    assert predictor.predict(small).round_s == 60
    assert predictor.predict(large).round_s > 60


def test_versions_measured_together_take_the_sum():
    """Both rounds count, the call is that of one."""
    (case,) = grid("sdpa", sizes=(512,))
    records = [Machine().record(case, 0, call_s, 2.0) for call_s in (0.1, 0.3)]
    observed = observed_of(records, 60.0)
    assert (observed.round_s, observed.call_s) == (4.0, pytest.approx(0.2))
    assert observed.memory_bytes == 1011


# ---- what cannot be counted ----


def mine(*sizes):
    return [Case(impl="mine", seq=n) for n in sizes]


def test_a_plugin_of_unknown_cost_is_taken_to_be_quadratic_until_two_sizes_tell():
    """After one size as n²; after two a little steeper than between them."""
    small, middle, large = mine(512, 1024, 4096)
    predictor = Predictor()
    assert predictor.predict(small).grounds == "unknown"
    assert predictor.predict(small).memory_bytes is None
    predictor.learn(small, Observed(small, 2.0, 0.5, 1000.0))
    assert predictor.predict(large).call_s == pytest.approx(0.5 * 64, rel=0.1)
    predictor.learn(middle, Observed(middle, 4.0, 1.0, 2000.0))  # linear
    linear = predictor.predict(large).call_s
    assert 4.0 <= linear < 4.0 * 4**0.35
    assert predictor.predict(large).memory_bytes >= 8000


def test_a_task_without_predictions_is_learnt_from_its_visits():
    """Whole visits, by tokens: nothing is known of calls."""
    known = [Observed(case, 1.0 + (case.seq / 512) ** 2, None) for case in mine(512, 1024)]
    (case,) = mine(2048)
    assert predicting.by_tokens(case, Known()).round_s < 1
    assert predicting.by_tokens(case, Known(known[:1])).round_s >= 2.0
    assert 5.0 < predicting.by_tokens(case, Known(known)).round_s < 40


def test_an_unknown_dtype_has_unknown_costs():
    """Not those of four bytes."""
    (case,) = grid("sdpa", sizes=(512,), dtype="float8")
    assert Predictor().predict(case).memory_bytes is None


# ---- searches for the largest batch ----


def searches(*sizes, impl="sdpa"):
    shape = {"d_model": 768, "heads": 12, "settings": {"memory_limit_bytes": 16 * GIB}}
    return [Case(task="max_batch", impl=impl, seq=n, **shape) for n in sizes]


def test_what_counts_exclude_takes_no_time_and_tells_nothing_of_others():
    """A batch of 0 by counting is predicted at once, and is no measure for cases that are run."""
    (nothing,), (something,) = searches(65536, impl="vanilla"), searches(512, impl="vanilla")
    predictor = Predictor()
    prediction = predictor.predict(nothing)
    assert (prediction.call_s, prediction.memory_bytes, prediction.grounds) == (0.0, 0, "counted")
    before = predictor.predict(something)
    predictor.learn(nothing, Observed(nothing, 0.1, 0.1))
    assert predictor.predict(something) == before
    assert before.memory_bytes < 16 * GIB


def test_searches_are_predicted_from_searches():
    """The time of one search scales to another by all the sequences that both run."""
    small, large = searches(512, 8192)
    predictor = Predictor()
    predictor.learn(small, Observed(small, 2.15, 2.0))
    predicted = predictor.predict(large)
    assert predicted.grounds == "calibrated"
    ratio = costs_of(large).flops / costs_of(small).flops  # both run batches of 1 and 2
    assert predicted.round_s == pytest.approx(2.0 * ratio, rel=0.1)
    assert _sequences(small) == _sequences(large) == 3


# ---- asking ----


def test_each_task_predicts_its_own(monkeypatch):
    """What the task says is what is planned with; it is asked anew when something was learnt."""
    asked = []
    real = tasks.find("efficiency")

    def predict(case, known):
        asked.append(len(known.alike))
        return Prediction(7.0)

    monkeypatch.setitem(tasks._plugged, "efficiency", replace(real, predict=predict))
    predictor, cases = Predictor(), grid("sdpa")
    for _ in range(3):
        assert predictor.predict(cases[0]).round_s == 7.0
    predictor.learn(cases[1], Observed(cases[1], 1.0))
    predictor.predict(cases[0])
    assert asked == [0, 1]


def test_a_prediction_rests_on_few_cases_however_many_are_known():
    """The smallest and the nearest: planning stays linear."""
    seen = []
    cases = grid("sdpa", sizes=range(64, 64 * 200, 64))
    predictor = learnt(*cases)
    task = tasks.find("efficiency")
    predictor._tasks["efficiency"] = replace(
        task, predict=lambda case, known: seen.append(known.alike) or Prediction(1.0)
    )
    predictor.predict(grid("sdpa", sizes=(1000,))[0])
    assert [observed.case.seq for observed in seen[0]] == [64, 896, 960, 1024, 1088]
    assert len(list(itertools.chain(*seen))) == 5
