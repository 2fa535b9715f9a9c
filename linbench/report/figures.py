"""Draw figures with matplotlib's object interface (importing pyplot takes longer than drawing).

Colours are Okabe and Ito's, distinct with colour-blind eyes: one per implementation, k as its shade
and marker, variants as dashes.
"""

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib import colors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from linbench.analysis.series import EXACT, Setup
from linbench.report import words
from linbench.report.content import Figure, Line, Plot

WIDTH = 9.6  # inches; about 900 px wide on GitHub
ROW_HEIGHT = 3.7
DPI = 170
INK, FAINT = "#24292f", "#8c959f"
_HUES = {"vanilla": "#000000", "sdpa": "#D55E00", "xformers": "#CC79A7", "linformer": "#0072B2"}
_MORE_HUES = ("#009E73", "#E69F00", "#56B4E9", "#7F3C8D", "#8C6D31")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES: tuple[Literal["-"] | tuple[float, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (5, 1.2, 1.2, 1.2)),
)
_LEVELS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#c8b000")  # viridis, readable on white


@dataclass(frozen=True)
class Style:
    """How one line looks."""

    color: str
    marker: str
    dashes: Literal["-"] | tuple[float, tuple[float, ...]]


def png(figure: Figure) -> bytes:
    """Draw a figure.

    Returns:
        A PNG file; the same figure gives the same bytes.
    """
    rows = len(figure.rows)
    columns = max(len(row) for row in figure.rows)
    layout = ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08, hspace=0.06, wspace=0.05)
    canvas = Canvas(figsize=(WIDTH, ROW_HEIGHT * rows + 0.5), dpi=DPI, layout=layout)
    FigureCanvasAgg(canvas)
    styles = _styles(plot for row in figure.rows for plot in row)
    for i, row in enumerate(figure.rows):
        for j, plot in enumerate(row):
            _draw(canvas.add_subplot(rows, columns, i * columns + j + 1), plot, styles)
    handles = [_handle(label, style) for label, style in styles.items()]
    canvas.legend(
        handles=handles, loc="outside upper center", ncols=_legend_columns(list(styles)),
        frameon=False, fontsize=9, labelcolor=INK, handlelength=2.6, columnspacing=1.8,
    )  # fmt: skip
    file = io.BytesIO()
    canvas.savefig(file, format="png", facecolor="white", metadata={"Software": None})
    return file.getvalue()


