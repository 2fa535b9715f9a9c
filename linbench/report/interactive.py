"""Figures as the JSON that `assets/report.js` draws; all text in it is written here."""

import itertools
from typing import Any

from linbench import words
from linbench.report import scales
from linbench.report.content import Figure, Line, Plot
from linbench.report.styles import Style, styles_of
from linbench.stats.interval import Interval

_WIDE, _LINE = 2.8, 1.7  # px; of lines that coincide the first are wider, so that all are seen


def figure_json(figure: Figure) -> dict[str, Any]:
    """Return what is needed to draw a figure."""
    views = (view.plot for view in figure.views)
    styles = styles_of([*views, *itertools.chain(*figure.rows)])
    return {
        "name": figure.name,
        "caption": figure.caption,
        "shown": list(figure.shown),
        "styles": {label: _style_json(style) for label, style in styles.items()},
        "rows": [[_plot_json(plot) for plot in row] for row in figure.rows],
        "views": [{**vars(view), "plot": _plot_json(view.plot)} for view in figure.views],
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
    last = len(plot.lines) - 1
    return {
        "title": plot.title,
        "xLabel": plot.x_label,
        "scale": plot.scale,
        "atOne": plot.unit == words.RATIO,
        "apart": scales.apart(plot),
        "guides": list(plot.guides),
        "places": list(plot.x_labels),
        "marks": [[mark.x, mark.label] for mark in plot.marks],
        "range": [_rounded(low, plot), _rounded(high, plot)],
        "xs": [_x_json(plot, x) for x in scales.lengths(plot)],
        "ladders": [
            [[_rounded(value, plot), words.short(value, plot.unit)] for value in ladder]
            for ladder in scales.ladders(plot, low, high)
        ],
        "lines": [_line_json(line, plot, last=i == last) for i, line in enumerate(plot.lines)],
    }


def _x_json(plot: Plot, x: float) -> list[Any]:
    """Return an x, its label on the axis, and its name where values are read off."""
    if plot.x_labels:
        place = plot.x_labels[round(x)]
        return [x, place, f"{plot.x_label} {place}"]
    return [x, words.tokens(x), f"{plot.x_name} = " + (f"{x:g}" if x < 1e6 else f"{x:.0f}")]


def _line_json(line: Line, plot: Plot, *, last: bool) -> dict[str, Any]:
    return {
        "label": line.label,
        "width": _WIDE if line.wide and not last else _LINE,
        "published": line.published,
        "points": [
            [
                x,
                *(None if end is None else _rounded(end, plot) for end in (y.value, y.low, y.high)),
                _text(y, plot.unit),
            ]
            for x, y in zip(line.x, line.y, strict=True)
        ],
        "fit": [_rounded(value, plot) for value in line.fit],
    }


def _rounded(value: float, plot: Plot) -> float:
    # where ratios are drawn a ten thousandth of the value is far below a pixel
    return float(f"{value:.5g}" if plot.scale == "log" else f"{value:.9g}")


def _text(interval: Interval, unit: str) -> str:
    if unit == words.RATIO:
        return f"{words.digits(interval.value)}{unit}{words.ends(interval)}"
    return words.with_interval(interval, unit)
