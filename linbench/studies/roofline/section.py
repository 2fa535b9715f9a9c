"""What the report says of cost against the machine: per panel a table, a figure, a sentence."""

from collections.abc import Sequence

from linbench import attention, words
from linbench.report.content import (
    NONE,
    Figure,
    Line,
    Plot,
    Quantity,
    Section,
    Sentence,
    Table,
    count,
    whole,
)
from linbench.run.case import Case
from linbench.run.runs import Runs
from linbench.stats.interval import Interval
from linbench.studies.labels import EACH_N, label_of, panel_stems, panel_title
from linbench.studies.roofline.roofline import PanelRoofline, Roof, RooflinePoint, rooflines_of

_TITLE = "Cost against the machine"
_SHARES = "Of the speed that this machine attains (in brackets what bounds it):"


def summary(runs: Runs) -> list[Sentence]:
    """Say what share of the attainable speed each implementation reached at its largest n.

    Where there are several panels, each stands under its name.
    """
    found = {
        one.panel: _shares(one.points, one.roof) for one in runs.once(rooflines_of) if one.roof
    }
    if len(found) < 2:
        return [Sentence(f"{_SHARES} {shares}") for shares in found.values()]
    under = (f"{panel_title(panel, found)}: {shares}" for panel, shares in found.items())
    return [Sentence(_SHARES, tuple(under))]


def _shares(points: Sequence[RooflinePoint], roof: Roof) -> str:
    last = {point.key: point for point in points}
    shares = [
        f"{label_of(key, last)} {words.with_interval(point.share, words.SHARE)} at n = {point.n} "
        f"({point.bound})"
        for key, point in last.items()
        if point.share
    ]
    return f"{words.listed(shares)}. {_speeds(roof)}"


def sections(runs: Runs) -> list[Section]:
    """Return a section for each panel of which costs are known."""
    found = runs.once(rooflines_of)
    panels = [one.panel for one in found]
    stems = panel_stems(panels)
    return [
        Section(
            f"{_TITLE}: {panel_title(one.panel, panels)}",
            figures=(figure(one, stems[one.panel]),) if one.roof else (),
            tables=(costs(one),),
        )
        for one in found
    ]


def costs(found: PanelRoofline) -> Table:
    """Return operations, bytes, parameters, latency, throughput and memory side by side."""
    keys = [point.key for point in found.points]
    rows = tuple(
        (
            label_of(point.key, keys),
            whole(point.n),
            Quantity(point.costs.flops / 1e9),
            Quantity(point.costs.bytes_moved, unit="byte"),
            count(point.costs.parameters),
            Quantity.of(point.time, "s"),
            count(point.tokens_per_s),
            Quantity.of(point.peak_bytes, "byte"),
            Quantity(point.costs.flops / point.time.value / 1e9),
            Quantity.of(point.share, words.SHARE),
            point.bound or NONE,
        )
        for point in found.points
    )
    return Table(
        _TITLE,
        (
            "series", "n", "GFLOP", "bytes moved", "parameters", "time of one call", "tokens/s",
            "peak memory", "GFLOP/s", "of the attainable", "bound by",
        ),
        rows,
        "GFLOP: operations of matrix products, a multiply-add is 2; bytes moved: the least that "
        "must be read and written; both by exact count. " + (
            "Of the attainable: the least time that they need on this machine over the time they "
            f"took, within rounds (roofline). {_speeds(found.roof)} A share may exceed 100 %: of "
            "what memory bounds, where data stays in caches, which are faster than that copy; of "
            "what arithmetic bounds, where the product was measured in a slow moment."
            f"{_passes(keys)}"
            if found.roof else "The run holds no matrix product and copy to hold them against."
        ),
        folded=True,
    )  # fmt: skip


def _passes(keys: list[Case]) -> str:
    if all(key.impl != attention.WRITTEN_OUT for key in keys):
        return ""
    return (
        f" The bytes of {attention.WRITTEN_OUT} include its passes over n × n matrices, which "
        "fused attention does not make: its share is of the speed of this way to compute, not of "
        "the problem."
    )


def _speeds(roof: Roof) -> str:
    gemm, copy = (
        words.digits(speed.value / 1e9) + words.ends(speed, 1e9) for speed in (roof.gemm, roof.copy)
    )
    return (
        f"Measured in the same run, once a round: a matrix product at {gemm} GFLOP/s, a copy at "
        f"{copy} GB/s."
    )


def figure(found: PanelRoofline, stem: str) -> Figure:
    """Return the share of the attainable speed against n, a line per series."""
    shares: dict[Case, dict[float, Interval]] = {}
    for point in found.points:
        if point.share:
            shares.setdefault(point.key, {})[point.n] = point.share
    lines = tuple(
        Line(label_of(key, shares), tuple(own), tuple(own.values()), key)
        for key, own in shares.items()
    )
    plot = Plot("Share of the attainable speed", EACH_N, "", words.RATIO, lines)
    return Figure(
        f"{stem}roofline",
        "Share of the attainable speed",
        "The least time that the counted operations and bytes need on this machine, at the matrix "
        "product's and the copy's speed measured in the same run, over the time taken, with 95 % "
        "intervals; 1 (the thin line) is the speed of that product or that copy.",
        ((plot,),),
    )
