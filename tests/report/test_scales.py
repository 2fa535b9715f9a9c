"""Axes: how far they reach, and where ticks stand and what they say."""

from itertools import pairwise

import pages
import pytest

from linbench import words
from linbench.report import scales
from linbench.report.content import Line
from linbench.stats.interval import Interval


def ticks(plot):
    """The range of an axis and the labels on it."""
    low, high = scales.limits(plot)
    values = scales.chosen(scales.ladders(plot, low, high))
    assert all(low <= value <= high for value in values)
    return [words.short(value, plot.unit) for value in values]


def rising(unit, low, high, **more):
    """A plot whose values rise from one to another, by equal factors."""
    law = lambda n: low * (high / low) ** (pages.SIZES.index(n) / 6)  # noqa: E731
    return pages.plot("p", unit, [pages.line("vanilla", law, spread=0.0)], **more)


@pytest.mark.parametrize(
    ("unit", "low", "high", "labels"),
    [
        ("s", 1e-3, 1.0, ["1 ms", "10 ms", "100 ms", "1 s"]),
        ("byte", 2**20, 2**24, ["1 MiB", "2 MiB", "4 MiB", "8 MiB", "16 MiB"]),
        (words.RATIO, 0.25, 4.0, ["¼×", "½×", "1×", "2×", "4×"]),
        ("tokens/s", 2e4, 2e6, ["20 k/s", "50 k/s", "100 k/s", "200 k/s", "500 k/s", "1 M/s",
                                "2 M/s"]),
        ("J", 0.1, 100.0, ["0.1 J", "1 J", "10 J", "100 J"]),
        ("answers", 10.0, 1000.0, ["10 answers", "20 answers", "50 answers", "100 answers",
                                   "200 answers", "500 answers", "1000 answers"]),
    ],
)  # fmt: skip
def test_a_logarithmic_axis_has_round_values_of_its_unit(unit, low, high, labels):
    """Powers of two for bytes, halves and doubles for ratios, decimals for all else."""
    assert ticks(rising(unit, low, high)) == labels


@pytest.mark.parametrize(
    ("unit", "low", "high", "labels"),
    [
        ("", 0.5, 0.9, ["0.5", "0.6", "0.7", "0.8", "0.9"]),
        (words.SHARE, 0.1, 0.9, ["20 %", "40 %", "60 %", "80 %"]),
        ("byte", 2**20, 9 * 2**20, ["2 MiB", "4 MiB", "6 MiB", "8 MiB"]),
        ("nats", 310.0, 330.0, ["310 nats", "315 nats", "320 nats", "325 nats", "330 nats"]),
        (words.EXPONENT, 1.9, 2.1, ["1.9", "1.95", "2", "2.05", "2.1"]),
    ],
)
def test_a_linear_axis_has_even_steps(unit, low, high, labels):
    """1, 2 or 5 times a power of ten, in the prefix of the unit."""
    assert ticks(rising(unit, low, high, scale="linear")) == labels


def test_ratios_have_a_zero_where_they_are_linear():
    """A factor of nothing has no fraction."""
    assert [words.short(value, words.RATIO) for value in (0.0, 0.5, 1.0)] == ["0×", "½×", "1×"]


@pytest.mark.parametrize("values", [(-3.0, 2.0), (0.0, 0.0), (0.7,), (-5.0,), (1e-9, 2e-9)])
def test_a_linear_axis_takes_any_values(values):
    """Negative, zero, all alike, a single one: a range about them, with ticks."""
    sizes = tuple(map(float, pages.SIZES[: len(values)]))
    line = Line("vanilla", sizes, tuple(map(Interval, values)), key=pages.key("vanilla"))
    plot = pages.plot("p", "", [line], scale="linear")
    low, high = scales.limits(plot)
    assert low < min(values) <= max(values) < high
    assert len(ticks(plot)) >= 2


@pytest.mark.parametrize("scale", ["log", "linear"])
def test_one_wide_interval_does_not_flatten_the_rest(scale):
    """An interval is shown up to three times as far out as any value, or up to their span."""
    y = (Interval(1.0, 0.0, 1e6), Interval(2.0, 1.9, 2.1))
    line = Line("vanilla", (512.0, 1024.0), y, key=pages.key("vanilla"))
    low, high = scales.limits(pages.plot("p", "", [line], scale=scale))
    assert high < 8
    assert low > (-0.5 if scale == "linear" else 0)


@pytest.mark.parametrize("size", [0.8, 300.0])
def test_a_linear_history_is_shown_around_its_levels(size):
    """In the measure of its values; a value far off stands at the edge."""
    values = [size * factor for factor in (1.0, 1.01, 0.99, 1.0, 9.0)]
    low, high = scales.limits(pages.levels("", "linear", values, [size] * 5))
    assert low < size * 0.96
    assert size * 1.04 < high < size * 2


def test_ladders_go_from_fine_to_coarse():
    """So that the first that fits is the finest."""
    for scale in ("log", "linear"):
        plot = rising("s", 1e-3, 1.0, scale=scale)
        counts = [len(ladder) for ladder in scales.ladders(plot, *scales.limits(plot))]
        assert all(fine >= coarse for fine, coarse in pairwise(counts))
