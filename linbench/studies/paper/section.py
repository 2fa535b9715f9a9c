"""A run beside Table 3 of the Linformer paper, in words, tables and one figure."""

from collections.abc import Sequence
from dataclasses import dataclass

from linbench import words
from linbench.report.content import NONE, Cell, Figure, Line, Plot, Quantity, Section, Table
from linbench.run.record import Header
from linbench.run.runs import Runs
from linbench.stats.interval import Interval
from linbench.studies.labels import EACH_N
from linbench.studies.paper import batches, published
from linbench.studies.paper.batches import SEARCH
from linbench.studies.paper.savings import NOT_IN_RUN, SAVED, Gain, Saved, Saving, Table3
from linbench.studies.paper.table3 import tables_of

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


@dataclass(frozen=True)
class Entry:
    """What a table says of one n and k.

    Attributes:
        gain: Ours.
        beside: What stands beside it, in brackets.
    """

    gain: Gain
    beside: str

    @property
    def value(self) -> str:
        """The ratio, or why there is none."""
        if self.gain.value is not None:
            return words.digits(self.gain.value.value)
        if self.gain.batches is not None:
            return "no ratio"
        return NONE if self.gain.status == NOT_IN_RUN else str(self.gain.status)

    @property
    def grounds(self) -> str:
        """The interval, or the batches, marked where they were extrapolated."""
        gain = self.gain
        if gain.batches is not None:
            return f"{'~' if gain.how == 'extrapolated' else ''}{gain.batches[0]}:{gain.batches[1]}"
        return words.ends(gain.value).strip() if gain.value else ""

    @property
    def cell(self) -> Cell:
        """All of it in one cell."""
        text, value = f"{self.value} {self.grounds}".strip(), self.gain.value
        if value is None:
            return f"{text} {self.beside}".strip()
        return Quantity(value.value, value.low, value.high, words.RATIO, self.beside, text)


def sections(runs: Runs) -> list[Section]:
    """Return a section for each setting of the runs that shares a cell with Table 3.

    The largest batches of a run have one too, whatever they were found for.
    """
    found = [
        table
        for table in tables_of(runs)
        if any(one.paper and one.over_vanilla.value for one in table.savings)
    ]
    sections_ = [
        _section(table, runs.header(table.panel.run_id), i if len(found) > 1 else None)
        for i, table in enumerate(found)
    ]
    for run in runs.runs:
        suffix = f" ({run.run_id})" if len(runs.runs) > 1 else ""
        if listed := batches.table(run):
            sections_.append(Section(f"Largest batches that fit{suffix}", tables=(listed,)))
    return sections_


def _section(table: Table3, header: Header, index: int | None) -> Section:
    which, name = "", "paper-table3"
    if index is not None:
        which, name = f": {table.panel.label}, run {table.panel.run_id}", f"{name}-{index + 1}"
    tables = [
        Table(title, ("n", *(f"k={k}" for k in table.ks)), _rows(table, saved, best=best))
        for saved in compared(table)
        for best, title in ((False, over_vanilla(saved)), (True, over_best(table, saved)))
    ]
    return Section(
        title=f"Beside Table 3 of the paper{which}",
        sentences=(*findings(table), *notes(table, header)),
        figures=(_figure(table, name),),
        tables=tuple(tables),
    )


def _rows(table: Table3, saved: Saved, *, best: bool) -> tuple[tuple[Cell, ...], ...]:
    return tuple(
        (Quantity(n, text=str(n)), *(entry.cell if entry else "" for entry in row))
        for n, row in grid(table, saved, best=best)
    )


def compared(table: Table3) -> list[Saved]:
    """Return what a run can be held against the paper in: what it holds any case of."""
    return [
        saved
        for saved in SAVED
        if any(
            gain.status != NOT_IN_RUN
            for one in table.of(saved)
            for gain in (one.over_vanilla, one.over_best)
        )
    ]


def over_vanilla(saved: Saved) -> str:
    """Name the table over written-out attention."""
    return f"{NAMES[saved].format(' over vanilla')} (the paper's in brackets)"


def over_best(table: Table3, saved: Saved) -> str:
    """Name the table over the best exact implementation, and that one if it is always the same."""
    names = _best(table, saved)
    which = f" ({names[0]})" if len(names) == 1 else ""
    return NAMES[saved].format(f" over the best exact implementation{which}")


def _best(table: Table3, saved: Saved) -> list[str]:
    return sorted({one.over_best.baseline for one in table.of(saved) if one.over_best.baseline})


def grid(table: Table3, saved: Saved, *, best: bool) -> list[tuple[int, list[Entry | None]]]:
    """Return the rows of a table: n, and what it says at each k.

    Args:
        table: The comparison.
        saved: What is saved.
        best: Over the best exact implementation, not over vanilla.
    """
    cells = {(one.n, one.k): one for one in table.of(saved)}
    named = best and len(_best(table, saved)) > 1
    rows = []
    for n in table.sizes:
        here = [cells.get((n, k)) for k in table.ks]
        # beside the paper every row stands; elsewhere only what the run holds
        if not best or any(one and one.over_best.status != NOT_IN_RUN for one in here):
            rows.append((n, [_entry(one, best=best, named=named) if one else None for one in here]))
    return rows


