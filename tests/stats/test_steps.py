"""Steps in histories of known truth: false alarms, power, dates, sizes, slow runs."""

import math

import numpy as np
import pytest

from linbench.stats.steps import MIN_RUNS, find, find_exact

NOISE = 0.03
STEP = math.log(1.10)
SERIES = 12


def _find(*histories):
    return find([(y, range(len(y))) for y in histories])


def _normal(rng, shape):
    return rng.normal(0, NOISE, shape)


def _heavy(rng, shape):
    return rng.standard_t(3, shape) * 0.02


def _drifting(rng, shape):
    y = rng.normal(0, NOISE, shape)
    for i in range(1, shape[1]):
        y[:, i] += 0.5 * y[:, i - 1]
    return y


def _shared(rng, shape):
    """Slow nights are slow for all series."""
    return rng.normal(0, 0.02, shape) + rng.normal(0, 0.02, (1, shape[1]))


def _bursts(rng, shape):
    """One run in twenty is slower by a fifth or much more."""
    slow = (rng.random(shape) < 0.05) * rng.uniform(0.2, 1.0, shape)
    return rng.normal(0, NOISE, shape) + slow


def _false_alarms(noise, runs, count):
    rng = np.random.default_rng(1)
    return sum(
        any(levels.steps for levels in _find(*noise(rng, (SERIES, runs)))) for _ in range(count)
    )


@pytest.mark.parametrize("noise", [_normal, _heavy, _drifting, _shared, _bursts])
@pytest.mark.parametrize("runs", [MIN_RUNS, 50])
def test_noise_alone_has_no_steps(noise, runs):
    """Of histories of twelve series in which nothing changed at most one in a hundred shows any."""
    assert _false_alarms(noise, runs, 60) <= 2


@pytest.mark.slow
@pytest.mark.parametrize("noise", [_normal, _heavy, _drifting, _shared, _bursts])
@pytest.mark.parametrize("runs", [MIN_RUNS, 12, 50])
def test_the_rate_of_false_alarms_is_kept(noise, runs):
    """The same with enough histories to measure the rate itself; drift costs a little more."""
    assert _false_alarms(noise, runs, 1000) <= (25 if noise is _drifting else 16)


def _stepped(rng, runs, at, end=None, step=STEP):
    y = rng.normal(0, NOISE, (SERIES, runs))
    y[0, at:end] += step
    return y


def _found(rng, count, runs, at):
    """Look for a step among unchanged series: the steps near its place, None where missed."""
    steps = []
    for _ in range(count):
        first, *others = _find(*_stepped(rng, runs, at))
        steps.append(next((one for one in first.steps if abs(one.first - at) <= 3), None))
        assert sum(len(levels.steps) for levels in others) <= 1
    return steps


@pytest.mark.parametrize("at", [5, 25, 45])
def test_a_step_of_ten_percent_is_found_and_dated(at):
    """With noise of 3 % and five runs on its shorter side: found, to the run or the one beside."""
    steps = _found(np.random.default_rng(2), 120, 50, at)
    seen = [step for step in steps if step is not None]
    assert len(seen) >= 0.92 * len(steps)
    assert np.mean([abs(step.first - at) <= 1 for step in seen]) > 0.95
    assert np.mean([step.first == at for step in seen]) > 0.8
    assert np.mean([step.earliest <= at <= step.latest for step in seen]) >= 0.95
    assert np.mean([step.latest - step.earliest for step in seen]) < 2
    assert np.mean([step.change.low <= STEP <= step.change.high for step in seen]) >= 0.9


@pytest.mark.slow
def test_the_power_is_kept():
    """The same with enough histories to measure the rate itself: 95 of 100, at either end."""
    steps = _found(np.random.default_rng(3), 1000, 50, 45)
    steps += _found(np.random.default_rng(4), 1000, 50, 5)
    assert np.mean([step is not None for step in steps]) >= 0.95


def test_what_would_be_found_is_found():
    """A step of the size that is promised, in the latest five runs, is found nearly always."""
    rng = np.random.default_rng(5)
    promised, hits = [], []
    for _ in range(100):
        histories = _normal(rng, (SERIES, 40))
        promised.append(_find(*histories)[0].would_find)
        histories[0, 35:] += promised[-1]
        hits.append(bool(_find(*histories)[0].steps))
    assert 0.09 < np.median(promised) < 0.11
    assert np.mean(hits) >= 0.9


