"""A run beside Table 3 of the Linformer paper, in words, tables and one figure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from linbench.analysis import numbers
from linbench.analysis.paper import (
    HOW_TO_READ,
    NOT_IN_RUN,
    ROBERTA_BASE,
    SAVED,
    SOURCE,
    Cell,
    Comparison,
    Gain,
    Saved,
    comparisons,
)
from linbench.analysis.stats import Interval
from linbench.record import measured_on
from linbench.report import words
from linbench.report.content import Figure, Line, Plot, Section, Table

if TYPE_CHECKING:
    import pandas as pd

NAMES: dict[Saved, str] = {
    "time": "Time saved{}",
    "max_batch": "Memory saved{}, by the largest batch",
    "bytes": "Memory saved{}, by bytes",
}
_OUTCOMES: dict[Saved, tuple[str, str]] = {
    "time": ("less time", "more time"),
    "max_batch": ("a larger batch", "a smaller batch"),
    "bytes": ("fewer bytes", "more bytes"),
}
Text = tuple[str, str, str]  # the value, its interval or batches, what stands beside it
NOTHING = ("", "", "")
_DASH = "\N{EN DASH}"
_TASKS = {"efficiency": "time and bytes", "max_batch": "largest batch"}


def sections_of(headers: Sequence[Mapping[str, Any]], frame: "pd.DataFrame") -> list[Section]:
    """Return a section for each setting of the runs that shares a cell with Table 3.

    Args:
        headers: The header of each run.
        frame: Their records in one table.
    """
    found = [
        one
        for one in comparisons(frame)
        if any(cell.paper and cell.over_vanilla.value for cell in one.cells)
    ]
    return [_section(one, headers, i if len(found) > 1 else None) for i, one in enumerate(found)]


def _section(one: Comparison, headers: Sequence[Mapping[str, Any]], index: int | None) -> Section:
    header = next(header for header in headers if header["run_id"] == one.panel.run_id)
    which, name = "", "paper-table3"
    if index is not None:
        which, name = f": {one.panel.label}, run {one.panel.run_id}", f"{name}-{index + 1}"
    tables = [
        Table(title, ("n", *(f"k={k}" for k in one.ks)), _rows(one, saved, best=best))
        for saved in compared(one)
        for best, title in ((False, over_vanilla(saved)), (True, over_best(one, saved)))
    ]
    return Section(
        title=f"Beside Table 3 of the paper{which}",
        sentences=(*findings(one), *notes(one, header)),
        figures=(_figure(one, name),),
        tables=tuple(tables),
    )


def _rows(one: Comparison, saved: Saved, *, best: bool) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (str(n), *(" ".join(filter(None, text)) for text in row))
        for n, row in grid(one, saved, best=best)
    )


def compared(one: Comparison) -> list[Saved]:
    """Return what a run can be held against the paper in: what it holds any case of."""
    return [
        saved
        for saved in SAVED
        if any(cell.over_vanilla.status != NOT_IN_RUN for cell in one.of(saved))
        or any(cell.over_best.status != NOT_IN_RUN for cell in one.of(saved))
    ]


def over_vanilla(saved: Saved) -> str:
    """Name the table over written-out attention."""
    return f"{NAMES[saved].format(' over vanilla')} (the paper's in brackets)"


def over_best(one: Comparison, saved: Saved) -> str:
    """Name the table over the best exact implementation, and that one if it is always the same."""
    names = _best(one, saved)
    which = f" ({names[0]})" if len(names) == 1 else ""
    return NAMES[saved].format(f" over the best exact implementation{which}")


def _best(one: Comparison, saved: Saved) -> list[str]:
    return sorted({cell.over_best.baseline for cell in one.of(saved) if cell.over_best.baseline})


def grid(one: Comparison, saved: Saved, *, best: bool) -> list[tuple[int, list[Text]]]:
    """Return the rows of a table: n, and the text of the cell at each k.

    Args:
        one: The comparison.
        saved: What is saved.
        best: Over the best exact implementation, not over vanilla.
    """
    cells = {(cell.n, cell.k): cell for cell in one.of(saved)}
    several = best and len(_best(one, saved)) > 1
    rows = []
    for n in one.sizes:
        here = [cells.get((n, k)) for k in one.ks]
        # beside the paper every row stands; elsewhere only what the run holds
        if not best or any(cell and cell.over_best.status != NOT_IN_RUN for cell in here):
            texts = [_text(cell, best=best, named=several) if cell else NOTHING for cell in here]
            rows.append((n, texts))
    return rows


def _text(cell: Cell, *, best: bool, named: bool) -> Text:
    gain = cell.over_best if best else cell.over_vanilla
    beside = f"({_published(cell.paper)})"
    if best:
        beside = gain.baseline if named and gain.baseline else ""
    return _value(gain), _grounds(gain), beside


def _published(value: float | None) -> str:
    """Write a number as the paper does, with two digits."""
    return _DASH if value is None else f"{value:.{1 if value < 10 else 0}f}"


def _value(gain: Gain) -> str:
    if gain.value is not None:
        return numbers.digits(gain.value.value) if gain.value.value else "0"
    if gain.batches is not None:
        return "no ratio"
    return _DASH if gain.status == NOT_IN_RUN else str(gain.status)


def _grounds(gain: Gain) -> str:
    """Write the interval, or the batches, marked where they were extrapolated."""
    if gain.batches is not None:
        return f"{'~' if gain.how == 'extrapolated' else ''}{gain.batches[0]}:{gain.batches[1]}"
    value = gain.value
    if value is None or value.low is None or value.high is None or value.low == value.high:
        return ""
    return f"[{numbers.digits(value.low)}, {numbers.digits(value.high)}]"


def findings(one: Comparison) -> list[str]:
    """Say what was found: how many cells, over vanilla beside the paper, over the best exact."""
    said = []
    for saved in compared(one):
        cells = [cell for cell in one.of(saved) if cell.paper is not None]
        held = [cell for cell in cells if cell.over_vanilla.value]
        text = f"{NAMES[saved].format('')}: {len(held)} of the paper's {len(cells)} cells have a "
        text += "ratio here"
        if held:
            ours = _span(
                [cell.over_vanilla.value.value for cell in held if cell.over_vanilla.value]
            )
            theirs = _span([cell.paper for cell in held if cell.paper])
            text += f", {ours} over vanilla where the paper has {theirs}"
        said.append(f"{text}. {_against_best(one, saved)}")
    return said


def _span(values: Sequence[float]) -> str:
    low, high = numbers.digits(min(values), 2), numbers.digits(max(values), 2)
    return low if low == high else f"{low} to {high}"


def _against_best(one: Comparison, saved: Saved) -> str:
    values = [cell.over_best.value for cell in one.of(saved) if cell.over_best.value]
    if not values:
        return "No fused exact implementation was measured beside it, which is the one to beat."
    less, more = _OUTCOMES[saved]
    counts = {
        less: sum(v.above(1.0) for v in values),
        more: sum(v.below(1.0) for v in values),
        "the same": sum(v.within(1.0, 1.0) for v in values),
    }
    counts["no clear difference"] = len(values) - sum(counts.values())
    parts = words.listed(f"{what} in {count}" for what, count in counts.items() if count)
    return (
        f"Over the best exact implementation ({words.listed(_best(one, saved))}) it is "
        f"{_span([value.value for value in values])} in {words.plural(len(values), 'cell')} (with "
        f"those that the paper lacks): Linformer has {parts}."
    )


def notes(one: Comparison, header: Mapping[str, Any]) -> list[str]:
    """Say what of the comparison can be compared, and what cannot."""
    panel = one.panel
    where = measured_on({**header, "device": panel.device}) or panel.device
    base = all(getattr(panel, name) == value for name, value in ROBERTA_BASE.items())
    shape = "RoBERTa-base's shape" if base else "RoBERTa-base has 12 layers, d_model 768, 12 heads"
    theirs = (
        f"The paper ({SOURCE}): inference with layerwise sharing on one V100 of 16 GB, a full "
        "forward pass on random data; depth, width and precision are not stated there."
    )
    ours = (
        f"Ours: {panel.label} ({shape}), on {where}. Ratios are compared, not seconds, and they "
        "too depend on shape, precision, batch and machine."
    )
    found = [theirs, ours]
    if panel.scope != "encoder":
        found.append(
            f"Ours is scope {panel.scope}, without the feed-forward half of an encoder, which "
            "costs both the same: its ratios lie further from 1 than those of a full forward pass."
        )
    found += HOW_TO_READ
    if "max_batch" in compared(one):
        limit = words.size(one.limit_bytes) if one.limit_bytes else "the limit of its case"
        found.append(
            "Largest batch, as the paper has it: Linformer's : the baseline's, of which weights, "
            f"inputs and the peak of one call fit {limit}. These are counts without noise, coarse "
            "where small; where not one of the baseline's fits, or the limits differ, there is no "
            "ratio. ~ marks pairs that were not both run to the end: one follows from the exact "
            "bytes of smaller batches, or from counts that alone exceed the limit."
        )
    if "bytes" in compared(one):
        batch = f"{panel.tokens} tokens" if panel.tokens else f"batch {panel.batch}"
        found.append(
            f"Bytes: the peak of one call at {batch}, above weights and inputs, and so without "
            "Linformer's E and F, which are weights; beside them the same numbers of the paper."
        )
    found.append(f"{_DASH} stands for what this run, or the paper, does not have.")
    return found


def missing(one: Comparison) -> list[str]:
    """Say which cases of the run gave no measurement, and why."""
    return [
        f"{_TASKS[each.task]}: {each.label} {each.status} at n = {words.listed(each.sizes)}"
        + (": " if len(each.sizes) == 1 else f" (at n = {each.sizes[0]}: ")
        + each.reason
        + ("" if len(each.sizes) == 1 else ")")
        for each in one.missing
    ]


def _figure(one: Comparison, name: str) -> Figure:
    memory: Saved = "max_batch" if one.limit_bytes else "bytes"
    rows = tuple(
        tuple(
            Plot(NAMES[saved].format(f" over {over}"), "sequence length n", "", "ratio", lines)
            for saved in compared(one)
            if saved in ("time", memory) and (lines := _plot_lines(one, saved, best=best))
        )
        for best, over in ((False, "vanilla"), (True, "best exact"))
    )
    return Figure(
        name,
        "Time and memory saved beside the paper's",
        "Filled: ours, with 95 % intervals over rounds (largest batches have none); open, dashed: "
        "the paper's Table 3. Above 1 (the thin line) Linformer wins. The paper has no fused exact "
        "baseline.",
        tuple(row for row in rows if row),
    )


def _plot_lines(one: Comparison, saved: Saved, *, best: bool) -> tuple[Line, ...]:
    lines = []
    for place, k in enumerate(one.ks):
        cells = [cell for cell in one.of(saved) if cell.k == k]
        level = place / max(1, len(one.ks) - 1)
        ours = {
            float(cell.n): value
            for cell in cells
            if (value := (cell.over_best if best else cell.over_vanilla).value) and value.value
        }
        theirs = {float(cell.n): Interval(cell.paper) for cell in cells if cell.paper and not best}
        if ours:
            lines.append(Line(f"k={k}", tuple(ours), tuple(ours.values()), level=level))
        if theirs:
            label = f"paper, k={k}"
            x, y = tuple(theirs), tuple(theirs.values())
            lines.append(Line(label, x, y, level=level, published=True))
    return tuple(lines)
