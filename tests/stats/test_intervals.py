"""Estimates from rounds: what they resist, what they refuse, and that their intervals cover."""

import math

import numpy as np
import pytest

from linbench.stats.interval import Interval
from linbench.stats.intervals import difference, fit_layout, location


def test_what_slows_a_whole_round_down_cancels_between_sizes():
    """A round ten times as slow leaves the difference of two sizes exact."""
    drift = [0.0, math.log(10), 0.3]
    small = dict(enumerate(drift))
    large = {i: shift + math.log(2) for i, shift in small.items()}
    gap = difference(small, large)
    assert gap.value == pytest.approx(math.log(2))
    assert gap.high - gap.low < 1e-6


def test_equal_values_have_an_interval_of_no_width():
    """Memory that is the same in every round is known exactly, and a tie is a tie."""
    same = location([2.0, 2.0, 2.0])
    assert (same.value, same.low, same.high) == (2.0, 2.0, 2.0)
    tie = difference({0: 0.1 + 0.2, 1: 0.1 + 0.2}, {0: 0.3, 1: 0.3})
    assert (tie.value, tie.low, tie.high) == (0.0, 0.0, 0.0)


def test_one_round_gives_a_value_without_an_interval():
    """Nothing is claimed about noise that was never seen."""
    assert not location([1.0]).bounded
    assert not difference({0: 1.0}, {0: 2.0}).bounded


def test_slow_cells_are_flagged_and_fast_ones_are_not():
    """Two slow cells of fifteen lose their weight, even side by side; a fast one keeps it."""
    rng = np.random.default_rng(1)
    groups, rounds = np.repeat(np.arange(3), 5), np.tile(np.arange(5), 3)
    y = groups + rng.normal(0, 0.01, 15)
    y[[3, 4]] += 0.5
    assert list(np.flatnonzero(fit_layout(groups, rounds, y).flagged)) == [3, 4]
    y[[3, 4]] -= 1.0
    assert not fit_layout(groups, rounds, y).flagged[[3, 4]].any()


def test_sizes_measured_in_rounds_of_their_own_are_still_compared():
    """Without a common round the drift counts as noise instead of deciding."""
    layout = fit_layout([0, 0, 1, 1], [0, 1, 2, 3], [0.0, 0.1, 1.0, 1.1])
    gap = layout.contrast([-1.0, 1.0])
    assert gap.value == pytest.approx(1.0)
    assert not gap.above(0.9)
    assert not gap.below(1.1)


def test_intervals_of_location_and_difference_cover_at_95_percent():
    """For few rounds with drift the interval holds the truth 93 to 97 times in 100."""
    rng = np.random.default_rng(2)
    hits = {"location": 0, "difference": 0}
    tries = 1500
    for _ in range(tries):
        drift, noise = rng.normal(0, 0.02, 5), rng.normal(0, 0.02, (2, 5))
        first, second = noise + drift
        typical = location(first)
        gap = difference(dict(enumerate(first)), dict(enumerate(second + 1.0)))
        hits["location"] += typical.low <= 0.0 <= typical.high
        hits["difference"] += gap.low <= 1.0 <= gap.high
    assert all(0.93 <= hit / tries <= 0.97 for hit in hits.values()), hits


def test_what_is_counted_is_known_exactly():
    """A value without noise has both ends at itself, and as many times as another as that has."""
    assert Interval(2.0).exact() == Interval(2.0, 2.0, 2.0)
    assert Interval(4.0, 2.0, 8.0).under(8.0) == Interval(2.0, 1.0, 4.0)