def _legend_columns(labels: Sequence[str]) -> int:
    widest = max(len(label) for label in labels) + 8  # in characters, with the handle
    fitting = max(1, 120 // widest)
    rows = math.ceil(len(labels) / fitting)
    return math.ceil(len(labels) / rows)


def _handle(label: str, style: Style) -> Line2D:
    return Line2D(
        [], [], color=style.color, marker=style.marker, linestyle=style.dashes,
        markersize=5, linewidth=1.6, markeredgecolor="white", markeredgewidth=0.6, label=label,
    )  # fmt: skip


def _styles(plots: Iterable[Plot]) -> dict[str, Style]:
    """Give each label of a figure one look, the same in every plot."""
    lines = {line.label: line for plot in plots for line in plot.lines}
    setups = [line.setup for line in lines.values() if line.setup is not None]
    return {label: _style(line, i, setups) for i, (label, line) in enumerate(lines.items())}


def _style(line: Line, index: int, setups: Sequence[Setup]) -> Style:
    if line.setup is None:
        return Style(_level_color(line.level), _MARKERS[index % len(_MARKERS)], "-")
    setup = line.setup
    impls = list(dict.fromkeys(one.impl for one in setups if one.impl not in _HUES))
    hue = _HUES.get(setup.impl) or _MORE_HUES[impls.index(setup.impl) % len(_MORE_HUES)]
    ks = list(dict.fromkeys(one.k for one in setups if one.impl == setup.impl))
    variants = list(
        dict.fromkeys(
            (one.sharing, one.projection, one.order) for one in setups if one.impl == setup.impl
        )
    )
    place = ks.index(setup.k)
    light = 0.0 if len(ks) < 2 else 0.55 * (1 - place / (len(ks) - 1))
    order = _MARKERS if setup.impl == "linformer" else {"vanilla": "X", "sdpa": "P"}
    marker = (
        order[place % len(_MARKERS)] if isinstance(order, tuple) else order.get(setup.impl, "*")
    )
    if isinstance(setup.k, str) and "n" in setup.k:  # k follows n: another law, another look
        return Style(_lighter(hue, light), marker, _DASHES[1])
    dashes = _DASHES[variants.index((setup.sharing, setup.projection, setup.order)) % len(_DASHES)]
    return Style(_lighter(hue, light), marker, dashes)


def _lighter(color: str, part: float) -> str:
    red, green, blue = (c + (1 - c) * part for c in colors.to_rgb(color))
    return colors.to_hex((red, green, blue))


def _level_color(level: float) -> str:
    return colors.to_hex(colors.LinearSegmentedColormap.from_list("levels", _LEVELS)(level))


def _draw(axes: Axes, plot: Plot, styles: dict[str, Style]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    xs = [x for line in plot.lines for x in line.x]
    count = len(plot.lines)
    # ratios of several lines stand at the same x: a little apart, so that intervals can be told
    step = (max(xs) / min(xs)) ** 0.008 if plot.unit == "ratio" else 1.0
    for i, line in enumerate(plot.lines):
        # lines that coincide must both be seen: the first ones are wider
        wide = 2.8 if i < count - 1 and line.setup and line.setup.impl in EXACT else 1.5
        _draw_line(axes, line, styles[line.label], step ** (i - (count - 1) / 2), wide)
    _frame(axes, plot)
    _draw_guides(axes, plot.guides)


def _draw_line(axes: Axes, line: Line, style: Style, shift: float, width: float) -> None:
    x = [value * shift for value in line.x]
    y = [interval.value for interval in line.y]
    below = [one.value - (one.value if one.low is None else one.low) for one in line.y]
    above = [(one.value if one.high is None else one.high) - one.value for one in line.y]
    axes.errorbar(
        x, y, yerr=[below, above], color=style.color, marker=style.marker, linestyle=style.dashes,
        linewidth=width, markersize=4.5 + width, markeredgecolor="white", markeredgewidth=0.6,
        elinewidth=1.0, capsize=2.2, capthick=1.0, zorder=3,
    )  # fmt: skip


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
    xs = sorted({x for line in plot.lines for x in line.x})
    _ticks(axes.xaxis, _thin(xs, 9), words.tokens)
    axes.set_xlim(xs[0] / 1.18, xs[-1] * 1.18)
    low, high = _limits(plot)
    axes.set_ylim(low, high)
    if plot.unit == "ratio":
        axes.axhline(1.0, color=INK, linewidth=0.9, zorder=2)
        _ticks(axes.yaxis, _factors(low, high), words.times)
    elif plot.unit == "memory":
        _ticks(axes.yaxis, _powers(low, high, 2.0, 7), _short_size)
    else:
        write = _short_seconds if plot.unit == "time" else "{:g} J".format
        _ticks(axes.yaxis, _powers(low, high, 10.0, 9), write)


def _ticks(axis, values, write) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    axis.set_major_locator(FixedLocator(values))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def _thin(values: Sequence[float], most: int) -> list[float]:
    """Keep every so many values so that labels do not touch, the largest among them."""
    step = math.ceil(len(values) / most)
    return list(values[::-1][::step][::-1])


def _limits(plot: Plot) -> tuple[float, float]:
    """Return the range of the values, with intervals up to three times as far out as any value."""
    values = [one.value for line in plot.lines for one in line.y]
    lows = [one.low for line in plot.lines for one in line.y if one.low]
    highs = [one.high for line in plot.lines for one in line.y if one.high]
    low = max(min([*lows, *values]), min(values) / 3)
    high = min(max([*highs, *values]), max(values) * 3)
    if plot.unit == "ratio":
        low, high = min(low, 0.97), max(high, 1.03)
    margin = max((high / low) ** 0.06, 1.02)
    return low / margin, high * margin


def _powers(low: float, high: float, base: float, most: int) -> list[float]:
    first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
    values = [base**i for i in range(first, last + 1)]
    if base == 10.0 and len(values) < 4:
        values = [f * 10.0**i for i in range(first - 1, last + 1) for f in (1, 2, 5)]
        values = [value for value in values if low <= value <= high]
    return _thin(values, most) if values else [math.sqrt(low * high)]


def _factors(low: float, high: float) -> list[float]:
    """Return round factors around 1 that fall in the range: halves and doubles, or finer."""
    doubles = [2.0**i for i in range(-12, 16) if low <= 2.0**i <= high]
    if len(doubles) >= 4:
        step = math.ceil(len(doubles) / 9)
        return [value for value in doubles if round(math.log2(value)) % step == 0]
    for fine in (0.5, 0.25, 0.2, 0.1, 0.05, 0.02, 0.01):
        values = [round(i * fine, 4) for i in range(math.ceil(low / fine), int(high / fine) + 1)]
        values = [value for value in values if value > 0]
        if 4 <= len(values) <= 9:
            return values
    return doubles or [1.0]


def _short_seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9)):
        if value >= scale * 0.999:
            return f"{value / scale:.4g} {unit}"
    return f"{value:g} s"


def _short_size(value: float) -> str:
    for unit, scale in (("TiB", 2.0**40), ("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)):
        if value >= scale * 0.999:
            return f"{value / scale:.4g} {unit}"
    return f"{value:.4g} B"


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
