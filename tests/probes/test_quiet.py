"""What keeps a machine from measuring well, in folders laid out as the kernel's."""

import pytest

from linbench.probes import quiet


@pytest.fixture
def cpu(tmp_path):
    for name, text in {
        "cpu0/cpufreq/scaling_governor": "powersave",
        "intel_pstate/no_turbo": "0",
        "cpu0/thermal_throttle/core_throttle_count": "3",
        "cpu1/thermal_throttle/core_throttle_count": "4",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    return tmp_path


def test_what_disturbs_is_named_with_its_remedy(cpu):
    """Governor, turbo and throttling: what was found, that it is not well, what to do."""
    governor, turbo, heat = quiet.governor(cpu), quiet.turbo(cpu), quiet.throttling(cpu)
    assert (governor.found, governor.well) == ("powersave", False)
    assert "cpupower" in governor.remedy
    assert (turbo.well, "no_turbo" in turbo.remedy) == (False, True)
    assert heat.found == "7 times since boot"
    assert heat.well is False


def test_what_cannot_be_seen_is_neither_well_nor_ill(tmp_path):
    """A virtual machine shows little; that is said, not guessed."""
    assert {finding.what for finding in quiet.findings(tmp_path)} == {
        "CPU governor", "turbo", "load", "stolen time", "throttling", "memory", "GPU",
    }  # fmt: skip
    for look in (quiet.governor, quiet.turbo, quiet.throttling):
        assert look(tmp_path).well is None


def test_a_well_kept_machine(cpu):
    """The performance governor, no turbo and no throttling are well."""
    (cpu / "cpu0/cpufreq/scaling_governor").write_text("performance")
    (cpu / "intel_pstate/no_turbo").write_text("1")
    assert quiet.governor(cpu).well
    assert quiet.turbo(cpu).well
    assert quiet.turbo(cpu).remedy is None


@pytest.mark.parametrize(("percent", "well"), [(0.0, True), (50.0, False)])
def test_load_says_how_many_cores_others_use(monkeypatch, percent, well):
    """And nothing of what the warning of a run adds."""
    monkeypatch.setattr(quiet.psutil, "cpu_percent", lambda _: percent)
    monkeypatch.setattr(quiet.os, "cpu_count", lambda: 4)
    found = quiet.load()
    assert found.well is well
    assert well or found.found == "other programs use 2.0 of 4 cores"
