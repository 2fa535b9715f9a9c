"""Runs -> what each case measured, and what became of cases that one run did not measure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from linbench.run.case import Case
from linbench.run.metrics import KNOWN, NOISY_SOURCES, Metric
from linbench.run.record import Detail, Record, Status
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
# a case that was skipped after some rounds, when the budget ended, has been measured
_WORST_FIRST = (*INCORRECT, "oom", "timeout", "ok", "skipped")


@dataclass(frozen=True)
class Measured:
    """One case of one run: its worst status with the reason, and what was measured at this one n.

    The records are the last of each round that is ok; weights and operations have series, too.
    """

    case: Case
    status: Status
    reason: str
    records: Mapping[int, Record]
    series: Mapping[str, Series]


def cases_of(run: Run) -> dict[str, Measured]:
    """Return what each case of a run measured, in the order of the run."""
    return {case_id: _measured(run, records) for case_id, records in run.by_case().items()}


def _measured(run: Run, records: list[Record]) -> Measured:
    case = records[0].case
    ok = {record.round: record for record in records if record.status == "ok"}
    own = replace(run, records=tuple(records))
    series: dict[str, Series] = {}

    def count(metric: Metric, value: int | None) -> None:
        if value is not None:
            reading = Reading(case.seq or 0, 0, float(value), 0, None)
            key = case.key("seq", "seed")
            series[metric.name] = Series(run.run_id, run.fingerprint, key, metric, (reading,))

    for name in dict.fromkeys(name for record in ok.values() for name in record.metrics):
        metric = run.header.metric(name)
        found = [record.metrics[name] for record in ok.values() if name in record.metrics]
        zero = all(one.value == 0 and one.source not in NOISY_SOURCES for one in found)
        if with_logs := series_of(own, name):
            series[name] = with_logs[0]
        elif zero and metric.noise == "exact":
            count(metric, 0)
    count(WEIGHTS, known(ok, lambda d: d.memory.weights_bytes if d.memory else None))
    count(OPERATIONS, known(ok, lambda d: d.costs.flops if d.costs else None))
    worst = worst_of(records)
    return Measured(case, worst.status, worst.reason or "", ok, series)


def worst_of(records: Iterable[Record]) -> Record:
    """Return the record that says what became of a case: `ok` if it was measured and never failed.

    Of records with the same status it is the last.
    """
    by_status = {record.status: record for record in records}
    return min(by_status.values(), key=lambda record: _WORST_FIRST.index(record.status))


def known(records: Mapping[int, Record], find: Callable[[Detail], int | None]) -> int | None:
    """Return what the last of a case's rounds to know it says."""
    values = [find(record.detail) for record in records.values()]
    return next((value for value in reversed(values) if value is not None), None)


@dataclass(frozen=True)
class Pair:
    """Both runs, case by case, and how they are to be compared (see `judge`)."""

    baseline: Run
    candidate: Run
    limits: Limits
    paired: bool

    @property
    def merged(self) -> bool:
        """Whether each round of the baseline is a whole run (`linbench.studies.gate.merge`)."""
        return bool(self.baseline.header.merged)

    @cached_property
    def both(self) -> tuple[dict[str, Measured], dict[str, Measured]]:
        """What each case measured, in the baseline and in the candidate."""
        return cases_of(self.baseline), cases_of(self.candidate)

    @property
    def same_machine(self) -> bool:
        """Whether times compare directly."""
        return self.baseline.fingerprint == self.candidate.fingerprint

    @cached_property
    def shared(self) -> list[str]:
        """The cases that were measured in both, in the order of the candidate."""
        before, after = self.both
        common = [case_id for case_id in after if case_id in before]
        return [i for i in common if before[i].status == after[i].status == "ok"]

    @cached_property
    def metrics(self) -> list[Metric]:
        """The metrics to compare that a case of either run has, the best known first."""
        found = {
            name: series.metric
            for case_id in self.shared
            for cases in self.both
            for name, series in cases[case_id].series.items()
        }
        asked = {name: metric for name, metric in found.items() if self.limits.asks(name)}
        return [asked[name] for name in {**KNOWN, **asked} if name in asked]

    def is_relative(self, metric: Metric) -> bool:
        """Whether a metric compares only as a multiple of the anchor's, as the machines differ."""
        return metric.machine_bound and not self.same_machine

    def is_anchor(self, case_id: str) -> bool:
        """Whether a case is of the implementation (or whole configuration) that is the anchor."""
        case = self.both[1][case_id].case
        return self.limits.anchor in (case.impl, case.label)

    def finding(self, case_id: str, metric: str, detail: str = "") -> Finding:
        """Return a finding on one case that waits for its verdict."""
        before, after = self.both
        case = (after.get(case_id) or before[case_id]).case
        return Finding(case_id, case.title, case.problem_words, metric, detail=detail)


def statuses(pair: Pair) -> tuple[list[Finding], list[CaseNote]]:
    """Hold what became of each case against what became of it in the baseline.

    Returns:
        A finding for each case that got worse, and notes on those that cannot be compared.
    """
    worse, notes = [], []
    before, after = pair.both
    for case_id in before | after:
        found = [cases.get(case_id) for cases in pair.both]
        was, now = (one.status if one else "absent" for one in found)
        reason = next((one.reason for one in reversed(found) if one and one.reason), None)
        said = f"{was} → {now}" + (f": {reason}" if reason else "")
        finding = pair.finding(case_id, "status", said)
        verdict = _worse(was, now, same_machine=pair.same_machine)
        if verdict:
            more = "; the machines differ" if verdict == "inconclusive" else ""
            worse.append(replace(finding, verdict=verdict, detail=said + more))
        elif pair.paired and was in INCORRECT:
            # measured just now: more likely its checkout lacks something than that it was broken
            detail = f"{said}; the reference does not work here, so that nothing is compared"
            worse.append(replace(finding, detail=detail))
        elif was == "absent":
            notes.append(CaseNote(case_id, finding.label, "new", now))
        elif was != "ok":
            unmeasured = {was, now} & {"skipped", "absent"}
            kind: Kind = "not measured" if unmeasured else "failed in both"
            notes.append(CaseNote(case_id, finding.label, "mended" if now == "ok" else kind, said))
    return worse, notes


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
