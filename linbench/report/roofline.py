"""What the report says of cost against the machine: a table, a figure, a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from linbench.analysis import numbers
from linbench.analysis.roofline import Placed, Roof
from linbench.analysis.series import Setup
from linbench.report import words
from linbench.report.charts import label_of
from linbench.report.content import Figure, Line, Plot, Table

_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Held:
    """The cases of one panel, and what the machine reached; None where it was not measured."""

    cases: tuple[Placed, ...]
    roof: Roof | None


def costs(held: Held) -> Table | None:
    """Return operations, bytes, parameters, latency, throughput and memory side by side."""
    placed, roof = held.cases, held.roof
    if not placed:
        return None
    setups = [one.setup for one in placed]
    rows = tuple(
        (
            label_of(one.setup, setups),
            str(one.n),
            f"{numbers.digits(one.flops / 1e9)}",
            words.size(one.bytes_moved),
            f"{one.parameters:,}",
            words.with_interval(one.time, "time"),
            f"{one.tokens_per_s:,.0f}",
            words.with_interval(one.peak_bytes, "memory") if one.peak_bytes else _NONE,
            f"{one.flops / one.time.value / 1e9:,.1f}",
            _percent(one),
            one.bound or _NONE,
        )
        for one in placed
    )
    return Table(
        "Cost against the machine",
        (
            "series", "n", "GFLOP", "bytes moved", "parameters", "time of one call", "tokens/s",
            "peak memory", "GFLOP/s", "of the attainable", "bound by",
        ),
        rows,
        "GFLOP: operations of matrix products, a multiply-add is 2; bytes moved: the least that "
        "must be read and written; both by exact count. " + (
            "Of the attainable: the least time that they need on this machine over the time they "
            f"took, within rounds (roofline). {_roof(roof)} A share may exceed 100 %: of what "
            "memory bounds, where data stays in caches, which are faster than that copy; of what "
            "arithmetic bounds, where the product was measured in a slow moment."
            f"{_passes(setups)}"
            if roof else "The run holds no matrix product and copy to hold them against."
        ),
        folded=True,
    )  # fmt: skip


def _passes(setups: Sequence[Setup]) -> str:
    if all(setup.impl != "vanilla" for setup in setups):
        return ""
    return (
        " The bytes of vanilla include its passes over n × n matrices, which fused attention does "
        "not make: its share is of the speed of this way to compute, not of the problem."
    )


def _percent(one: Placed) -> str:
    if one.share is None:
        return _NONE
    return f"{numbers.digits(100 * one.share.value)}{numbers.ends(one.share, 0.01)} %"


def _roof(roof: Roof) -> str:
    gemm, copy = roof.gemm, roof.copy
    return (
        f"Measured in the same run, once a round: a matrix product at "
        f"{numbers.digits(gemm.value / 1e9)}{numbers.ends(gemm, 1e9)} GFLOP/s, a copy at "
        f"{numbers.digits(copy.value / 1e9)}{numbers.ends(copy, 1e9)} GB/s."
    )


def sentence(held: Held) -> str | None:
    """Say what share of the attainable speed each implementation reached at its largest n."""
    placed, roof = held.cases, held.roof
    if roof is None or not placed:
        return None
    last: dict[Setup, Placed] = {one.setup: one for one in placed}
    setups = list(last)
    shares = [
        f"{label_of(setup, setups)} {_percent(one)} at n = {one.n} ({one.bound})"
        for setup, one in last.items()
        if one.share
    ]
    return (
        f"Of the speed that this machine attains (in brackets what bounds it): "
        f"{words.listed(shares)}. {_roof(roof)}"
    )


def figure(held: Held, stem: str) -> Figure | None:
    """Return the share of the attainable speed against n, a line per series."""
    shown: dict[Setup, list[Placed]] = {}
    for one in held.cases:
        if one.share:
            shown.setdefault(one.setup, []).append(one)
    lines = tuple(
        Line(
            label_of(setup, shown),
            tuple(float(one.n) for one in points),
            tuple(one.share for one in points if one.share),
            setup,
        )
        for setup, points in shown.items()
    )
    if not lines:
        return None
    plot = Plot("Share of the attainable speed", "sequence length n", "", "ratio", lines)
    return Figure(
        f"{stem}roofline",
        "Cost against the machine",
        "The least time that the counted operations and bytes need on this machine, at the matrix "
        "product's and the copy's speed measured in the same run, over the time taken, with 95 % "
        "intervals; 1 (the thin line) is the speed of that product or that copy.",
        ((plot,),),
    )
