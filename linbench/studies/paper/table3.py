"""A run beside Table 3 of the Linformer paper: time and memory saved, cell by cell."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from linbench import attention
from linbench.run.case import DEFAULT_TASK, Case
from linbench.run.metrics import MEMORY, TIME
from linbench.run.record import Record
from linbench.run.runs import EXACT, Panel, Runs, Series, drop_incorrect, failure_record
from linbench.stats.interval import Interval
from linbench.studies.crossover import Ratio, ratios, ratios_to_best
from linbench.studies.paper import published
from linbench.studies.paper.batches import SEARCH, Fit, fit_of
from linbench.studies.paper.savings import (
    NO_RATIO,
    NOT_IN_RUN,
    SAVED,
    Gain,
    How,
    Missing,
    Saved,
    Saving,
    Table3,
)

METHOD = attention.BUILTIN["linformer"].mathematics
"""The mathematics of the paper's own attention."""

Gains = dict[tuple[int, int], Gain]  # by n and k


class Key(NamedTuple):
    """What tells the cases of a setting apart."""

    task: str
    impl: str
    k: int | None
    n: int


@dataclass(frozen=True)
class _Setting:
    """What a run holds of Linformer and of exact attention at one shape, precision and batch."""

    panel: Panel
    candidate: str
    fused: list[str]  # the exact implementations beside the written-out one, in the run or not
    cases: Mapping[Key, Sequence[Record]]
    series: Sequence[Series]


def tables_of(runs: Runs) -> list[Table3]:
    """Hold runs against Table 3.

    There is one for each setting that holds, in a forward pass, an exact implementation and
    Linformer with layerwise sharing and learned projections.
    """
    return [_table(setting) for setting in _settings(runs)]


def _settings(runs: Runs) -> Iterator[_Setting]:
    series = [one for name in (TIME.name, MEMORY.name, SEARCH) for one in runs.series(name)]
    found = {(one.run_id, one.key): one.mathematics for one in series}
    timed: defaultdict[Panel, list[Record]] = defaultdict(list)
    searched: defaultdict[Panel, list[Record]] = defaultdict(list)
    for run, record in runs.records:
        key = record.case.key("seq", "seed")
        if _belongs(key, found.get((run.run_id, key), _stated(key))):
            panel = Panel(run.run_id, run.fingerprint, key.problem)
            if key.task == SEARCH:
                searched[_alike(panel)].append(record)
            elif key.task == DEFAULT_TASK:
                timed[panel].append(record)
    beside = {_alike(panel) for panel in timed}
    timed |= {_alike(panel, batch=1): [] for panel in searched if panel not in beside}
    for panel, records in timed.items():
        cases: defaultdict[Key, list[Record]] = defaultdict(list)
        for record in (*records, *searched.get(_alike(panel), ())):
            case = record.case
            k = case.k if isinstance(case.k, int) else None
            cases[Key(case.task, str(case.impl), k, case.seq or 0)].append(record)
        own = [one for one in series if one.panel == panel and _belongs(one.key, one.mathematics)]
        exact = dict.fromkeys(key.impl for key in cases if key.k is None)
        for candidate in dict.fromkeys(key.impl for key in cases if key.k) if exact else ():
            kept = {key: some for key, some in cases.items() if key.impl in (candidate, *exact)}
            yield _Setting(panel, candidate, _fused(exact), kept, own)


def _stated(key: Case) -> str | None:
    """Return what the row of an implementation says that it computes."""
    row = attention.known(str(key.impl))
    return row.mathematics if row else None


def _belongs(key: Case, mathematics: str | None) -> bool:
    """Say whether the table is about a case: exact attention, or the paper's own as it was run."""
    if key.mode != "forward" or key.scope == "function":
        return False
    return (mathematics == EXACT and key.k is None) or (
        mathematics == METHOD
        and isinstance(key.k, int)
        and (key.sharing, key.projection) == ("layerwise", "linear")
        and key.order in (None, "auto")
    )


def _alike(panel: Panel, batch: int | None = None) -> Panel:
    """Return what timed calls and searches for the largest batch must share."""
    fixed = {"task": DEFAULT_TASK, "batch": batch, "tokens": None, "settings": None}
    return replace(panel, problem=panel.problem.model_copy(update=fixed))


def _fused(exact: Mapping[str, None]) -> list[str]:
    rows = (row.name for row in attention.BUILTIN.values() if row.mathematics == EXACT)
    return [name for name in dict.fromkeys([*rows, *exact]) if name != attention.WRITTEN_OUT]


def _table(setting: _Setting) -> Table3:
    where = sorted({(key.n, key.k) for key in setting.cases if key.k} | set(published.CELLS))
    fits = [fit_of(record) for records in setting.cases.values() for record in records]
    limits = {fit.limit_bytes for fit in fits if fit}
    return Table3(
        panel=setting.panel,
        candidate=setting.candidate,
        limit_bytes=limits.pop() if len(limits) == 1 else None,
        savings=tuple(cell for saved in SAVED for cell in _savings(setting, saved, where)),
        missing=tuple(_missing(setting)),
    )


