"""Draw figures with matplotlib's object interface (importing pyplot takes longer than drawing)."""

import functools
import io
import math
from collections.abc import Collection, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from linbench import words
from linbench.report import scales
from linbench.report.content import Figure, Line, Plot
from linbench.report.styles import Style, styles_of

WIDTH = 9.6  # inches; about 900 px wide on GitHub
ROW_HEIGHT = 3.7
DPI = 170
INK, FAINT = "#24292f", "#8c959f"


def png(figure: Figure) -> bytes:
    """Draw a figure as a PNG file; the same figure gives the same bytes."""
    rows = len(figure.rows)
    columns = max(len(row) for row in figure.rows)
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, hspace=0.06, wspace=0.05)
    canvas = Canvas(figsize=(WIDTH, ROW_HEIGHT * rows + 0.5), dpi=DPI, layout=layout)
    FigureCanvasAgg(canvas)
    styles = styles_of(plot for row in figure.rows for plot in row)
    for i, row in enumerate(figure.rows):
        for j, plot in enumerate(row):
            _draw(canvas.add_subplot(rows, columns, i * columns + j + 1), plot, styles)
    handles = [
        Line2D([], [], linewidth=1.6, markersize=5, label=label, **_look(style))
        for label, style in styles.items()
    ]
    canvas.legend(
        handles=handles, loc="outside upper center", ncols=_legend_columns(styles),
        frameon=False, fontsize=9, labelcolor=INK, handlelength=2.6, columnspacing=1.8,
    )  # fmt: skip
    file = io.BytesIO()
    canvas.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    return file.getvalue()


