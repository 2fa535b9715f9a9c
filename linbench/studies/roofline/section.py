"""What the report says of cost against the machine: per panel a table, a figure, a sentence."""

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
)
from linbench.run.case import Case
from linbench.run.runs import Runs
from linbench.studies.labels import EACH_N, label_of, panel_stems, panel_title
from linbench.studies.roofline.roofline import PanelRoofline, Roof, RooflinePoint, rooflines_of

_TITLE = "Cost against the machine"


_SHARES = "Of the speed that this machine attains (in brackets what bounds it):"


def summary(runs: Runs) -> list[Sentence]:
    """Say what share of the attainable speed each implementation reached at its largest n.

    Where there are several panels, each stands under its name.
    """
    found = [one for one in runs.once(rooflines_of) if one.roof]
    panels = [one.panel for one in found]
    if len(found) > 1:
        under = (f"{panel_title(one.panel, panels)}: {_shares(one)}" for one in found)
        return [Sentence(_SHARES, tuple(under))]
    return [Sentence(f"{_SHARES} {_shares(one)}") for one in found]


def _shares(found: PanelRoofline) -> str:
    last = {one.key: one for one in found.points}
    shares = [
        f"{label_of(key, last)} {words.with_interval(one.share, words.SHARE)} at n = {one.n} "
        f"({one.bound})"
        for key, one in last.items()
        if one.share
    ]
    return f"{words.listed(shares)}. {_speeds(found.roof)}" if found.roof else ""


def sections(runs: Runs) -> list[Section]:
    """Return a section for each panel of which costs are known."""
    found = runs.once(rooflines_of)
    panels = [one.panel for one in found]
    stems = panel_stems(panels)
    return [
        Section(
            f"{_TITLE}: {panel_title(one.panel, panels)}",
            figures=tuple(filter(None, [figure(one, stems[one.panel])])),
            tables=(costs(one),),
        )
        for one in found
    ]


def costs(found: PanelRoofline) -> Table:
    """Return operations, bytes, parameters, latency, throughput and memory side by side."""
    keys = [one.key for one in found.points]
    rows = tuple(
        (
            label_of(one.key, keys),
            Quantity(one.n, text=str(one.n)),
            Quantity(one.flops / 1e9),
            Quantity(one.bytes_moved, unit="byte"),
            count(one.parameters),
            Quantity.of(one.time, "s"),
            Quantity(one.tokens_per_s, unit=words.COUNT),
            Quantity.of(one.peak_bytes, "byte"),
            Quantity(one.flops / one.time.value / 1e9),
            Quantity.of(one.share, words.SHARE),
            one.bound or NONE,
        )
        for one in found.points
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
    gemm, copy = roof.gemm, roof.copy
    return (
        f"Measured in the same run, once a round: a matrix product at "
        f"{words.digits(gemm.value / 1e9)}{words.ends(gemm, 1e9)} GFLOP/s, a copy at "
        f"{words.digits(copy.value / 1e9)}{words.ends(copy, 1e9)} GB/s."
    )


def figure(found: PanelRoofline, stem: str) -> Figure | None:
    """Return the share of the attainable speed against n, a line per series."""
    shown: dict[Case, list[RooflinePoint]] = {}
    for one in found.points:
        if one.share:
            shown.setdefault(one.key, []).append(one)
    lines = tuple(
        Line(
            label_of(key, shown),
            tuple(float(one.n) for one in points),
            tuple(one.share for one in points if one.share),
            key,
        )
        for key, points in shown.items()
    )
    if not lines:
        return None
    plot = Plot("Share of the attainable speed", EACH_N, "", words.RATIO, lines)
    return Figure(
        f"{stem}roofline",
        "Share of the attainable speed",
        "The least time that the counted operations and bytes need on this machine, at the matrix "
        "product's and the copy's speed measured in the same run, over the time taken, with 95 % "
        "intervals; 1 (the thin line) is the speed of that product or that copy.",
        ((plot,),),
    )
