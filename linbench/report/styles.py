"""How lines look: the same in PNG and HTML, on light ground and on dark.

Colours are Okabe and Ito's, distinct with colour-blind eyes: one per implementation, k as its shade
and marker, variants (or runs, where several stand in one plot) as dashes.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib import colors

from linbench.report.content import Line, Plot
from linbench.run.case import Case

DARK_GROUND = "#0f141a"  # of the HTML report
CONTRAST = 4.5  # of a line with the ground, as WCAG 2.2 asks of text

_HUES: dict[str | None, str] = {
    "vanilla": "#000000", "sdpa": "#D55E00", "xformers": "#CC79A7", "linformer": "#0072B2",
}  # fmt: skip
_MORE_HUES = ("#009E73", "#E69F00", "#56B4E9", "#7F3C8D", "#8C6D31")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_OWN_MARKERS: dict[str | None, str] = {"vanilla": "X", "sdpa": "P"}
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 1.5), (1.5, 1.2), (5, 1.2, 1.2, 1.2))
_LEVELS = ("#440154", "#3b528b", "#21918c", "#5ec962", "#c8b000")  # viridis, readable on white


@dataclass(frozen=True)
class Style:
    """How one line looks, as matplotlib has it."""

    color: str  # on a light ground
    marker: str
    dashes: tuple[float, ...] = ()  # lengths on and off in line widths; empty is unbroken
    hollow: bool = False  # open markers: a later one of several runs

    @property
    def dark(self) -> str:
        """The colour on a dark ground: as much lighter as it must be."""
        return next(
            color
            for step in range(21)
            if contrast(color := lighter(self.color, step / 20), DARK_GROUND) >= CONTRAST
        )


def styles_of(plots: Iterable[Plot]) -> dict[str, Style]:
    """Give each label of some plots one look, the same in all of them."""
    lines = {line.label: line for plot in plots for line in plot.lines}
    keys = [line.key for line in lines.values() if line.key is not None]
    runs = list(dict.fromkeys(line.run_id for line in lines.values() if line.key is not None))
    return {label: _style(line, i, keys, runs) for i, (label, line) in enumerate(lines.items())}


def _style(line: Line, index: int, keys: Sequence[Case], runs: Sequence[str]) -> Style:
    key = line.key
    if line.published:
        return Style(_level_color(line.level), "o", _DASHES[2], hollow=True)
    if key is None:
        return Style(_level_color(line.level), _MARKERS[index % len(_MARKERS)])
    same = [other for other in keys if other.impl == key.impl]
    ks = list(dict.fromkeys(other.k_text for other in same))
    place, run = ks.index(key.k_text), runs.index(line.run_id)
    light = 0.0 if len(ks) < 2 else 0.4 * (1 - place / (len(ks) - 1))
    own = _MARKERS[place % len(_MARKERS)] if key.k_text else _OWN_MARKERS.get(key.impl, "*")
    return Style(
        color=lighter(_hue(key, keys), light),
        marker=own,
        dashes=_DASHES[run % len(_DASHES)] if len(runs) > 1 else _dashes(key, same),
        hollow=run > 0,
    )


def _hue(key: Case, keys: Sequence[Case]) -> str:
    if key.impl in _HUES:
        return _HUES[key.impl]
    others = list(dict.fromkeys(other.impl for other in keys if other.impl not in _HUES))
    return _MORE_HUES[others.index(key.impl) % len(_MORE_HUES)]


def _dashes(key: Case, same: Sequence[Case]) -> tuple[float, ...]:
    if key.k_rule:  # k follows n: another law, another look
        return _DASHES[1]
    variants = list(dict.fromkeys((other.sharing, other.projection, other.order) for other in same))
    place = variants.index((key.sharing, key.projection, key.order))
    return _DASHES[place % len(_DASHES)]


def lighter(color: str, part: float) -> str:
    """Mix a colour with a part of white."""
    red, green, blue = (c + (1 - c) * part for c in colors.to_rgb(color))
    return colors.to_hex((red, green, blue))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2, relative luminance)."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    parts = (
        c / 12.92 if c <= 0.04045 else math.pow((c + 0.055) / 1.055, 2.4)
        for c in colors.to_rgb(color)
    )
    return sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), parts, strict=True))


def _level_color(level: float) -> str:
    return colors.to_hex(colors.LinearSegmentedColormap.from_list("levels", _LEVELS)(level))
