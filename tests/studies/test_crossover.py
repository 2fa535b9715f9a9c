"""Crossovers: simulated truth is covered, and each status is said for what it is."""

from dataclasses import replace

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.run.metrics import MEMORY, TIME, Metric
from linbench.stats.interval import Interval
from linbench.studies.crossover import Ratio, bases_of, crossing, crossover, ratios, ratios_to_best

BASE = PLUGIN.model_copy(update={"impl": "vanilla"})
FUSED = PLUGIN.model_copy(update={"impl": "sdpa"})


def _second(_):
    return 1.0


def _pair(rng, star, **noise):
    """A quadratic baseline and a linear candidate that cross at n = star."""
    return (
        synthetic.series(rng, lambda n: 1e-9 * n * n, key=BASE, **noise),
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
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "metric": MEMORY}
    pair = [
        synthetic.series(np.random.default_rng(0), lambda n: 1024.0 * n + 7, key=key, **quiet)
        for key in (FUSED, PLUGIN)
    ]
    one = crossover(*pair)
    assert one.status == "not reached below n_max"
    assert "the same" in one.reason


def test_only_sizes_that_both_measured_are_compared():
    """The baseline ends earlier; nothing is said about the n beyond."""
    rng = np.random.default_rng(1)
    base = synthetic.series(rng, lambda n: 1e-9 * n * n, key=BASE, sizes=(512, 1024, 2048))
    candidate = synthetic.series(rng, lambda n: 1e-9 * 5000 * n)
    one = crossover(base, candidate)
    assert [ratio.n for ratio in ratios(base, candidate)] == [512, 1024, 2048]
    assert one.status == "not reached below n_max"
    far = candidate.over(n for n in candidate.sizes if n > 4096)
    assert crossover(base, far) is None


def test_ratios_are_paired_within_rounds():
    """A drift of rounds by half leaves a ratio of 2 known within a few percent."""
    rng = np.random.default_rng(3)
    shared = rng.normal(0, 0.5, 5)
    series = []
    for key, factor in ((BASE, 1.0), (PLUGIN, 2.0)):
        one = synthetic.series(rng, _second, drift=0.0, outliers=0.0, key=key)
        readings = [
            replace(reading, value=reading.value * factor * np.exp(shared[reading.round]))
            for reading in one.readings
        ]
        series.append(replace(one, readings=tuple(readings)))
    for ratio in ratios(*series):
        assert ratio.pairs == 5
        assert ratio.value.within(1.9, 2.1)
        assert ratio.gain.value == pytest.approx(1 / ratio.value.value)


def test_the_best_exact_implementation_is_chosen_at_each_n():
    """Fused attention is slower at small n and faster at large n; the cheaper one is the rival."""
    rng = np.random.default_rng(4)
    vanilla = synthetic.series(rng, lambda n: 1e-9 * n * n, key=BASE)
    fused = synthetic.series(rng, lambda n: 1e-3 + 2.5e-10 * n * n, key=FUSED)
    candidate = synthetic.series(rng, lambda n: 1e-6 * n)
    rivals = {r.n: r.baseline.impl for r in ratios_to_best([vanilla, fused], candidate)}
    assert rivals[512] == "vanilla"
    assert rivals[65536] == "sdpa"


def test_where_more_is_better_the_candidate_that_has_more_wins():
    """The gain is the ratio itself, and the best baseline has most."""
    rate = Metric("rate", "1/s", better="more")
    rng = np.random.default_rng(5)
    base, fused, candidate = (
        synthetic.series(rng, law, key=key, metric=rate)
        for key, law in (
            (BASE, lambda n: 1e9 / n**2),
            (FUSED, lambda n: 5e8 / n**2),
            (PLUGIN, lambda n: 1e9 / n / 3000),
        )
    )
    for ratio in ratios(base, candidate):
        assert ratio.gain == ratio.value
        assert ratio.cost.value == pytest.approx(1 / ratio.value.value)
    assert {r.baseline.impl for r in ratios_to_best([base, fused], candidate)} == {"vanilla"}


def test_values_without_a_ratio_have_none():
    """Nothing is divided by what may be 0 or less, nor compared where only differences mean any."""
    score = Metric("score", scale="linear", better="more")
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "metric": score}
    rng = np.random.default_rng(6)
    base, other = (
        synthetic.series(rng, lambda n: 1.0 * n, key=key, sizes=(512, 1024, 2048), **quiet)
        for key in (BASE, PLUGIN)
    )
    lower = [replace(one, value=one.value - 1024) for one in other.readings]
    other = replace(other, readings=tuple(lower))
    assert [ratio.n for ratio in ratios(base, other)] == [2048]
    assert bases_of([replace(base, mathematics="exact"), other]) == []


def test_counted_values_of_one_round_have_an_exact_ratio():
    """Bytes do not scatter: the crossing is known without repeating them."""
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "rounds": 1, "metric": MEMORY}
    rng = np.random.default_rng(7)
    base = synthetic.series(rng, lambda n: 1.0 * n * n, key=BASE, **quiet)
    one = crossover(base, synthetic.series(rng, lambda n: 3000.0 * n, **quiet))
    assert one.n_star.within(2999.9, 3000.1)


def test_whatever_is_exact_is_a_baseline():
    """A plug-in whose outputs are those of exact attention is no candidate against the best."""
    rng = np.random.default_rng(8)
    vanilla, fused, plugin = (
        synthetic.series(rng, lambda n: 1e-6 * n, key=key) for key in (BASE, FUSED, PLUGIN)
    )
    own = [replace(one, mathematics="exact") for one in (vanilla, plugin)]
    over_vanilla, over_best = bases_of([*own, fused])
    assert (over_vanilla.name, over_vanilla.candidates) == ("vanilla", (own[1], fused))
    assert (over_best.best, over_best.candidates) == (True, (fused,))
    assert [basis.best for basis in bases_of([own[0], fused])] == [False]


@pytest.mark.parametrize(
    ("highs", "reason"),
    [
        ((1.2, 0.7, 0.7), "ratio 0.600 [0.500, 1.20] at n = 512 holds 1; measure smaller n or "),
        ((0.7, 1.2, 0.7), "ratio 0.600 [0.500, 1.20] at n = 1024 holds 1; measure "),
        (
            (0.7, 1.2, 1.1, 0.7),
            "ratio 0.600 [0.500, 1.20] at n = 1024 holds 1, as does that at n = 2048; measure ",
        ),
    ],
)
def test_sizes_that_hold_one_are_named(highs, reason):
    """Those that do not tell, wherever they lie; smaller n help only where the first is one."""
    found = [
        Ratio(512 << i, Interval(0.6, 0.5, high), 5, BASE, TIME) for i, high in enumerate(highs)
    ]
    assert crossing(found) == (None, "inconclusive", f"{reason}more rounds")
