"""Crossovers: simulated truth is covered, and each status is said for what it is."""

import dataclasses

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.analysis.crossover import crossover, ratios, ratios_to_best

BASE = dataclasses.replace(PLUGIN, impl="vanilla")
FUSED = dataclasses.replace(PLUGIN, impl="sdpa")


def _second(_):
    return 1.0


def _pair(rng, star, **noise):
    """A quadratic baseline and a linear candidate that cross at n = star."""
    return (
        synthetic.series(rng, lambda n: 1e-9 * n * n, setup=BASE, **noise),
        synthetic.series(rng, lambda n: 1e-9 * star * n, **noise),
    )


@pytest.mark.parametrize("star", [700, 3000, 50000])
def test_intervals_of_n_star_cover_the_true_crossing(star):
    """The crossing is found and lies in its interval 93 times in 100 or more."""
    rng = np.random.default_rng(star)
    found = [crossover(*_pair(rng, star)) for _ in range(150)]
    assert {one.status for one in found} == {"crossed"}
    hits = sum((one.n_star.low or 0) <= star <= (one.n_star.high or np.inf) for one in found)
    assert hits >= 0.93 * len(found)


@pytest.mark.parametrize(
    ("star", "status"), [(200, "always below n_min"), (200000, "not reached below n_max")]
)
def test_a_crossing_outside_the_sizes_is_not_invented(star, status):
    """Beyond the measured n there is a status and no n*."""
    one = crossover(*_pair(np.random.default_rng(1), star))
    assert (one.status, one.n_star) == (status, None)


def test_a_ratio_that_holds_one_at_the_end_is_inconclusive():
    """Where even the largest n does not tell, nothing is claimed."""
    one = crossover(*_pair(np.random.default_rng(1), 65536 * 1.001))
    assert one.status == "inconclusive"
    assert "holds 1" in one.reason


def test_equal_memory_is_never_a_win():
    """The same bytes at every n are no crossing and no advantage."""
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "metric": "memory"}
    pair = [
        synthetic.series(np.random.default_rng(0), lambda n: 1024.0 * n + 7, setup=setup, **quiet)
        for setup in (FUSED, PLUGIN)
    ]
    one = crossover(*pair)
    assert one.status == "not reached below n_max"
    assert "the same" in one.reason


def test_only_sizes_that_both_measured_are_compared():
    """The baseline ends earlier; nothing is said about the n beyond."""
    rng = np.random.default_rng(1)
    base = synthetic.series(rng, lambda n: 1e-9 * n * n, setup=BASE, sizes=(512, 1024, 2048))
    candidate = synthetic.series(rng, lambda n: 1e-9 * 5000 * n)
    one = crossover(base, candidate)
    assert [ratio.n for ratio in one.ratios] == [512, 1024, 2048]
    assert one.status == "not reached below n_max"
    far = dataclasses.replace(candidate, cells=tuple(c for c in candidate.cells if c.n > 4096))
    assert crossover(base, far) is None


def test_ratios_are_paired_within_rounds():
    """A drift of rounds by half leaves a ratio of 2 known within a few percent."""
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 0.5, 5)
    series = []
    for setup, factor in ((BASE, 1.0), (PLUGIN, 2.0)):
        one = synthetic.series(rng, _second, drift=0.0, outliers=0.0, setup=setup)
        cells = [
            dataclasses.replace(cell, value=cell.value * factor * np.exp(shared[cell.round]))
            for cell in one.cells
        ]
        series.append(dataclasses.replace(one, cells=tuple(cells)))
    for ratio in ratios(*series):
        assert ratio.pairs == 5
        assert ratio.value.within(1.9, 2.1)
        assert ratio.gain.value == pytest.approx(1 / ratio.value.value)


def test_the_best_exact_implementation_is_chosen_at_each_n():
    """Fused attention is slower at small n and faster at large n; the cheaper one is the rival."""
    rng = np.random.default_rng(4)
    vanilla = synthetic.series(rng, lambda n: 1e-9 * n * n, setup=BASE)
    fused = synthetic.series(rng, lambda n: 1e-3 + 2.5e-10 * n * n, setup=FUSED)
    candidate = synthetic.series(rng, lambda n: 1e-6 * n)
    rivals = {r.n: r.baseline.impl for r in ratios_to_best([vanilla, fused], candidate)}
    assert rivals[512] == "vanilla"
    assert rivals[65536] == "sdpa"
