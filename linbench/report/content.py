"""What a report consists of, whatever it is rendered to. Numbers stay numbers until drawn."""

from dataclasses import dataclass
from typing import Literal

from linbench.analysis.series import Setup
from linbench.analysis.stats import Interval

Unit = Literal["time", "memory", "energy", "ratio"]


@dataclass(frozen=True)
class Line:
    """Points with intervals that belong together.

    `setup` gives the line its colour; lines without one (each n of a plot over k) take theirs from
    `level`, 0 to 1.
    """

    label: str
    x: tuple[float, ...]
    y: tuple[Interval, ...]
    setup: Setup | None = None
    level: float = 0.0


@dataclass(frozen=True)
class Plot:
    """One pair of axes, both logarithmic. `guides` are the slopes drawn faintly for reference."""

    title: str
    x_label: str
    y_label: str
    unit: Unit
    lines: tuple[Line, ...]
    guides: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figure:
    """Plots side by side and in rows under one legend. `name` is unique in its report."""

    name: str
    title: str
    caption: str
    rows: tuple[tuple[Plot, ...], ...]


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
