"""What a page consists of, whatever it is rendered to. Numbers stay numbers until drawn."""

from dataclasses import dataclass
from typing import Literal, Self

from linbench import words
from linbench.run.case import Case
from linbench.stats.interval import Interval

NONE = "\N{EN DASH}"
"""Stands in a table where there is nothing."""


@dataclass(frozen=True)
class Quantity:
    """A number in a table with its 95 % interval, if any; a column of numbers is sorted by it.

    `mark` is what stands beside it, in words: `(sdpa)`. `text` is what is written instead of the
    number where its unit (see `linbench.words.with_interval`) does not say how: `~4:1`.
    """

    value: float
    low: float | None = None
    high: float | None = None
    unit: str = ""
    mark: str = ""
    text: str = ""

    @classmethod
    def of(cls, interval: Interval | None, unit: str, mark: str = "") -> "Self | str":
        """Return the cell of an interval, a dash for None."""
        if interval is None:
            return NONE
        return cls(interval.value, interval.low, interval.high, unit, mark)

    def __str__(self) -> str:
        """Write it."""
        interval = Interval(self.value, self.low, self.high)
        return f"{self.text or words.with_interval(interval, self.unit)} {self.mark}".strip()


Cell = str | Quantity


def count(value: float) -> Quantity:
    """Return the cell of a number of things: `65,536`."""
    return Quantity(value, unit=words.COUNT)


def whole(n: int) -> Quantity:
    """Return the cell of a whole number that counts nothing, such as an n: `65536`."""
    return Quantity(n, text=str(n))


@dataclass(frozen=True)
class Line:
    """Points with intervals that belong together.

    `key` gives the line its colour, with `run_id` its dashes where several runs are drawn; lines
    without one (each n of a plot over k) take theirs from `level`, 0 to 1. Where there is a `fit`,
    one value for each x, it is what is drawn as the line, with jumps; the points lie loose around
    it. `published` points are others' numbers, not ours.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[Interval, ...]
    key: Case | None = None
    run_id: str = ""
    level: float = 0.0
    fit: tuple[float, ...] = ()
    published: bool = False
    wide: bool = False  # a baseline, drawn wider so that a line that coincides with it is seen too


@dataclass(frozen=True)
class Mark:
    """An event at one x of a plot: a vertical line with its name."""

    x: float
    label: str


@dataclass(frozen=True)
class Plot:
    """One pair of axes, both logarithmic, but for y where `scale` says linear.

    `unit` is that of y: a metric's, or one of `linbench.words` (RATIO draws a thin line at 1).
    `guides` are the slopes drawn faintly for reference where both are logarithmic. With `x_labels`
    x is linear and counts their places from 0 (commits of a history); a line without a point at a
    place has a gap there.
    `x_name` is what x is called beside its value: `n = 512`.
    """

    title: str
    x_label: str
    y_label: str
    unit: str
    lines: tuple[Line, ...]
    scale: Literal["log", "linear"] = "log"
    guides: tuple[float, ...] = ()
    x_labels: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    x_name: str = "n"


@dataclass(frozen=True)
class View:
    """One way to look at a figure on a screen: a metric, as it is or relative to something."""

    metric: str
    basis: str
    plot: Plot
    note: str = ""


@dataclass(frozen=True)
class Figure:
    """Plots side by side and in rows under one legend. `name` is unique in its report.

    Where there are `views`, a screen shows one of them at a time in place of the rows, at first
    with the lines named in `shown` only, if any are. A `covered` figure tells nothing that the
    views of another do not: it is for paper.
    """

    name: str
    title: str
    caption: str
    rows: tuple[tuple[Plot, ...], ...]
    views: tuple[View, ...] = ()
    shown: tuple[str, ...] = ()
    covered: bool = False


@dataclass(frozen=True)
class Table:
    """A table of cells. `folded` tables are long and open on demand."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    folded: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with sentences, figures and tables, in this order."""

    title: str
    sentences: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    code: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence of the summary, with those that stand under it."""

    text: str
    under: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """Everything a report says."""

    title: str
    summary: tuple[Sentence, ...]
    sections: tuple[Section, ...]