@pytest.mark.parametrize("places", [(20,), (20, 21), (39,), (0,), (5, 17, 30)])
def test_slow_runs_are_out_of_line_and_no_steps(places):
    """A run or two that nothing near them resembles have no weight, wherever they stand."""
    y = np.random.default_rng(6).normal(0, NOISE, 40)
    y[list(places)] += 0.8
    (levels,) = _find(y)
    assert not levels.steps
    assert levels.out_of_line == places
    assert abs(levels.fit.mean()) < NOISE


def test_a_step_is_found_beside_slow_runs():
    """A slow run costs neither the step nor its date, not even at the step itself."""
    y = np.random.default_rng(7).normal(0, NOISE, 40)
    y[25:] += 2 * STEP
    y[[10, 25]] += 0.9
    (levels,) = _find(y)
    (step,) = levels.steps
    assert levels.out_of_line == (10, 25)
    assert (step.earliest, step.first, step.latest) == (25, 26, 26)
    assert step.change.low < 2 * STEP < step.change.high


def test_what_rises_and_comes_back_is_two_steps():
    """Up for ten runs and down again, which no single step describes."""
    y = np.random.default_rng(8).normal(0, NOISE, 50)
    y[20:30] += math.log(1.15)
    (levels,) = _find(y)
    assert [step.first for step in levels.steps] == [20, 30]
    assert levels.steps[0].change.value > 0 > levels.steps[1].change.value
    assert levels.fit[19] == levels.fit[0] != levels.fit[20]


def test_levels_that_alternate_are_found():
    """Four steps between two levels, of which no one alone stands out from the others."""
    y = np.random.default_rng(9).normal(0, NOISE, 60)
    for start in (12, 36):
        y[start : start + 12] += math.log(1.2)
    (levels,) = _find(y)
    assert [step.first for step in levels.steps] == [12, 24, 36, 48]


def test_no_step_lies_between_runs_of_one_revision():
    """Ten runs of each of four revisions: the step is where the revision changes."""
    y = np.random.default_rng(10).normal(0, 0.01, 40)
    y[18:] += 0.2
    (levels,) = find([(y, [i // 10 for i in range(40)])])
    assert [step.first for step in levels.steps] == [20]
    (of_one,) = find([(y, [0] * 40)])
    assert not of_one.steps
    assert of_one.would_find is None


@pytest.mark.parametrize("count", [1, 2, MIN_RUNS - 1])
def test_few_runs_tell_nothing(count):
    """Below the least number of runs nothing is told, however large the difference."""
    (levels,) = _find(np.linspace(0, 3, count))
    assert (levels.steps, levels.noise, levels.would_find) == ((), None, None)
    assert len(levels.fit) == count


def test_runs_of_which_none_is_like_another_tell_nothing():
    """A history that is nothing but scatter on top of ties has no levels to compare."""
    y = np.zeros(9)
    y[1::2] = [3.0, 5.0, 9.0, 17.0]
    (levels,) = _find(y)
    assert not levels.steps


def test_a_tiny_change_of_a_silent_history_counts_for_nothing():
    """Values that repeat better than any clock still need a change beyond what a clock can tell."""
    y = np.zeros(30)
    y[15:] = 1e-5
    assert not _find(y)[0].steps
    y[15:] = 0.01
    assert [step.first for step in _find(y)[0].steps] == [15]


@pytest.mark.parametrize(
    ("values", "firsts", "out_of_line"),
    [
        ([8, 8, 8, 8, 8], [], ()),
        ([8, 8, 9, 9, 9], [2], ()),
        ([8, 8, 8, 8, 9], [4], ()),
        ([8, 8, 9, 8, 8], [], (2,)),
        ([8, 9, 9, 8, 8], [1, 3], ()),
        ([8, 9, 81 / 8, 81 / 8], [1, 2], ()),
        ([8, 8, 9, 81 / 8], [2, 3], ()),
        ([8, 8.004, 8.004, 8, 8], [], ()),
        ([8], [], ()),
        ([8, 9], [1], ()),
    ],
)
def test_exact_values_step_where_a_change_lasts(values, firsts, out_of_line):
    """Counted bytes have no noise: all is a step from which the next run does not come back."""
    levels = find_exact(np.log(values), math.log(1.001))
    assert [step.first for step in levels.steps] == firsts
    assert levels.out_of_line == out_of_line
    for step in levels.steps:
        assert step.change.low == step.change.value == step.change.high
        assert abs(math.exp(step.change.value)) in (pytest.approx(9 / 8), pytest.approx(8 / 9))
