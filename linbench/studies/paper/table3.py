"""A run beside Table 3 of the Linformer paper: time and memory saved, cell by cell."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

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
    Gain,
    How,
    Missing,
    Saved,
    Saving,
    Table3,
)

METHOD = attention.BUILTIN["linformer"].mathematics
"""The mathematics of the paper's own attention."""

Key = tuple[str, str, int | None, int]  # task, implementation, k, n


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

    Returns:
        One for each setting that holds, in a forward pass, an exact implementation and Linformer
        with layerwise sharing and learned projections; none where no run has such a setting.
    """
    return [_table(setting) for setting in _settings(runs)]


def _settings(runs: Runs) -> Iterator[_Setting]:
    series = [one for name in (TIME.name, MEMORY.name, SEARCH) for one in runs.series(name)]
    found = {(one.run_id, one.key): one.mathematics for one in series}
    series = [one for one in series if _belongs(one.key, one.mathematics)]
    timed: dict[Panel, list[Record]] = {}
    searched: dict[Panel, list[Record]] = {}
    for run, record in runs.records:
        key = record.case.key("seq", "seed")
        mathematics = found.get((run.run_id, key), _stated(key))
        if _belongs(key, mathematics):
            panel = Panel(run.run_id, run.fingerprint, key.problem)
            if key.task == SEARCH:
                searched.setdefault(_alike(panel), []).append(record)
            elif key.task == DEFAULT_TASK:
                timed.setdefault(panel, []).append(record)
    beside = {_alike(panel) for panel in timed}
    alone: dict[Panel, list[Record]] = {
        _alike(panel, batch=1): [] for panel in searched if panel not in beside
    }
    for panel, records in (timed | alone).items():
        cases: dict[Key, list[Record]] = {}
        for record in (*records, *searched.get(_alike(panel), ())):
            cases.setdefault(_key(record.case), []).append(record)
        own = [one for one in series if one.panel == panel]
        exact = dict.fromkeys(impl for _, impl, k, _ in cases if k is None)
        for candidate in dict.fromkeys(impl for _, impl, k, _ in cases if k) if exact else ():
            kept = {key: some for key, some in cases.items() if key[1] in (candidate, *exact)}
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


def _key(case: Case) -> Key:
    return case.task, str(case.impl), case.k if isinstance(case.k, int) else None, case.seq or 0


def _fused(exact: Mapping[str, None]) -> list[str]:
    rows = (row.name for row in attention.BUILTIN.values() if row.mathematics == EXACT)
    return [name for name in dict.fromkeys([*rows, *exact]) if name != attention.WRITTEN_OUT]


def _table(setting: _Setting) -> Table3:
    cases = setting.cases
    own = {(n, k) for _, _, k, n in cases if k is not None}
    where = sorted(own | set(published.CELLS))
    found = [fit_of(record) for some in cases.values() for record in some]
    limits = {fit.limit_bytes for fit in found if fit}
    return Table3(
        panel=setting.panel,
        candidate=setting.candidate,
        limit_bytes=limits.pop() if len(limits) == 1 else None,
        savings=(
            *_measured(setting, "time", TIME.name, where),
            *(_batches(setting, n, k) for n, k in where),
            *_measured(setting, "bytes", MEMORY.name, where),
        ),
        missing=tuple(_missing(setting)),
    )


def _paper(saved: Saved, n: int, k: int) -> float | None:
    table = published.TIME if saved == "time" else published.MEMORY
    return dict(zip(published.KS, table.get(n, ()), strict=False)).get(k)


def _measured(
    setting: _Setting, saved: Saved, metric: str, where: Sequence[tuple[int, int]]
) -> Iterator[Saving]:
    """Return what is saved of something that was measured in rounds: time, or bytes."""
    series = [one for one in setting.series if one.metric.name == metric]
    exact = [one for one in series if one.is_exact_attention]
    vanilla = [one for one in exact if one.key.impl == attention.WRITTEN_OUT]
    with_fused = {n for one in exact if one not in vanilla for n in one.sizes}
    over_vanilla: dict[tuple[int, object], Ratio] = {}
    over_best: dict[tuple[int, object], Ratio] = {}
    for ours in (one for one in series if one.key.impl == setting.candidate):
        for baseline in vanilla:
            over_vanilla |= {(r.n, ours.key.k): r for r in ratios(baseline, ours)}
        best = ratios_to_best(exact, ours)
        over_best |= {(r.n, ours.key.k): r for r in best if r.n in with_fused}
    for n, k in where:
        over = (
            _of_ratio(found[n, k])
            if (n, k) in found
            else _none(setting, DEFAULT_TASK, n, k, baselines)
            for found, baselines in (
                (over_vanilla, [attention.WRITTEN_OUT]),
                (over_best, setting.fused),
            )
        )
        yield Saving(n, k, saved, _paper(saved, n, k), *over)


def _of_ratio(ratio: Ratio) -> Gain:
    gain = ratio.gain
    exact = gain.bounded and gain.low == gain.high
    return Gain(gain, "exact" if exact else "interval", ratio.baseline.impl)


def _none(setting: _Setting, task: str, n: int, k: int, baselines: Sequence[str]) -> Gain:
    """Say why there is no ratio: what Linformer's case, or those of all baselines, came to."""
    for impls, at in (([setting.candidate], k), (baselines, None)):
        keys = [(task, impl, at, n) for impl in impls]
        held = [setting.cases[key] for key in keys if key in setting.cases]
        if not held:
            reason = f"{' or '.join(impls)} is not in this run at n = {n}"
            return Gain(status=NOT_IN_RUN, reason=reason)
        if not any(_ok(records) for records in held):
            why = failure_record(held[0])
            reason = f"{why.case.impl} {why.status}: {why.reason}"
            return Gain(status=why.status, reason=reason)
    return Gain(status=NO_RATIO, reason="measured, but not this")