def _legend_columns(labels: Collection[str]) -> int:
    widest = max(len(label) for label in labels) + 8  # in characters, with the handle
    fitting = max(1, 120 // widest)
    rows = math.ceil(len(labels) / fitting)
    return math.ceil(len(labels) / rows)


def _look(style: Style) -> dict[str, Any]:
    """Return what legend and plot have in common, as matplotlib's properties."""
    return {
        "color": style.color,
        "marker": style.marker,
        "linestyle": (0, style.dashes) if style.dashes else "-",
        "markerfacecolor": "white" if style.hollow else style.color,
        "markeredgecolor": style.color if style.hollow else "white",
        "markeredgewidth": 1.0 if style.hollow else 0.6,
    }


def _draw(axes: Axes, plot: Plot, styles: dict[str, Style]) -> None:
    if plot.x_labels:
        _draw_history(axes, plot, styles)
        return
    axes.set_xscale("log")
    axes.set_yscale(plot.scale)
    xs = [x for line in plot.lines for x in line.x]
    lines = sorted(plot.lines, key=lambda line: line.published)
    count = max(1, sum(not line.published for line in lines))
    # intervals of several lines at the same x are told apart only beside each other
    step = (max(xs) / min(xs)) ** min(0.008, 0.08 / count) if scales.apart(plot) else 1.0
    for i, line in enumerate(lines):
        # lines that coincide must both be seen: the first ones are wider
        wide = 2.8 if line.wide and i < count - 1 else 1.5
        place = 0 if line.published else i - (count - 1) / 2
        _draw_line(axes, line, styles[line.label], step**place, wide)
    _frame(axes, plot)
    if plot.scale == "log":
        _draw_guides(axes, plot.guides)


def _draw_line(axes: Axes, line: Line, style: Style, shift: float, width: float) -> None:
    x = [value * shift for value in line.x]
    y = [point.value for point in line.y]
    below = [0.0 if point.low is None else point.value - point.low for point in line.y]
    above = [0.0 if point.high is None else point.high - point.value for point in line.y]
    axes.errorbar(
        x, y, yerr=[below, above], linewidth=width, markersize=4.5 + width,
        elinewidth=1.0, capsize=2.2, capthick=1.0, zorder=3, **_look(style),
    )  # fmt: skip


def _draw_history(axes: Axes, plot: Plot, styles: dict[str, Style]) -> None:
    """Draw levels as lines, runs as loose points; those off the axes stand at their edge."""
    axes.set_yscale(plot.scale)
    low, high = scales.limits(plot)
    count = len(plot.lines)
    for i, line in enumerate(plot.lines):
        style = styles[line.label]
        # levels that coincide must all be seen: the first ones are wider
        wide = 1.4 + 2.4 * (count - 1 - i) / max(1, count - 1)
        axes.step(line.x, line.fit, where="mid", color=style.color, linewidth=wide, zorder=4)
        y = [point.value for point in line.y]
        loose: dict[str, Any] = {"color": style.color, "linestyle": "", "mew": 0, "alpha": 0.55}
        seen = [value if low <= value <= high else math.nan for value in y]
        over = [high if value > high else math.nan for value in y]
        under = [low if value < low else math.nan for value in y]
        for values, marker, big in ((seen, style.marker, 3.2), (over, "^", 5), (under, "v", 5)):
            axes.plot(line.x, values, marker=marker, markersize=big, clip_on=False, **loose)
    _frame(axes, plot)


def _frame(axes: Axes, plot: Plot) -> None:
    axes.set_title(plot.title, fontsize=10.5, color=INK, loc="left", pad=8)
    axes.set_xlabel(plot.x_label, fontsize=9, color=INK)
    axes.set_ylabel(plot.y_label, fontsize=9, color=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(which="both", labelsize=8.5, color=FAINT, labelcolor=INK)
    axes.grid(visible=True, color="#d0d7de", linewidth=0.6, alpha=0.7)
    axes.set_axisbelow(True)
    if plot.x_labels:
        _frame_places(axes, plot)
    else:
        xs = scales.lengths(plot)
        _ticks(axes.xaxis, scales.thin(xs, 9), words.tokens)
        axes.set_xlim(xs[0] / 1.18, xs[-1] * 1.18)
    low, high = scales.limits(plot)
    axes.set_ylim(low, high)
    values = scales.chosen(scales.ladders(plot, low, high))
    _ticks(axes.yaxis, values, functools.partial(words.short, unit=plot.unit))
    if plot.unit == words.RATIO:
        axes.axhline(1.0, color=INK, linewidth=0.9, zorder=2)


def _frame_places(axes: Axes, plot: Plot) -> None:
    last = len(plot.x_labels) - 1
    _ticks(axes.xaxis, scales.thin(range(last + 1), 6), lambda place: plot.x_labels[round(place)])
    axes.tick_params(axis="x", labelsize=7.5)
    margin = max(0.5, 0.02 * last)
    axes.set_xlim(-margin, last + margin)
    for mark in plot.marks:
        axes.axvline(mark.x - 0.5, color=INK, linewidth=0.8, linestyle=(0, (3, 2)), zorder=2)
        axes.annotate(
            mark.label, (mark.x - 0.5, 1), xycoords=("data", "axes fraction"), xytext=(-2, -2),
            textcoords="offset points", rotation=90, fontsize=7, color=INK, ha="right", va="top",
        )  # fmt: skip


def _ticks(axis, values, write) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001 (matplotlib)
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _draw_guides(axes: Axes, slopes: Sequence[float]) -> None:
    """Draw short faint lines of given slopes in the lower right corner, where curves are not."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    x0, y0 = left * (right / left) ** 0.68, low * (high / low) ** 0.04
    for slope in slopes:
        x1 = left * (right / left) ** 0.87
        y1 = y0 * (x1 / x0) ** slope
        top = low * (high / low) ** 0.45
        if y1 > top:
            x1, y1 = x0 * (top / y0) ** (1 / slope), top
        axes.plot([x0, x1], [y0, y1], color=FAINT, linewidth=0.9, linestyle=(0, (3, 2)), zorder=1)
        axes.annotate(
            f"slope {slope:g}", (x1, y1), xytext=(3, 0), textcoords="offset points", fontsize=7.5,
            color=FAINT, ha="left", va="center", annotation_clip=False,
        )  # fmt: skip