def _savings(setting: _Setting, saved: Saved, where: Sequence[tuple[int, int]]) -> Iterator[Saving]:
    task = SEARCH if saved == SEARCH else DEFAULT_TASK
    paper = published.TIME if saved == "time" else published.MEMORY
    if saved == SEARCH:
        over_vanilla, over_best = _of_batches(setting, where)
    else:
        over_vanilla, over_best = _of_rounds(setting, (TIME if saved == "time" else MEMORY).name)
    for n, k in where:
        yield Saving(
            n,
            k,
            saved,
            dict(zip(published.KS, paper.get(n, ()), strict=False)).get(k),
            over_vanilla.get((n, k)) or _none(setting, task, n, k, [attention.WRITTEN_OUT]),
            over_best.get((n, k)) or _none(setting, task, n, k, setting.fused),
        )


def _of_rounds(setting: _Setting, metric: str) -> tuple[Gains, Gains]:
    """Compare time or bytes with vanilla, and with the best exact one where a fused one ran."""
    series = [one for one in setting.series if one.metric.name == metric]
    exact = [one for one in series if one.is_exact_attention]
    vanilla = [one for one in exact if one.key.impl == attention.WRITTEN_OUT]
    with_fused = {n for one in exact if one not in vanilla for n in one.sizes}
    over_vanilla: Gains = {}
    over_best: Gains = {}
    for ours in series:
        k = ours.key.k
        if ours.key.impl == setting.candidate and isinstance(k, int):
            for baseline in vanilla:
                over_vanilla |= {(ratio.n, k): _gain(ratio) for ratio in ratios(baseline, ours)}
            best = ratios_to_best(exact, ours)
            over_best |= {(ratio.n, k): _gain(ratio) for ratio in best if ratio.n in with_fused}
    return over_vanilla, over_best


def _gain(ratio: Ratio) -> Gain:
    gain = ratio.gain
    exact = gain.bounded and gain.low == gain.high
    return Gain(gain, "exact" if exact else "interval", ratio.baseline.impl)


def _of_batches(setting: _Setting, where: Sequence[tuple[int, int]]) -> tuple[Gains, Gains]:
    """Compare the largest batches that fit likewise."""

    def fits(impl: str, k: int | None, n: int) -> list[Fit]:
        found = map(fit_of, _ok(setting.cases.get(Key(SEARCH, impl, k, n), ())))
        return [fit for fit in found if fit]

    over_vanilla: Gains = {}
    over_best: Gains = {}
    for n, k in where:
        ours = fits(setting.candidate, k, n)
        vanilla, fused = (
            {impl: found for impl in impls if (found := fits(impl, None, n))}
            for impls in ([attention.WRITTEN_OUT], setting.fused)
        )
        if ours and vanilla:
            over_vanilla[n, k] = _batch_gain(setting.candidate, ours, vanilla)
        if ours and fused:
            over_best[n, k] = _batch_gain(setting.candidate, ours, fused | vanilla)
    return over_vanilla, over_best


def _batch_gain(candidate: str, ours: list[Fit], theirs: Mapping[str, list[Fit]]) -> Gain:
    limits = {fit.limit_bytes for fits in (ours, *theirs.values()) for fit in fits}
    if len(limits) > 1:
        differing = " and ".join(map(str, sorted(limit or 0 for limit in limits)))
        reason = f"largest batches for limits of {differing} bytes do not compare"
        return Gain(status=NO_RATIO, reason=reason)
    best = max(theirs, key=lambda impl: theirs[impl][0].batch)
    own, other = ours[0], theirs[best][0]
    how: How = "exact" if own.how == other.how == "measured" else "extrapolated"
    batches = (own.batch, other.batch)
    if not other.batch:
        reason = f"not even one sequence fits {best}, {own.batch or 'none'} of {candidate}'s do"
        return Gain(None, how, best, batches, NO_RATIO, reason)
    return Gain(Interval(own.batch / other.batch).exact(), how, best, batches)


def _none(setting: _Setting, task: str, n: int, k: int, baselines: Sequence[str]) -> Gain:
    """Say why there is no ratio: what Linformer's case, or those of all baselines, came to."""
    for impls, at in (([setting.candidate], k), (baselines, None)):
        keys = [Key(task, impl, at, n) for impl in impls]
        held = [setting.cases[key] for key in keys if key in setting.cases]
        if not held:
            reason = f"{' or '.join(impls)} is not in this run at n = {n}"
            return Gain(status=NOT_IN_RUN, reason=reason)
        if not any(map(_ok, held)):
            why = failure_record(held[0])
            reason = f"{why.case.impl} {why.status}: {why.reason}"
            return Gain(status=why.status, reason=reason)
    return Gain(status=NO_RATIO, reason="measured, but not this")


def _ok(records: Sequence[Record]) -> list[Record]:
    return [record for record in drop_incorrect(records) if record.status == "ok"]


def _missing(setting: _Setting) -> list[Missing]:
    order = [attention.WRITTEN_OUT, *setting.fused, setting.candidate]
    groups: defaultdict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for key in sorted(
        setting.cases, key=lambda key: (key.task, order.index(key.impl), key.k or 0, key.n)
    ):
        records = setting.cases[key]
        if not _ok(records):
            label = key.impl if key.k is None else f"{key.impl} k={key.k}"
            why = failure_record(records)
            groups[key.task, label, why.status][key.n] = str(why.reason)
    return [
        Missing(*group, tuple(reasons), next(iter(reasons.values())))
        for group, reasons in groups.items()
    ]
