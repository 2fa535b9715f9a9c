"""Several runs -> one baseline, in which each run is one round.

A run's record of a case becomes one record: its `seconds` are the medians of its rounds, so that
the record's typical value is the median of the run. The baseline's typical value is the median over
runs, which no lucky run decides, and its noise is how runs differ, which rounds of one run do not
know.
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from linbench.errors import UsageError
from linbench.record import Header, Record

MERGED = "merged"
"""Key of the header with the runs that were merged, in the order of the rounds."""


@dataclass(frozen=True)
class Run:
    """A run that is to be merged, and how to name it."""

    name: str
    header: Header
    records: tuple[Record, ...]

    def by_case(self) -> dict[str, list[Record]]:
        """Return the records of each case; of a round measured twice, the last."""
        found: dict[str, dict[int, Record]] = {}
        for record in self.records:
            found.setdefault(record.case_id, {})[record.round] = record
        return {case_id: [rounds[i] for i in sorted(rounds)] for case_id, rounds in found.items()}


def is_merged(header: Mapping[str, Any]) -> bool:
    """Say whether the rounds of a run, of which this is the header, are whole runs."""
    return bool(header.get(MERGED))


def merge(runs: Sequence[Run], name: str) -> tuple[Header, list[Record]]:
    """Merge runs of the same cases on one machine.

    A run that is itself merged counts as the runs it was made of; one run alone stays as it is.

    Args:
        runs: What to merge, at least one.
        name: The name of the baseline.

    Returns:
        The header and the records of the baseline.

    Raises:
        UsageError: a run is there twice, machines or cases differ, or a case failed in some only.
    """
    _check(runs)
    if len(runs) == 1:
        return runs[0].header.model_copy(update={"run_id": name}), list(runs[0].records)
    latest = max(runs, key=lambda run: run.header.created).header
    sources: list[dict[str, Any]] = []
    records: list[Record] = []
    for run in runs:
        offset = len(sources)
        already = is_merged(run.header.model_dump())
        sources += run.header.model_dump()[MERGED] if already else [_source(run)]
        for rounds in run.by_case().values():
            if already:
                records += [r.model_copy(update={"round": offset + r.round}) for r in rounds]
            else:
                records.append(_as_one(rounds, offset))
    return latest.model_copy(update={"run_id": name, MERGED: sources}), records


def status_of(rounds: Sequence[Record]) -> str:
    """Return `ok` where a case was measured and never failed, else how it failed."""
    failed = [record.status for record in rounds if record.status not in ("ok", "skipped")]
    return failed[0] if failed else max((r.status for r in rounds), key=lambda s: s == "ok")


def _as_one(rounds: list[Record], number: int) -> Record:
    """Return the rounds of a case in one run as one record."""
    ok = [record for record in rounds if record.status == "ok"]
    if status_of(rounds) != "ok":
        failed = next(record for record in rounds if record.status == status_of(rounds))
        return failed.model_copy(update={"round": number})
    by_memory = sorted(ok, key=lambda record: (record.memory and record.memory.peak_bytes) or 0)
    energies = [record.energy_j for record in ok if record.energy_j is not None]
    durations = [record.duration_s for record in ok if record.duration_s is not None]
    return by_memory[(len(ok) - 1) // 2].model_copy(
        update={
            "round": number,
            "seconds": [statistics.median(record.seconds) for record in ok if record.seconds],
            "energy_j": statistics.median(energies) if energies else None,
            "clocks": None,
            "warnings": list(dict.fromkeys(w for record in ok for w in record.warnings)),
            "started": ok[0].started,
            "duration_s": sum(durations) if durations else None,
        }
    )


def _source(run: Run) -> dict[str, Any]:
    """Return where the numbers of a run come from."""
    head = run.header
    return {
        "run_id": head.run_id, "created": head.created, "linbench": head.linbench,
        "argv": head.argv, "git": head.git, "code": head.code, "torch": head.machine.torch,
    }  # fmt: skip


def _check(runs: Sequence[Run]) -> None:
    first = runs[0]
    for i, run in enumerate(runs):
        if any(run.records == other.records for other in runs[:i]):
            raise UsageError(
                f"run '{run.name}' is there twice, expected each run once; a run that counts twice "
                "decides alone"
            )
        here, there = run.header.machine.fingerprint, first.header.machine.fingerprint
        if here != there:
            raise UsageError(
                f"run '{run.name}' is of machine {here}, run '{first.name}' of {there}; a baseline "
                "is of one machine: merge only its runs"
            )
    statuses = [{c: status_of(rounds) for c, rounds in run.by_case().items()} for run in runs]
    for run, own in zip(runs, statuses, strict=True):
        for case_id in {**statuses[0], **own}:
            was, now = statuses[0].get(case_id), own.get(case_id)
            if was == now:
                continue
            if was is None or now is None:
                without = run.name if now is None else first.name
                raise UsageError(
                    f"case '{case_id}' is not in run '{without}', but in others; sweep the same "
                    "suite for all of them"
                )
            raise UsageError(
                f"case '{case_id}' is '{was}' in run '{first.name}' and '{now}' in run "
                f"'{run.name}'; leave out the run that went wrong, or sweep again"
            )
