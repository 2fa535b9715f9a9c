"""A run beside Table 3 of the Linformer paper, in words, tables and one figure."""

from collections.abc import Iterator, Sequence

from linbench import words
from linbench.report.content import NONE, Cell, Figure, Line, Plot, Quantity, Section, Table, whole
from linbench.run.record import Header
from linbench.run.runs import Runs
from linbench.stats.interval import Interval
from linbench.studies.labels import EACH_N
from linbench.studies.paper import batches, published
from linbench.studies.paper.batches import SEARCH
from linbench.studies.paper.savings import NOT_IN_RUN, SAVED, Gain, Saved, Table3
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

Grid = dict[int, dict[int, tuple[Gain, str]]]
"""By n and k a gain with what stands beside it in brackets."""


def texts(gain: Gain) -> tuple[str, str]:
    """Write a gain: the ratio or why there is none; its interval, or the batches it is of."""
    if gain.value is not None:
        value = words.digits(gain.value.value)
    else:
        value = NONE if gain.status == NOT_IN_RUN else str(gain.status)
    if gain.batches is not None:
        about = "~" if gain.how == "extrapolated" else ""
        return value, f"{about}{gain.batches[0]}:{gain.batches[1]}"
    return value, words.ends(gain.value).strip() if gain.value else ""


def _cell(gain: Gain, mark: str) -> Cell:
    text, value = " ".join(filter(None, texts(gain))), gain.value
    if value is None:
        return f"{text} {mark}".strip()
    return Quantity(value.value, value.low, value.high, words.RATIO, mark, text)


def sections(runs: Runs) -> list[Section]:
    """Return a section for each setting of the runs that shares a cell with Table 3.

    The largest batches of a run have one too, whatever they were found for.
    """
    found = [
        table
        for table in tables_of(runs)
        if any(cell.paper and cell.over_vanilla.value for cell in table.savings)
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
    tables = (
        Table(
            title,
            ("n", *(f"k={k}" for k in table.ks)),
            tuple(
                (whole(n), *(_cell(*row[k]) if k in row else "" for k in table.ks))
                for n, row in grid.items()
            ),
        )
        for title, grid in grids(table)
    )
    return Section(
        title=f"Beside Table 3 of the paper{which}",
        sentences=(*findings(table), *notes(table, header)),
        figures=(_figure(table, name),),
        tables=tuple(tables),
    )


def compared(table: Table3) -> list[Saved]:
    """Return what a run can be held against the paper in: what it holds any case of."""
    return [
        saved
        for saved in SAVED
        if any(
            gain.status != NOT_IN_RUN
            for cell in table.of(saved)
            for gain in (cell.over_vanilla, cell.over_best)
        )
    ]


def _best(table: Table3, saved: Saved) -> list[str]:
    return sorted({cell.over_best.baseline for cell in table.of(saved) if cell.over_best.baseline})


def grids(table: Table3) -> Iterator[tuple[str, Grid]]:
    """Return the title and cells of each table: over vanilla beside the paper, over the best exact.

    The best one is named in the title, or in each cell where it is not always the same.
    """
    for saved in compared(table):
        names = _best(table, saved)
        over_vanilla: Grid = {n: {} for n in table.sizes}
        over_best: Grid = {n: {} for n in table.sizes}
        for cell in table.of(saved):
            # two digits, as the paper has them
            theirs = NONE if cell.paper is None else f"{cell.paper:.{1 if cell.paper < 10 else 0}f}"
            over_vanilla[cell.n][cell.k] = cell.over_vanilla, f"({theirs})"
            best = cell.over_best
            mark = f"({best.baseline})" if best.baseline and len(names) > 1 else ""
            over_best[cell.n][cell.k] = best, mark
        yield f"{NAMES[saved].format(' over vanilla')} (the paper's in brackets)", over_vanilla
        which = f" ({names[0]})" if len(names) == 1 else ""
        # beside the paper every row stands; here only what the run holds
        held = {
            n: row
            for n, row in over_best.items()
            if any(gain.status != NOT_IN_RUN for gain, _ in row.values())
        }
        yield NAMES[saved].format(f" over the best exact implementation{which}"), held


def findings(table: Table3) -> list[str]:
    """Say what was found: how many cells, over vanilla beside the paper, over the best exact."""
    said = []
    for saved in compared(table):
        cells = [(cell.paper, cell.over_vanilla.value) for cell in table.of(saved) if cell.paper]
        held = [(paper, ours) for paper, ours in cells if ours and ours.value]
        sure = [(paper, ours.value) for paper, ours in held if not words.vague(ours)]
        text = f"{NAMES[saved].format('')}: {len(held)} of the paper's {len(cells)} cells have a "
        text += "ratio here"
        if sure:
            theirs, ours = map(_span, zip(*sure, strict=True))
            text += f", {ours} over vanilla where the paper has {theirs}"
        if len(sure) < len(held):
            text += f"{' and' if sure else ','} {_unknown(len(held) - len(sure))}"
        said.append(f"{text}. {_against_best(table, saved)}")
    return said


def _span(values: Sequence[float]) -> str:
    low, high = words.digits(min(values), 2), words.digits(max(values), 2)
    return low if low == high else f"{low} to {high}"


def _unknown(count: int) -> str:
    """Say of how many cells the ratio is not known, which a range leaves out."""
    return f"unknown within a factor of 100 in {words.plural(count, 'cell')}"


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
    sure = [value.value for value in values if not words.vague(value)]
    spans = [f"{_span(sure)} in {words.plural(len(sure), 'cell')}"] if sure else []
    if len(sure) < len(values):
        spans.append(_unknown(len(values) - len(sure)))
    return (
        f"Over the best exact implementation ({words.listed(_best(table, saved))}) it is "
        f"{words.listed(spans)} (including those that the paper lacks): Linformer has {parts}."
    )


def notes(table: Table3, header: Header) -> list[str]:
    """Say what was measured, and what the tables hold."""
    problem = table.panel.problem
    where = header.model_copy(update={"device": problem.device}).measured_on or problem.device
    base = all(getattr(problem, name) == x for name, x in published.ROBERTA_BASE.items())
    shape = "RoBERTa-base's shape" if base else "RoBERTa-base has 12 layers, d_model 768, 12 heads"
    measured = (
        f"Measured here: {table.panel.label} ({shape}), on {where}. The paper ({published.SOURCE}) "
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
        cells = [cell for cell in table.of(saved) if cell.k == k]
        gains = {cell.n: (cell.over_best if best else cell.over_vanilla).value for cell in cells}
        ours = {n: gain for n, gain in gains.items() if gain and gain.value}
        theirs = {cell.n: Interval(cell.paper) for cell in cells if cell.paper and not best}
        for label, points in ((f"k={k}", ours), (f"paper, k={k}", theirs)):
            if points:
                x, y = tuple(map(float, points)), tuple(points.values())
                level, published_ = place / max(1, len(table.ks) - 1), points is theirs
                lines.append(Line(label, x, y, level=level, published=published_))
    return tuple(lines)
