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
from linbench.run.metrics import MEMORY, Measurement
from linbench.run.record import Header, Record
from linbench.run.runs import Run


def merge(runs: Mapping[str, Run], name: str) -> Run:
    """Merge runs of the same cases on one machine.

    A run that is itself merged counts as the runs it was made of; one run alone stays as it is.

    Args:
        runs: What to merge, at least one, each with how to name it.
        name: The name of the baseline.

    Returns:
        The baseline.

    Raises:
        UsageError: a run is there twice, machines or cases differ, or a case failed in some only.
    """
    _check(runs)
    found = list(runs.values())
    if len(found) == 1:
        header = found[0].header.model_copy(update={"run_id": name})
        return Run(header, found[0].records)
    sources: list[dict[str, Any]] = []
    records: list[Record] = []
    for run in found:
        offset, merged = len(sources), run.header.merged
        sources += merged or [_source(run.header)]
        for rounds in _rounds(run).values():
            if merged:
                records += [r.model_copy(update={"round": offset + r.round}) for r in rounds]
            else:
                records.append(_as_one(rounds, offset, run.header))
    latest = max((run.header for run in found), key=lambda header: header.created)
    metrics = {metric.name: metric for run in found for metric in run.header.metrics}
    metrics |= {metric.name: metric for metric in latest.metrics}
    update = {"run_id": name, "merged": sources, "metrics": [*metrics.values()]}
    return Run(latest.model_copy(update=update), tuple(records))


def status_of(rounds: Sequence[Record]) -> str:
    """Return `ok` where a case was measured and never failed, else how it failed."""
    failed = [record.status for record in rounds if record.status not in ("ok", "skipped")]
    return failed[0] if failed else max((r.status for r in rounds), key=lambda s: s == "ok")


def _rounds(run: Run) -> dict[str, list[Record]]:
    """Return the records of each case by round; of a round measured twice, the last."""
    by_case = {case_id: {r.round: r for r in own} for case_id, own in run.by_case().items()}
    return {case_id: [own[i] for i in sorted(own)] for case_id, own in by_case.items()}


def _as_one(rounds: list[Record], number: int, header: Header) -> Record:
    """Return the rounds of a case in one run as one record."""
    ok = [record for record in rounds if record.status == "ok"]
    if status_of(rounds) != "ok":
        failed = next(record for record in rounds if record.status == status_of(rounds))
        return failed.model_copy(update={"round": number})
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
    values = [one.value for one in found if one.value is not None]
    if not values:
        return found[-1]
    exact = header.metric(name).noise == "exact"  # a mean of two counts would be no count
    value = (statistics.median_low if exact else statistics.median)(values)
    known = [one for one in found if one.value is not None]
    nearest = min(known, key=lambda one: abs((one.value or 0.0) - value))
    return Measurement(value, values, nearest.source)


def _source(header: Header) -> dict[str, Any]:
    """Return where the numbers of a run come from."""
    own = header.model_dump(
        mode="json", include={"run_id", "created", "linbench", "argv", "git", "code"}
    )
    return {**own, "torch": header.machine.torch}


def _check(runs: Mapping[str, Run]) -> None:
    names = list(runs)
    first = runs[names[0]]
    for i, (name, run) in enumerate(runs.items()):
        if any(run.records == runs[other].records for other in names[:i]):
            raise there_twice(name)
        here, there = run.fingerprint, first.fingerprint
        if here != there:
            raise UsageError(
                f"run '{name}' is of machine {here}, run '{names[0]}' of {there}; a baseline "
                "is of one machine: merge only its runs"
            )
    statuses = {
        name: {case_id: status_of(rounds) for case_id, rounds in _rounds(run).items()}
        for name, run in runs.items()
    }
    expected = statuses[names[0]]
    for name, own in statuses.items():
        for case_id in {**expected, **own}:
            was, now = expected.get(case_id), own.get(case_id)
            if was == now:
                continue
            if was is None or now is None:
                raise UsageError(
                    f"case '{case_id}' is not in run '{name if now is None else names[0]}', but in "
                    "others; sweep the same suite for all of them"
                )
            raise UsageError(
                f"case '{case_id}' is '{was}' in run '{names[0]}' and '{now}' in run '{name}'; "
                "leave out the run that went wrong, or sweep again"
            )


def there_twice(name: str) -> UsageError:
    """Return what to say of a run that is to count twice."""
    return UsageError(
        f"run '{name}' is there twice, expected each run once; a run that counts twice decides "
        "alone"
    )
