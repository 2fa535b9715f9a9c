"""Figures as the JSON that `assets/report.js` draws; all text in it is written here."""

from collections.abc import Sequence
from typing import Any

from linbench.analysis import numbers
from linbench.analysis.series import EXACT
from linbench.analysis.stats import Interval
from linbench.report import scales, words
from linbench.report.content import Figure, Line, Plot, Unit
from linbench.report.styles import Style, styles_of

_WIDE, _LINE = 2.8, 1.7  # px


def figure_json(figure: Figure) -> dict[str, Any]:
    """Return what is needed to draw a figure."""
    plots = [plot for row in figure.rows for plot in row]
    views = [view.plot for view in figure.views]
    styles = styles_of([*views, *plots])
    return {
        "name": figure.name,
        "caption": figure.caption,
        "shown": list(figure.shown),
        "styles": {label: _style_json(style) for label, style in styles.items()},
        "rows": [[_plot_json(plot) for plot in row] for row in figure.rows],
        "views": [
            {
                "metric": view.metric,
                "basis": view.basis,
                "note": view.note,
                "plot": _plot_json(view.plot),
            }
            for view in figure.views
        ],
    }


def _style_json(style: Style) -> dict[str, Any]:
    return {
        "light": style.color,
        "dark": style.dark,
        "marker": style.marker,
        "dashes": list(style.dashes),
        "hollow": style.hollow,
    }


def _plot_json(plot: Plot) -> dict[str, Any]:
    low, high = scales.limits(plot)
    return {
        "title": plot.title,
        "xLabel": plot.x_label,
        "yLabel": plot.y_label,
        "unit": plot.unit,
        "guides": list(plot.guides),
        "places": list(plot.x_labels),
        "marks": [[mark.x, mark.label] for mark in plot.marks],
        "range": [_rounded(low), _rounded(high)],
        "xs": [_x_json(plot, x) for x in scales.lengths(plot)],
        "ladders": [
            [[_rounded(value), scales.label(plot.unit, value)] for value in ladder]
            for ladder in scales.ladders(plot.unit, low, high)
        ],
        "lines": [
            _line_json(line, plot.unit, last=i == len(plot.lines) - 1)
            for i, line in enumerate(plot.lines)
        ],
    }


def _x_json(plot: Plot, x: float) -> list[Any]:
    """Return an x, its label on the axis, and its name where values are read off."""
    name = plot.x_label.rsplit(" ", 1)[-1]
    if plot.x_labels:
        place = plot.x_labels[round(x)]
        return [x, place, f"{name} {place}"]
    return [x, words.tokens(x), f"{name} = {x:g}" if x < 1e6 else f"{name} = {x:.0f}"]


def _line_json(line: Line, unit: Unit, *, last: bool) -> dict[str, Any]:
    # lines that coincide must both be seen: the first ones are wider
    wide = not last and line.setup is not None and line.setup.impl in EXACT
    return {
        "label": line.label,
        "width": _WIDE if wide else _LINE,
        "published": line.published,
        "points": [[x, *_ends(y), _text(y, unit)] for x, y in zip(line.x, line.y, strict=True)],
        "fit": [_rounded(value) for value in line.fit],
    }


def _ends(interval: Interval) -> Sequence[float | None]:
    ends = (interval.value, interval.low, interval.high)
    return [None if end is None else _rounded(end) for end in ends]


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")  # a ten thousandth of the value is far below a pixel


def _text(interval: Interval, unit: Unit) -> str:
    if unit == "ratio":
        return f"{numbers.digits(interval.value)}\N{MULTIPLICATION SIGN}{numbers.ends(interval)}"
    if unit == "slope":
        return numbers.slope(interval)
    return words.with_interval(interval, unit)
