"""Runs -> what each case measured, and what became of cases that one run did not measure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from linbench.run.case import Case
from linbench.run.metrics import KNOWN, NOISY_SOURCES, Metric
from linbench.run.record import Record
from linbench.run.runs import Reading, Run, Series, series_of
from linbench.studies.gate.findings import (
    OPERATIONS,
    WEIGHTS,
    CaseNote,
    Finding,
    Kind,
    Limits,
    Verdict,
)

INCORRECT = ("error", "incorrect")


@dataclass(frozen=True)
class Measured:
    """One case of one run.

    Attributes:
        case: What was measured.
        status: `ok` where it was measured and never failed, else the worst status.
        reason: Why it is not ok.
        records: The last record of each round that is ok, by round.
        series: What was measured of each metric, weights and operations among them, at this one n.
    """

    case: Case
    status: str
    reason: str
    records: Mapping[int, Record]
    series: Mapping[str, Series]

    @property
    def label(self) -> str:
        """Its configuration in words, with n."""
        return self.case.title

    @property
    def threads(self) -> int | None:
        """Threads of an operation; None where they are not known."""
        timings = (record.detail.timing for record in self.records.values())
        return _last(timing.threads for timing in timings if timing)

    @property
    def weights_bytes(self) -> int | None:
        """Parameters and buffers; None where they are not known."""
        memories = (record.detail.memory for record in self.records.values())
        return _last(memory.weights_bytes for memory in memories if memory)

    @property
    def operations(self) -> int | None:
        """Counted operations; None where there are no counts."""
        counts = (record.detail.costs for record in self.records.values())
        return _last(count.flops for count in counts if count)

    def limit_bytes(self, metric: str) -> int | None:
        """Return the memory that a metric was found under; None where it had no limit."""
        extras = (record.detail.model_extra or {} for record in self.records.values())
        found = (extra.get(metric) for extra in extras)
        return _last(one.get("limit_bytes") for one in found if isinstance(one, Mapping))


def _last(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return known[-1] if known else None


def cases_of(run: Run) -> dict[str, Measured]:
    """Return what each case of a run measured, in the order of the run."""
    return {case_id: _measured(run, records) for case_id, records in run.by_case().items()}


def _measured(run: Run, records: list[Record]) -> Measured:
    by_status = {record.status: record.reason for record in records}
    ok = {record.round: record for record in records if record.status == "ok"}
    # a case that was skipped after some rounds, when the budget ended, has been measured
    ranked = (*INCORRECT, "oom", "timeout", *(("ok", "skipped") if ok else ("skipped",)))
    status = next(status for status in ranked if status in by_status)
    measured = Measured(records[0].case, status, by_status[status] or "", ok, {})
    own = replace(run, records=tuple(records))
    names = dict.fromkeys(name for record in ok.values() for name in record.metrics)
    found = {name: _series(own, measured, run.header.metric(name)) for name in names}
    for metric, count in ((WEIGHTS, measured.weights_bytes), (OPERATIONS, measured.operations)):
        found[metric.name] = None if count is None else _counted(own, measured, metric, count)
    series = {name: one for name, one in found.items() if one is not None}
    return replace(measured, series=series)


def _series(run: Run, measured: Measured, metric: Metric) -> Series | None:
    """Return what was measured of a metric; a count of 0, too, which has no logarithm."""
    found = series_of(run, metric.name)
    if found:
        return found[0]
    values = [
        record.metrics[metric.name]
        for record in measured.records.values()
        if metric.name in record.metrics
    ]
    counted = metric.noise == "exact" and not {one.source for one in values} & set(NOISY_SOURCES)
    none_at_all = counted and any(one.value == 0 for one in values)
    return _counted(run, measured, metric, 0) if none_at_all else None


def _counted(run: Run, measured: Measured, metric: Metric, value: int) -> Series:
    n = measured.case.seq or 0
    key = measured.case.key("seq", "seed")
    return Series(run.run_id, run.fingerprint, key, metric, (Reading(n, 0, value, 0, None),))


@dataclass(frozen=True)
class Pair:
    """Both runs, case by case, and how they are to be compared (see `judge`)."""

    baseline: Run
    candidate: Run
    limits: Limits
    paired: bool
    merged: bool

    @cached_property
    def before(self) -> dict[str, Measured]:
        """What each case of the baseline measured."""
        return cases_of(self.baseline)

    @cached_property
    def after(self) -> dict[str, Measured]:
        """What each case of the candidate measured."""
        return cases_of(self.candidate)

    @property
    def same_machine(self) -> bool:
        """Whether times compare directly."""
        return self.baseline.fingerprint == self.candidate.fingerprint

    @cached_property
    def shared(self) -> list[str]:
        """The cases that were measured in both, in the order of the candidate."""
        return [
            case_id
            for case_id, new in self.after.items()
            if new.status == "ok"
            and (old := self.before.get(case_id)) is not None
            and old.status == "ok"
        ]

    @cached_property
    def metrics(self) -> list[Metric]:
        """The metrics to compare that a case of either run has, the best known first."""
        found = {
            name: series.metric
            for case_id in self.shared
            for measured in (self.before[case_id], self.after[case_id])
            for name, series in measured.series.items()
        }
        order = [*KNOWN, *(name for name in found if name not in KNOWN)]
        return [found[name] for name in order if name in found and self._asked(name)]

    def _asked(self, name: str) -> bool:
        return self.limits.asks(name, *(("memory",) if name == WEIGHTS.name else ()))

    def has(self, cases: Mapping[str, Measured], metric: Metric) -> bool:
        """Whether any case of a run that both measured has a metric."""
        return any(metric.name in cases[case_id].series for case_id in self.shared)

    def finding(self, case_id: str, metric: str, detail: str = "") -> Finding:
        """Return a finding on one case that waits for its verdict."""
        measured = self.after.get(case_id) or self.before[case_id]
        return Finding(case_id, measured.label, measured.case.problem_words, metric, detail=detail)


def statuses(pair: Pair) -> tuple[list[Finding], list[CaseNote]]:
    """Hold what became of each case against what became of it in the baseline.

    Returns:
        A finding for each case that got worse, and notes on those that cannot be compared.
    """
    worse, notes = [], []
    for case_id in dict.fromkeys([*pair.before, *pair.after]):
        old, new = pair.before.get(case_id), pair.after.get(case_id)
        was, now = (old.status if old else "absent"), (new.status if new else "absent")
        reason = (new and new.reason) or (old and old.reason)
        said = f"{was} → {now}" + (f": {reason}" if reason else "")
        verdict = _worse(was, now, same_machine=pair.same_machine)
        finding = pair.finding(case_id, "status", said)
        if verdict == "regression":
            worse.append(replace(finding, verdict=verdict))
        elif verdict:
            worse.append(replace(finding, detail=f"{said}; the machines differ"))
        elif pair.paired and was in INCORRECT:
            # measured just now: more likely its checkout lacks something than that it was broken
            detail = f"{said}; the reference does not work here, so that nothing is compared"
            worse.append(replace(finding, detail=detail))
        elif was == "absent":
            notes.append(CaseNote(case_id, finding.label, "new", now))
        elif was != "ok":
            notes.append(CaseNote(case_id, finding.label, _kind(was, now), said))
    return worse, notes


def _kind(was: str, now: str) -> Kind:
    if now == "ok":
        return "mended"
    return "not measured" if {was, now} & {"skipped", "absent"} else "failed in both"


def _worse(was: str, now: str, *, same_machine: bool) -> Verdict | None:
    """Judge a change of status; None where it is no change for the worse.

    Memory and speed of another machine can make a case fail that did not, so that only a wrong or
    a missing case is a regression there.
    """
    if now in INCORRECT and was not in INCORRECT:
        return "regression"
    if was != "ok" or now == "ok":
        return None
    return "regression" if same_machine or now == "absent" else "inconclusive"
