"""Energy from RAPL's counters, in a folder laid out as powercap's."""

import pytest

from linbench.probes import energy


@pytest.fixture
def powercap(tmp_path):
    for package, used in ((0, 1_000_000), (1, 2_500_000)):
        zone = tmp_path / f"intel-rapl:{package}"
        zone.mkdir()
        (zone / "energy_uj").write_text(f"{used}\n")
        (zone / "max_energy_range_uj").write_text("10000000\n")
        (tmp_path / f"intel-rapl:{package}:0").mkdir()  # a part of the package, not another
    return tmp_path


def test_packages_are_read_in_joules(powercap):
    """Each package counts once; its parts are not added to it."""
    used, reason = energy.rapl_joules(powercap)
    assert reason is None
    assert used == {"intel-rapl:0": 1.0, "intel-rapl:1": 2.5}


def test_counters_that_wrap_around(powercap):
    """A counter that starts anew has gone on past its range."""
    before, after = (
        {"intel-rapl:0": 9.0, "intel-rapl:1": 2.5},
        {"intel-rapl:0": 1.0, "intel-rapl:1": 3},
    )
    assert energy.rapl_used(before, after, powercap) == pytest.approx(2.0 + 0.5)


def test_no_counters_is_a_reason(tmp_path):
    """Virtual machines have none."""
    used, reason = energy.rapl_joules(tmp_path)
    assert used is None
    assert "shows no RAPL counters" in reason


def test_unreadable_counters_are_a_reason(powercap):
    """They are for root only by default; then the reason says so."""
    (powercap / "intel-rapl:0" / "energy_uj").unlink()
    used, reason = energy.rapl_joules(powercap)
    assert used is None
    assert "cannot be read" in reason
