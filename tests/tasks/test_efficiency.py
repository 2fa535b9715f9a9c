"""Task efficiency: what of its measurements is suspect, and what it predicts."""

import pytest

from linbench import words
from linbench.run.case import Case
from linbench.tasks import Known, efficiency
from linbench.tasks.efficiency import memory_warnings, outlier_warnings

MIB = 2**20


def test_it_gives_time_memory_and_energy():
    """In their units, of which memory alone is exact."""
    found = [(metric.name, metric.unit, metric.noise) for metric in efficiency.TASK.metrics]
    assert found == [
        ("time", "s", "rounds"),
        ("memory", "byte", "exact"),
        ("energy", "J", "rounds"),
    ]


@pytest.mark.parametrize(
    ("allocated", "resident", "warns"),
    [
        (100, 113, False),  # 10 % and 4 MiB
        (100, 115, True),
        (100, 85, True),
        (0, 3, False),
        (None, 100, False),
        (100, None, False),
    ],
)
def test_sources_of_memory_that_disagree_are_flagged(allocated, resident, warns):
    """One source that nobody can check is no disagreement."""
    sources = {
        name: None if value is None else value * MIB
        for name, value in (("cpu_allocator_bytes", allocated), ("rss_hwm_bytes", resident))
    }
    said = memory_warnings(sources)
    assert bool(said) == warns
    if warns:
        whole = words.quantity(resident * MIB, "byte")
        assert said == [f"memory sources disagree: framework 100 MiB, resident set {whole}"]


def test_slow_outliers_are_flagged_and_stay():
    """Those beyond Tukey's far fence, where there are enough samples for one."""
    samples = [1.0, 1.01, 1.02, 0.99, 1.0, 1.01, 1.0, 0.99, 5.0]
    (said,) = outlier_warnings(samples)
    assert said == "1 of 9 samples are slow outliers (up to 5.0 times)"
    assert samples[-1] == 5.0
    assert outlier_warnings(samples[:-1]) == []
    assert outlier_warnings([1.0, 1.0, 1.0, 9.0]) == []


def test_a_prediction_counts_samples_and_the_first_call():
    """Two long calls and the start of a process."""
    case = Case(impl="vanilla", seq=8192, scope="core")
    prediction = efficiency.TASK.predict(case, Known(flops_per_s=1e9))
    assert prediction.call_s > 50
    assert 2 * prediction.call_s < prediction.round_s < 2.2 * prediction.call_s
    assert prediction.memory_bytes > 2 * 4 * 8192**2 * 4
