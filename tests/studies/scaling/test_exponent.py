"""Exponents: simulated truth is covered, and what cannot be known is not claimed."""

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.run.metrics import ENERGY, MEMORY, TIME, Metric
from linbench.studies.scaling.counts import expected_exponent
from linbench.studies.scaling.exponent import exponent, local_slopes, tail_sizes

TRIES = 700


FEWER_CALLS = dict(zip(synthetic.SIZES, (9, 9, 9, 5, 3, 1, 1, 1), strict=True))
FEWER_ROUNDS = dict(zip(synthetic.SIZES, (5, 5, 5, 5, 5, 4, 4, 3), strict=True))


@pytest.mark.parametrize(
    ("truth", "calls", "rounds"),
    [(1.0, 5, 5), (1.5, 5, 5), (2.0, 5, 5), (1.5, 1, 5), (2.0, FEWER_CALLS, FEWER_ROUNDS)],
    ids=["n", "n^1.5", "n²", "one call a round", "fewer calls and rounds at large n"],
)
def test_intervals_of_exponents_cover_at_95_percent(truth, calls, rounds):
    """Call noise, round drift and slow outliers leave 93 to 97 of 100 intervals on the truth."""
    rng = np.random.default_rng(round(10 * truth))
    hits = 0
    for _ in range(TRIES):
        one = synthetic.series(rng, lambda n: 1e-7 * n**truth, calls=calls, rounds=rounds)
        slope = exponent(one).slope
        hits += slope.low <= truth <= slope.high
    assert 0.93 <= hits / TRIES <= 0.97


def test_outliers_do_not_widen_the_interval_much():
    """3 % slow outliers in single calls cost less than a fifth of the typical width."""
    widths = {}
    for share in (0.0, 0.03):
        rng = np.random.default_rng(5)
        found = [
            exponent(synthetic.series(rng, lambda n: 1e-6 * n, calls=1, outliers=share)).slope
            for _ in range(200)
        ]
        widths[share] = np.mean([slope.high - slope.low for slope in found])
    assert widths[0.03] < 1.2 * widths[0.0]


def _plain(sizes, rounds=3, law=lambda n: 1.0 * n, metric=TIME):
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "calls": 1, "metric": metric}
    return synthetic.series(np.random.default_rng(0), law, sizes=sizes, rounds=rounds, **quiet)


def test_the_tail_is_the_largest_sizes_that_span_a_factor_of_four():
    """At least three sizes and a factor of four; all of them where there are not so many."""
    assert tail_sizes(_plain((512, 1024, 2048, 4096, 8192))) == [2048, 4096, 8192]
    assert tail_sizes(_plain((512, 2048, 8192, 32768))) == [2048, 8192, 32768]
    assert tail_sizes(_plain((1000, 1500, 2000, 2500, 3000))) == [1000, 1500, 2000, 2500, 3000]


def test_sizes_visited_once_stay_out_of_the_tail():
    """A largest n measured in one round does not decide the exponent where others can."""
    rounds = {512: 3, 1024: 3, 2048: 3, 4096: 1}
    assert tail_sizes(_plain(tuple(rounds), rounds)) == [512, 1024, 2048]
    assert tail_sizes(_plain((512, 1024, 2048), 1)) == [512, 1024, 2048]


def test_exact_values_give_an_interval_of_no_width():
    """Deterministic memory is known, not unknown."""
    slope = exponent(_plain(synthetic.SIZES, law=lambda n: 32.0 * n * n)).slope
    assert slope.value == pytest.approx(2.0)
    assert (slope.low, slope.high) == (slope.value, slope.value)


def test_two_sizes_give_no_exponent_and_one_round_no_interval():
    """What is missing is said with what to do."""
    few = exponent(_plain((512, 1024)))
    assert few.slope is None
    assert "3" in few.reason
    once = exponent(_plain((512, 1024, 2048), 1))
    assert once.slope.value == pytest.approx(1.0)
    assert not once.slope.bounded
    assert "one round" in once.reason
    assert "--rounds" in once.remedy


def test_what_is_counted_needs_one_round_only():
    """Bytes and batches are the same every time: their slopes are exact."""
    one = _plain((512, 1024, 2048), 1, metric=MEMORY)
    assert exponent(one).slope.within(1.0, 1.0)
    assert exponent(one).reason is None
    assert all(slope.bounded for _, _, slope in local_slopes(one))


def test_local_slopes_follow_a_curve():
    """A sum a + cn² starts flat and ends at 2, pair by pair of neighbours."""
    found = local_slopes(_plain((64, 256, 1024, 65536), law=lambda n: 1e4 + n * n))
    slopes = [slope.value for _, _, slope in found]
    assert slopes == sorted(slopes)
    assert slopes[0] < 1.4
    assert slopes[-1] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("change", "time", "memory"),
    [
        ({"impl": "vanilla"}, 2, 2),
        ({"impl": "sdpa"}, 2, 1),
        ({"impl": "xformers"}, 2, 1),
        ({"impl": "linformer", "k": 128}, 1, 1),
        ({"impl": "linformer", "k": (256, 128), "layers": 2}, 1, 1),
        ({"impl": "linformer", "k_rule": "n/4"}, 2, 1),  # E and F are resident weights
        ({"impl": "linformer", "k_rule": "n/4", "mode": "forward_backward"}, 2, 2),
        ({"impl": "linformer", "k": 100, "projection": "conv"}, 1, 1),
        ({"impl": "linformer", "k": 128, "scope": "layer"}, 1, 1),
        ({"impl": "sdpa", "scope": "encoder", "d_model": 768, "heads": 12}, 2, 1),
        ({"impl": "vanilla", "tokens": 65536, "batch": None}, 1, 1),
        ({"impl": "linformer", "k": 128, "tokens": 65536, "batch": None}, 0, 0),
        ({"impl": "linformer", "k_rule": "n/3", "projection": "mean"}, 2, 1),
        ({"impl": "somebody's"}, None, None),
        ({"impl": "sdpa", "dtype": "float8"}, None, None),
        ({"impl": "sdpa", "d_model": None}, None, None),
    ],
)
def test_theory_is_known_for_the_built_in_implementations_only(change, time, memory):
    """Making k follow n adds one to Linformer's time, a fixed number of tokens takes one."""
    key = PLUGIN.model_copy(update=change)
    assert expected_exponent(key, TIME) == expected_exponent(key, ENERGY) == time
    assert expected_exponent(key, MEMORY) == memory
    assert expected_exponent(key, Metric("accuracy")) is None