def _ok(records: Sequence[Record]) -> list[Record]:
    return [record for record in drop_incorrect(records) if record.status == "ok"]


def _batches(setting: _Setting, n: int, k: int) -> Saving:
    """Return what is saved by the largest batches that fit."""
    written_out = [attention.WRITTEN_OUT]
    return Saving(
        n,
        k,
        SEARCH,
        _paper(SEARCH, n, k),
        _of_batches(setting, n, k, written_out),
        _of_batches(setting, n, k, setting.fused, written_out),
    )


def _of_batches(
    setting: _Setting, n: int, k: int, baselines: Sequence[str], more: Sequence[str] = ()
) -> Gain:
    """Compare the largest batches with that of the best baseline, or of more if it has any."""

    def fits(impl: str, at: int | None = None) -> list[Fit]:
        found = map(fit_of, _ok(setting.cases.get((SEARCH, impl, at, n), ())))
        return [fit for fit in found if fit]

    ours = fits(setting.candidate, k)
    theirs = {impl: some for impl in baselines if (some := fits(impl))}
    if not ours or not theirs:
        return _none(setting, SEARCH, n, k, baselines)
    theirs |= {impl: some for impl in more if (some := fits(impl))}
    limits = {fit.limit_bytes for some in (ours, *theirs.values()) for fit in some}
    if len(limits) > 1:
        differing = " and ".join(map(str, sorted(limit or 0 for limit in limits)))
        reason = f"largest batches for limits of {differing} bytes do not compare"
        return Gain(status=NO_RATIO, reason=reason)
    best = max(theirs, key=lambda impl: theirs[impl][0].batch)
    first, second = ours[0], theirs[best][0]
    how: How = "exact" if first.how == second.how == "measured" else "extrapolated"
    batches = (first.batch, second.batch)
    if not second.batch:
        fitting = f"{first.batch or 'none'} of {setting.candidate}'s do"
        reason = f"not even one sequence fits {best}, {fitting}"
        return Gain(None, how, best, batches, NO_RATIO, reason)
    value = first.batch / second.batch
    return Gain(Interval(value, value, value), how, best, batches)


def _missing(setting: _Setting) -> list[Missing]:
    order = [attention.WRITTEN_OUT, *setting.fused, setting.candidate]
    groups: dict[tuple[str, str, str], dict[int, str]] = {}
    for task, impl, k, n in sorted(
        setting.cases, key=lambda key: (key[0], order.index(key[1]), key[2] or 0, key[3])
    ):
        records = setting.cases[task, impl, k, n]
        if not _ok(records):
            label = impl if k is None else f"{impl} k={k}"
            why = failure_record(records)
            groups.setdefault((task, label, why.status), {})[n] = str(why.reason)
    return [
        Missing(task, label, status, tuple(reasons), next(iter(reasons.values())))
        for (task, label, status), reasons in groups.items()
    ]