def _entry(one: Saving, *, best: bool, named: bool) -> Entry:
    if best:
        return Entry(one.over_best, f"({one.over_best.baseline})" if named else "")
    # two digits, as the paper has them
    theirs = NONE if one.paper is None else f"{one.paper:.{1 if one.paper < 10 else 0}f}"
    return Entry(one.over_vanilla, f"({theirs})")


def findings(table: Table3) -> list[str]:
    """Say what was found: how many cells, over vanilla beside the paper, over the best exact."""
    said = []
    for saved in compared(table):
        cells = [one for one in table.of(saved) if one.paper is not None]
        held = [one for one in cells if one.over_vanilla.value and one.over_vanilla.value.value]
        text = f"{NAMES[saved].format('')}: {len(held)} of the paper's {len(cells)} cells have a "
        text += "ratio here"
        if held:
            ours = _span([one.over_vanilla.value.value for one in held if one.over_vanilla.value])
            theirs = _span([one.paper for one in held if one.paper])
            text += f", {ours} over vanilla where the paper has {theirs}"
        said.append(f"{text}. {_against_best(table, saved)}")
    return said


def _span(values: Sequence[float]) -> str:
    low, high = words.digits(min(values), 2), words.digits(max(values), 2)
    return low if low == high else f"{low} to {high}"


def _against_best(table: Table3, saved: Saved) -> str:
    values = [one.over_best.value for one in table.of(saved) if one.over_best.value]
    if not values:
        return (
            "No other exact implementation was measured beside it; a fused one is the one to beat."
        )
    less, more = _OUTCOMES[saved]
    counts = {
        less: sum(value.above(1.0) for value in values),
        more: sum(value.below(1.0) for value in values),
        "the same": sum(value.within(1.0, 1.0) for value in values),
    }
    counts["no clear difference"] = len(values) - sum(counts.values())
    parts = words.listed(f"{what} in {count}" for what, count in counts.items() if count)
    return (
        f"Over the best exact implementation ({words.listed(_best(table, saved))}) it is "
        f"{_span([value.value for value in values])} in {words.plural(len(values), 'cell')} "
        f"(including those that the paper lacks): Linformer has {parts}."
    )


def notes(table: Table3, header: Header) -> list[str]:
    """Say what was measured, and what the tables hold."""
    panel, problem = table.panel, table.panel.problem
    where = header.model_copy(update={"device": problem.device}).measured_on or problem.device
    base = all(getattr(problem, name) == x for name, x in published.ROBERTA_BASE.items())
    shape = "RoBERTa-base's shape" if base else "RoBERTa-base has 12 layers, d_model 768, 12 heads"
    measured = (
        f"Measured here: {panel.label} ({shape}), on {where}. The paper ({published.SOURCE}) "
        "measured a full forward pass on one V100 of 16 GB; compare ratios, not seconds. "
        "docs/paper.md says how the paper's numbers came about and how they read."
    )
    found = [measured]
    if problem.scope != "encoder":
        found.append(
            f"Scope {problem.scope} lacks the feed-forward half of an encoder, which costs both "
            "the same: these ratios lie further from 1 than those of a full forward pass."
        )
    if SEARCH in compared(table):
        limit = words.quantity(table.limit_bytes, "byte") if table.limit_bytes else "the limit"
        found.append(
            "Largest batch: Linformer's to the baseline's, of which weights, inputs and the peak "
            f"of one call fit {limit}; ~ marks pairs that were not both run to the end."
        )
    if "bytes" in compared(table):
        batch = f"{problem.tokens} tokens" if problem.tokens else f"batch {problem.batch}"
        found.append(
            f"Bytes: the peak of one call at {batch}, above weights and inputs, beside the same "
            "numbers of the paper."
        )
    found.append(f"{NONE} stands for what this run, or the paper, does not have.")
    return found


def missing(table: Table3) -> list[str]:
    """Say which cases of the run gave no measurement, and why."""
    said = []
    for one in table.missing:
        what = "largest batch" if one.task == SEARCH else "time and bytes"
        where, why = f"n = {words.listed(one.sizes)}", f": {one.reason}"
        if len(one.sizes) > 1:
            why = f" (at n = {one.sizes[0]}{why})"
        said.append(f"{what}: {one.label} {one.status} at {where}{why}")
    return said


def _figure(table: Table3, name: str) -> Figure:
    memory: Saved = SEARCH if table.limit_bytes else "bytes"
    rows = tuple(
        tuple(
            Plot(NAMES[saved].format(f" over {over}"), EACH_N, "", words.RATIO, lines)
            for saved in compared(table)
            if saved in ("time", memory) and (lines := _lines(table, saved, best=best))
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


def _lines(table: Table3, saved: Saved, *, best: bool) -> tuple[Line, ...]:
    lines = []
    for place, k in enumerate(table.ks):
        cells = [one for one in table.of(saved) if one.k == k]
        level = place / max(1, len(table.ks) - 1)
        ours = {
            float(one.n): value
            for one in cells
            if (value := (one.over_best if best else one.over_vanilla).value) and value.value
        }
        theirs = {float(one.n): Interval(one.paper) for one in cells if one.paper and not best}
        if ours:
            lines.append(Line(f"k={k}", tuple(ours), tuple(ours.values()), level=level))
        if theirs:
            label = f"paper, k={k}"
            x, y = tuple(theirs), tuple(theirs.values())
            lines.append(Line(label, x, y, level=level, published=True))
    return tuple(lines)
