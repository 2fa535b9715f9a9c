"""Several runs -> one baseline, in which each run is one round.

A run's records of a case become one record: the samples of a metric are its values by round, so
that the record's value is the median of the run. The baseline's typical value is the median over
runs, which no lucky run decides, and its noise is how runs differ, which rounds of one run do not
know.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from linbench.errors import UsageError
from linbench.run.metrics import MEMORY, Measurement, Metric
from linbench.run.record import Header, Record
from linbench.run.runs import Run
from linbench.studies.gate.cases import worst_of


def merge(runs: Mapping[str, Run], name: str) -> Run:
    """Merge runs of the same cases on one machine.

    A run that is itself merged counts as the runs it was made of; one run alone stays as it is.

    Args:
        runs: What to merge, at least one, each with how to name it.
        name: The name of the baseline.

    Raises:
        UsageError: a run is there twice, machines or cases differ, or a case failed in some only.
    """
    _check(runs)
    headers = [run.header for run in runs.values()]
    latest = max(headers, key=lambda header: header.created)
    if len(runs) == 1:
        (run,) = runs.values()
        return Run(latest.model_copy(update={"run_id": name}), run.records)
    sources: list[dict[str, Any]] = []
    records: list[Record] = []
    for run in runs.values():
        offset, merged = len(sources), run.header.merged
        sources += merged or [_source(run.header)]
        for rounds in _rounds(run).values():
            if merged:
                records += [r.model_copy(update={"round": offset + r.round}) for r in rounds]
            else:
                records.append(_as_one(rounds, offset, run.header))
    metrics = {metric.name: metric for header in (*headers, latest) for metric in header.metrics}
    update = {"run_id": name, "merged": sources, "metrics": [*metrics.values()]}
    return Run(latest.model_copy(update=update), tuple(records))


def there_twice(name: str) -> UsageError:
    """Return what to say of a run that is to count twice."""
    return UsageError(
        f"run '{name}' is there twice, expected each run once; a run that counts twice decides "
        "alone"
    )


def _check(runs: Mapping[str, Run]) -> None:
    first, *names = runs
    for i, name in enumerate(names, 1):
        if any(runs[name].records == runs[other].records for other in [*runs][:i]):
            raise there_twice(name)
        here, there = runs[name].fingerprint, runs[first].fingerprint
        if here != there:
            raise UsageError(
                f"run '{name}' is of machine {here}, run '{first}' of {there}; a baseline "
                "is of one machine: merge only its runs"
            )
    metrics: dict[str, Metric] = {}
    for name, run in runs.items():
        for metric in run.header.metrics:
            if metrics.setdefault(metric.name, metric) != metric:
                raise UsageError(
                    f"run '{name}' describes the metric '{metric.name}' otherwise than those "
                    "before it (unit, better, scale or noise); merge only runs that agree"
                )
    expected, *others = (
        {case_id: worst_of(rounds).status for case_id, rounds in _rounds(run).items()}
        for run in runs.values()
    )
    for name, own in zip(names, others, strict=True):
        for case_id in expected | own:
            was, now = expected.get(case_id), own.get(case_id)
            if was is None or now is None:
                raise UsageError(
                    f"case '{case_id}' is not in run '{name if now is None else first}', but in "
                    "others; sweep the same suite for all of them"
                )
            if was != now:
                raise UsageError(
                    f"case '{case_id}' is '{was}' in run '{first}' and '{now}' in run '{name}'; "
                    "leave out the run that went wrong, or sweep again"
                )


def _source(header: Header) -> dict[str, Any]:
    """Return where the numbers of a run come from."""
    own = {"run_id", "created", "linbench", "argv", "git", "code"}
    return {**header.model_dump(mode="json", include=own), "torch": header.machine.torch}


def _rounds(run: Run) -> dict[str, list[Record]]:
    """Return the records of each case by round; of a round measured twice, the last."""
    by_case = {case_id: {r.round: r for r in own} for case_id, own in run.by_case().items()}
    return {case_id: [own[i] for i in sorted(own)] for case_id, own in by_case.items()}


def _as_one(rounds: list[Record], number: int, header: Header) -> Record:
    """Return the rounds of a case in one run as one record."""
    worst = worst_of(rounds)
    if worst.status != "ok":
        return worst.model_copy(update={"round": number})
    ok = [record for record in rounds if record.status == "ok"]
    names = dict.fromkeys(name for record in ok for name in record.metrics)
    durations = [record.duration_s for record in ok if record.duration_s is not None]
    # details tell where memory went, so that they are those of the round with the median peak
    middle = sorted(ok, key=lambda record: record.value(MEMORY.name) or 0)[(len(ok) - 1) // 2]
    return middle.model_copy(
        update={
            "round": number,
            "metrics": {name: _typical(ok, name, header) for name in names},
            "detail": middle.detail.model_copy(update={"clocks": None}),
            "warnings": list(dict.fromkeys(w for record in ok for w in record.warnings)),
            "started": ok[0].started,
            "duration_s": sum(durations) if durations else None,
        }
    )


def _typical(records: Sequence[Record], name: str, header: Header) -> Measurement:
    """Return what the rounds of a case gave for a metric: their median, and their values."""
    found = [record.metrics[name] for record in records if name in record.metrics]
    known = {one.value: one for one in reversed(found) if one.value is not None}
    if not known:
        return found[-1]
    values = [one.value for one in found if one.value is not None]
    exact = header.metric(name).noise == "exact"  # a mean of two counts would be no count
    typical = (statistics.median_low if exact else statistics.median)(values)
    nearest = min(values, key=lambda value: abs(value - typical))
    return Measurement(typical, values, known[nearest].source)
