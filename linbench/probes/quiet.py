"""What keeps a machine from measuring well, and what to do about each. Reads, changes nothing."""

import os
from dataclasses import dataclass
from pathlib import Path

import psutil

from linbench import words
from linbench.probes import machine, nvml


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, whether it is well (None: cannot be seen), a remedy."""

    what: str
    found: str
    well: bool | None
    remedy: str | None = None


def findings(cpu: Path = machine.CPU) -> list[Finding]:
    """Look at everything that is known to disturb measurements."""
    return [governor(cpu), turbo(cpu), load(), steal(), throttling(cpu), memory(), gpu()]


def governor(cpu: Path) -> Finding:
    """Look at the frequency governor."""
    found = machine.governor(cpu)
    if found is None:
        return Finding("CPU governor", "not shown by this kernel (a virtual machine?)", None)
    well = found == "performance"
    remedy = None if well else "sudo cpupower frequency-set -g performance"
    return Finding("CPU governor", found, well, remedy)


def turbo(cpu: Path) -> Finding:
    """Look at whether clocks may rise above the nominal one, which makes them vary with heat."""
    intel, amd = machine.read(cpu / "intel_pstate/no_turbo"), machine.read(cpu / "cpufreq/boost")
    if intel is None and amd is None:
        return Finding("turbo", "not shown by this kernel", None)
    on = intel == "0" or amd == "1"
    switch = "cpufreq/boost" if intel is None else "intel_pstate/no_turbo"
    remedy = f"echo {int(intel is not None)} | sudo tee {machine.CPU}/{switch}" if on else None
    return Finding("turbo", "on: clocks vary with heat" if on else "off", not on, remedy)


def load() -> Finding:
    """Look at what other programs use of the processor."""
    cores = os.cpu_count() or 1
    used = psutil.cpu_percent(1.0) / 100 * cores
    if used >= machine.BUSY_CORES:
        found = f"other programs use {used:.1f} of {words.plural(cores, 'core')}"
        return Finding("load", found, False, "end them, or wait")
    averages = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    return Finding("load", f"idle now (load averages {averages})", well=True)


def steal() -> Finding:
    """Look at the time that a hypervisor took away since boot."""
    times = psutil.cpu_times()
    stolen = getattr(times, "steal", None)
    if stolen is None:
        return Finding("stolen time", "not shown by this system", None)
    share = stolen / sum(times)
    well = share < 0.01
    remedy = None if well else "other guests use this host's cores: take a dedicated machine"
    return Finding("stolen time", f"{share:.2%} since boot", well, remedy)


def throttling(cpu: Path) -> Finding:
    """Look at how often cores were slowed down for heat since boot."""
    found = map(machine.read, cpu.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
    counts = [int(text) for text in found if text is not None]
    if not counts:
        return Finding("throttling", "not shown by this kernel", None)
    times = sum(counts)
    remedy = "improve cooling, or lower the clock" if times else None
    return Finding("throttling", f"{times} times since boot", times == 0, remedy)


def memory() -> Finding:
    """Look at free memory and at swap, in whose presence nothing can be timed."""
    swapped = psutil.swap_memory().used
    well = swapped < 0.1 * 2**30
    free, used = (words.quantity(size, "byte") for size in (machine.available_bytes(), swapped))
    found = f"{free} free, {used} swapped out"
    return Finding("memory", found, well, None if well else "free memory; sudo swapoff -a")


def gpu() -> Finding:
    """Look at the clocks of the first GPU."""
    with nvml.opened() as (handle, reason):
        if handle is None:
            return Finding("GPU", f"none ({reason})", None)
        now = nvml.clocks(handle)
    if now["throttles"] is None:
        return Finding("GPU", f"clocks cannot be read ({now['reason']})", None)
    slowed = ", ".join(now["throttles"])
    found = f"SM clock {now['sm_mhz']} MHz{', slowed: ' + slowed if slowed else ''}"
    remedy = "sudo nvidia-smi --lock-gpu-clocks=BASE, and cool it" if slowed else None
    return Finding("GPU", found, not slowed, remedy)
