"""Energy used while a batch of calls ran: RAPL counters on a CPU, NVML's counter on a GPU."""

from pathlib import Path

POWERCAP = Path("/sys/class/powercap")


def rapl_joules(root: Path = POWERCAP) -> tuple[dict[str, float] | None, str | None]:
    """Read the joules of all processor packages (Linux powercap); or None, and the reason."""
    zones = sorted(root.glob("intel-rapl:?"))  # AMD's zones bear this name too
    if not zones:
        return None, f"this kernel shows no RAPL counters under {root}"
    try:
        return {zone.name: int((zone / "energy_uj").read_text()) / 1e6 for zone in zones}, None
    except (OSError, ValueError) as error:
        return None, f"RAPL counters cannot be read ({error}); they are for root only by default"


def rapl_used(
    before: dict[str, float], after: dict[str, float], root: Path = POWERCAP
) -> float | None:
    """Return the joules between two readings; counters wrap around at `max_energy_range_uj`."""
    used = 0.0
    for zone, start in before.items():
        difference = after[zone] - start
        if difference < 0:
            try:
                difference += int((root / zone / "max_energy_range_uj").read_text()) / 1e6
            except (OSError, ValueError):
                return None
        used += difference
    return used
