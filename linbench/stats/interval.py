"""A value with its interval. Light: everything that writes numbers imports it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval; `low` and `high` are None where the data carry none."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether there is an interval at all."""
        return self.low is not None and self.high is not None

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies between two numbers."""
        return (
            self.low is not None and self.high is not None and low <= self.low <= self.high <= high
        )

    def below(self, number: float) -> bool:
        """Whether the whole interval lies below a number."""
        return self.high is not None and self.high < number

    def above(self, number: float) -> bool:
        """Whether the whole interval lies above a number."""
        return self.low is not None and self.low > number

    def exact(self) -> "Interval":
        """Return the value as one without noise, which is known exactly."""
        return Interval(self.value, self.value, self.value)

    def exp(self) -> "Interval":
        """Return the interval of e to the power of the value."""
        ends = [None if end is None else _exp(end) for end in (self.low, self.high)]
        return Interval(_exp(self.value), *ends)

    def under(self, number: float) -> "Interval":
        """Return the interval of a number over the value, which is positive."""
        ends = [number / end if end else None for end in (self.high, self.low)]
        return Interval(number / self.value, *ends)


def _exp(x: float) -> float:
    return math.exp(x) if x < 709 else math.inf  # beyond it a float overflows
