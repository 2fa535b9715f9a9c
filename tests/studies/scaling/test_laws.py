"""Laws: known coefficients are found, the right law gets the weight, shares are honest."""

import numpy as np
import pytest
import synthetic
from scipy import optimize

from linbench.studies.scaling.laws import LAWS, _non_negative, fit_laws

TRUTHS = {
    "a": lambda n: 3e-3 + 0.0 * n,
    "a+bn": lambda n: 1e-3 + 1e-6 * n,
    "a+bn log n": lambda n: 1e-7 * n * np.log(n),
    "a+bn+cn²": lambda n: 1e-3 + 1e-6 * n + 1e-9 * n * n,
}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_true_law_describes_the_sizes_within_the_noise(name):
    """The law behind the data misses by under 1 %; laws without its terms get no weight."""
    one = synthetic.series(np.random.default_rng(1), TRUTHS[name])
    laws = {law.name: law for law in fit_laws(one)}
    assert laws[name].misfit < 0.01
    assert sum(law.weight for law in laws.values()) == pytest.approx(1.0)
    unable = {"a": set(), "a+bn": {"a", "a+bn log n"}, "a+bn+cn²": {"a", "a+bn", "a+bn log n"}}
    for other in unable.get(name, {"a", "a+bn", "a+bn+cn²"}):
        assert laws[other].weight < 1e-3


def test_coefficients_and_shares_are_those_of_the_truth():
    """Without noise 1 ms + 1 µs n + 1 ns n² comes back, and its shares at the largest n."""
    quiet = {"call_noise": 0.0, "drift": 0.0, "outliers": 0.0}
    one = synthetic.series(np.random.default_rng(1), TRUTHS["a+bn+cn²"], **quiet)
    law = next(law for law in fit_laws(one) if law.name == "a+bn+cn²")
    assert law.coefficients == pytest.approx((1e-3, 1e-6, 1e-9), rel=1e-6)
    total = 1e-3 + 1e-6 * 65536 + 1e-9 * 65536**2
    assert law.share("n²").value == pytest.approx(1e-9 * 65536**2 / total)
    assert law.slope(65536) == pytest.approx((1e-6 * 65536 + 2e-9 * 65536**2) / total)


def test_intervals_of_shares_hold_the_truth():
    """The share of the n² term lies in its interval 90 times in 100 or more."""
    rng = np.random.default_rng(3)
    n_max = synthetic.SIZES[-1]
    truth = 3e-11 * n_max / (1e-6 + 3e-11 * n_max)
    hits = 0
    for _ in range(150):
        one = synthetic.series(rng, lambda n: 1e-6 * n + 3e-11 * n * n)
        share = next(law for law in fit_laws(one) if law.name == "a+bn+cn²").share("n²")
        hits += share.low <= truth <= share.high
    assert hits >= 135


def test_non_negative_least_squares_is_exact():
    """Trying all choices of terms finds what an active-set solver finds."""
    rng = np.random.default_rng(4)
    for _ in range(50):
        design, targets = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
        found = _non_negative(design, targets)
        for column in range(4):
            expected, _ = optimize.nnls(design, targets[:, column])
            assert found[:, column] == pytest.approx(expected, abs=1e-9)


def test_two_sizes_are_fitted_by_no_law():
    """Fewer than three sizes leave nothing to compare."""
    assert fit_laws(synthetic.series(np.random.default_rng(0), TRUTHS["a"], sizes=(1, 2))) == []
    assert set(LAWS) == set(TRUTHS)
