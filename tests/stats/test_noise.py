"""The noise floor. Simulated truth."""

import numpy as np
import pytest

from linbench.stats import noise


def test_the_noise_floor_is_what_was_put_in():
    """Pairs with 2 % noise on each side differ by 2.8 %; ten rounds resolve t(9) x 2.8 % / √10."""
    rng = np.random.default_rng(0)
    a, b = (np.exp(rng.normal(0, 0.02, 4000)) for _ in range(2))
    floor = noise.floor(a.tolist(), b.tolist())
    assert floor.spread == pytest.approx(0.02 * 2**0.5, rel=0.05)
    assert floor.resolves[10] == pytest.approx(2.262 * 0.0283 / 10**0.5, rel=0.06)
    assert floor.ratio.low < 1 < floor.ratio.high
    assert list(floor.resolves.values()) == sorted(floor.resolves.values(), reverse=True)
