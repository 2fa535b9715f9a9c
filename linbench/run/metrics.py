"""Metrics by name: what a task gives, in which unit, and how it is compared and drawn."""

from dataclasses import field
from typing import Literal

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

_OF_MACHINES = {"s", "ms", "us", "µs", "ns", "min", "h", "J", "mJ", "kJ", "Wh", "kWh", "W"}
"""Units of time, energy and power."""


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True))
class Metric:
    """What one number of a record means."""

    name: str
    """Its key in `metrics` of a record."""
    unit: str = ""
    """`s`, `byte`, `J`, or any other; empty for a pure number."""
    better: Literal["less", "more"] = "less"
    """Which of two values is the better one."""
    scale: Literal["log", "linear"] = "log"
    """log: positive and compared by ratios; linear: anything else."""
    noise: Literal["rounds", "exact"] = "rounds"
    """rounds: rounds scatter, so that an interval is needed; exact: counted, the same each time."""

    @property
    def is_cost(self) -> bool:
        """Whether it grows with n by a law: it has exponents, and crossovers of who costs less."""
        return self.scale == "log" and self.better == "less"

    @property
    def machine_bound(self) -> bool:
        """Whether it tells of the machine as much as of the code: what a clock or a meter gives."""
        measured = self.unit in _OF_MACHINES or self.unit.endswith("/s")
        return measured and self.noise == "rounds"


@dataclass(frozen=True, config=ConfigDict(use_attribute_docstrings=True))
class Measurement:
    """What one round of a case gave for one metric."""

    value: float | None = None
    """In the metric's unit; null where it is not known."""
    samples: list[float] = field(default_factory=list)
    """Raw values, in the order taken, none dropped; for time, seconds per call."""
    source: str | None = None
    """How the value was obtained: the clock, the counter."""
    reason: str | None = None
    """Why there is no value."""


TIME = Metric("time", "s")
MEMORY = Metric("memory", "byte", noise="exact")
ENERGY = Metric("energy", "J")

KNOWN = {metric.name: metric for metric in (TIME, MEMORY, ENERGY)}
"""Metrics of a call; those of other tasks stand in the header of the run."""

NOISY_SOURCES = ("rss_hwm",)
"""Sources that scatter between rounds though their metric is exact: the kernel counts pages."""
