"""Drift of the machine's speed between rounds. Simulated truth."""

from dataclasses import replace

import numpy as np
import pytest
from synthetic import series

from linbench.studies.scaling.drift import by_round


def test_drift_is_found_by_round():
    """A machine 10 % slower in one round of five is seen to be, whatever n."""
    rng = np.random.default_rng(1)
    one = series(rng, lambda n: 1e-6 * n, drift=0.0, outliers=0.0, call_noise=0.001)
    readings = tuple(
        replace(reading, value=reading.value * (1.1 if reading.round == 3 else 1))
        for reading in one.readings
    )
    speeds = by_round([replace(one, readings=readings)])
    assert speeds[3] == pytest.approx(0.1, abs=0.01)
    assert all(abs(speed) < 0.01 for round_, speed in speeds.items() if round_ != 3)
