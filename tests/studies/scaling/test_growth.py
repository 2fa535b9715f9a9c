"""Verdicts on simulated truth: hardly ever wrong, never fooled by fixed costs or linear terms."""

import numpy as np
import pytest
import synthetic
from synthetic import PLUGIN

from linbench.run.metrics import MEMORY
from linbench.studies.scaling.growth import scaling_of

TRIES, FEW = 60, 30
SMALL = (128, 256, 512, 1024, 2048)
NOISE = {
    "as usual": {},
    "three rounds of one call": {"rounds": 3, "calls": 1},
}


def _words(law, tries=FEW, **noise):
    rng = np.random.default_rng(7)
    tries = (scaling_of(synthetic.series(rng, law, **noise)) for _ in range(tries))
    return [one.growth.word for one in tries]


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize(
    ("truth", "right"),
    [
        (lambda n: 1e-6 * n, "linear"),
        (lambda n: 1e-9 * n * n, "quadratic"),
        (lambda n: 1e-7 * n**1.5, "inconclusive"),
        (lambda n: 1e-7 * n**1.2, "inconclusive"),
        (lambda n: 1e-7 * n * np.log(n), "linearithmic"),
    ],
    ids=["n", "n²", "n^1.5", "n^1.2", "n log n"],
)
def test_verdicts_on_powers_are_right(truth, right, noise):
    """In under 2 of 100 does a verdict name another law; most name the right one."""
    words = _words(truth, TRIES, **noise)
    assert sum(word not in (right, "inconclusive") for word in words) < 0.02 * TRIES
    assert words.count(right) > 0.8 * TRIES


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("sizes", [synthetic.SIZES, SMALL], ids=["to 64k", "to 2k"])
@pytest.mark.parametrize("fixed", [1e3, 1e5, 1e7])
def test_a_large_intercept_never_gives_a_false_verdict(fixed, sizes, noise):
    """Linear cost under a fixed cost of any size is linear or inconclusive."""
    words = _words(lambda n: 1e-8 * (fixed + n), sizes=sizes, **noise)
    assert set(words) <= {"linear", "inconclusive"}


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
@pytest.mark.parametrize("sizes", [synthetic.SIZES, SMALL], ids=["to 64k", "to 2k"])
@pytest.mark.parametrize("linear", [500, 1536, 5000])
def test_linear_terms_of_a_layer_never_give_a_false_verdict(linear, sizes, noise):
    """A layer with n² attention beside linear projections is quadratic or inconclusive."""
    words = _words(lambda n: 1e-9 * (linear * n + n * n), sizes=sizes, **noise)
    assert set(words) <= {"quadratic", "inconclusive"}


def test_a_naive_slope_of_a_layer_does_not_pass_for_its_law():
    """At d = 768 and n to 2048 the slope reads 1.4, while the law found is a+bn+cn²."""
    one = scaling_of(
        synthetic.series(np.random.default_rng(1), lambda n: 1e-9 * (1536 * n + n * n), sizes=SMALL)
    )
    assert one.exponent.slope.value == pytest.approx(1.4, abs=0.05)
    assert one.growth.word == "quadratic"
    assert one.laws[0].name == "a+bn+cn²"
    assert one.growth.reached == pytest.approx(4 * 1536, rel=0.1)  # slope 1.8 = (1 + 2r)/(1 + r)


def test_operation_counts_keep_exact_attention_from_passing_for_linear():
    """A layer so short that its n² term is 2 % looks linear; counts say what it will become."""
    key = PLUGIN.model_copy(update={"impl": "sdpa", "scope": "layer", "d_model": 768, "heads": 12})
    sizes = (4, 8, 16, 32, 64)
    law = lambda n: 1e-6 * (1536 * n + n * n)  # noqa: E731
    one = scaling_of(synthetic.series(np.random.default_rng(2), law, sizes=sizes, key=key))
    assert one.exponent.slope.within(0.9, 1.1)
    assert one.predicted == pytest.approx(1.02, abs=0.02)
    assert one.growth.word == "inconclusive"
    assert "not reached yet" in one.growth.grounds
    assert int(one.growth.advice.split()[-1]) >= 4096


def test_what_hides_the_growth_is_said_with_the_n_to_measure():
    """Under a fixed cost of 98 % nothing is claimed, and the advice leads beyond it."""
    law = lambda n: 1e-9 * (1e5 + n)  # noqa: E731
    one = scaling_of(synthetic.series(np.random.default_rng(3), law, sizes=SMALL))
    assert one.growth.word == "inconclusive"
    assert "fixed cost" in one.growth.grounds or "only" in one.growth.grounds
    assert int(one.growth.advice.split("n = ")[1].split()[0]) > 2048


def test_a_wide_interval_asks_for_rounds():
    """Where noise decides, the advice is a number of rounds, and they do suffice."""
    noise = {"call_noise": 0.1, "drift": 0.0, "outliers": 0.0, "calls": 1, "sizes": (1, 2, 4)}
    one = scaling_of(synthetic.series(np.random.default_rng(4), lambda n: 1.0 * n, **noise))
    assert one.growth.word == "inconclusive"
    assert "too wide" in one.growth.grounds
    rounds = int(one.growth.advice.split("about ")[1].split()[0])
    again = synthetic.series(np.random.default_rng(5), lambda n: 1.0 * n, rounds=rounds, **noise)
    slope = scaling_of(again).exponent.slope
    assert slope.high - slope.low < 0.15


def test_one_round_is_inconclusive():
    """Without an interval there is no verdict, and --rounds is the remedy."""
    one = scaling_of(synthetic.series(np.random.default_rng(6), lambda n: 1.0 * n, rounds=1))
    assert one.growth.word == "inconclusive"
    assert "--rounds" in one.growth.advice
    assert "--rounds" not in one.growth.grounds


def test_too_few_sizes_are_not_called_a_wide_interval():
    """What is counted has no width: what lacks are sizes."""
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0, "metric": MEMORY}
    law = lambda n: 4096.0 * n + n * n  # noqa: E731
    growth = scaling_of(
        synthetic.series(np.random.default_rng(7), law, sizes=(64, 128, 256), **quiet)
    ).growth
    assert growth.word == "inconclusive"
    assert "is near 1, but too few sizes were measured to tell" in growth.grounds
    assert "too wide" not in growth.grounds
