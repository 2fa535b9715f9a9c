"""What a report consists of, whatever it is rendered to. Numbers stay numbers until drawn."""

from dataclasses import dataclass
from typing import Literal

from linbench.analysis.series import Setup
from linbench.analysis.stats import Interval

Unit = Literal["time", "memory", "energy", "tokens", "ratio", "slope"]


@dataclass(frozen=True)
class Line:
    """Points with intervals that belong together.

    `setup` gives the line its colour; lines without one (each n of a plot over k) take theirs from
    `level`, 0 to 1. Where there is a `fit`, one value for each x, it is what is drawn as the line,
    with jumps; the points lie loose around it. `published` points are others' numbers, not ours.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[Interval, ...]
    setup: Setup | None = None
    level: float = 0.0
    fit: tuple[float, ...] = ()
    published: bool = False


@dataclass(frozen=True)
class Mark:
    """An event at one x of a plot: a vertical line with its name."""

    x: float
    label: str


@dataclass(frozen=True)
class Plot:
    """One pair of axes, both logarithmic, but for y in the unit `slope`.

    `guides` are the slopes drawn faintly for reference. With `x_labels` x is linear and counts
    their places from 0 (commits of a history); a line without a point at a place has a gap there.
    """

    title: str
    x_label: str
    y_label: str
    unit: Unit
    lines: tuple[Line, ...]
    guides: tuple[float, ...] = ()
    x_labels: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()


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
    """A table of finished text. `folded` tables are long and open on demand."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
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
class Report:
    """Everything a report says."""

    title: str
    summary: tuple[str, ...]
    sections: tuple[Section, ...]
