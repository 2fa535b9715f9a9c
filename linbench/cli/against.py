"""What `linbench gate --against` does: measure a commit and the working tree in one sweep."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from linbench.cli.common import warn_if_busy
from linbench.cli.grid import Grid, device_of

if TYPE_CHECKING:
    from linbench.run.record import Record
    from linbench.run.runs import Run
    from linbench.studies.gate import Gate, Limits

SUITE = "ci"
MOST_ROUNDS = 108


def measured_against(
    ref: str, suite: str | None, grid: Grid, limits: "Limits", out: Path, *, quiet: bool
) -> "tuple[Gate, tuple[Path, Path], Run]":
    """Measure both versions round by round and judge them.

    Args:
        ref: The commit to hold the working tree against.
        suite: What to measure; None: the suite 'ci'.
        grid: Flags that override it.
        limits: How much worse the working tree may be.
        out: Folder for the two run files.
        quiet: Whether to show no progress.

    Returns:
        The verdict, the run files of candidate and reference, and the run of the candidate.

    Raises:
        UsageError: see `linbench.plan.versions`.
    """
    from linbench.cli.progress import Progress
    from linbench.executors.local import Local
    from linbench.plan import measure, provenance, versions
    from linbench.plan import suite as suites
    from linbench.plan.against import until_decided
    from linbench.plan.schedule import Plan, Schedule
    from linbench.run.journal import Journal
    from linbench.run.runs import Run
    from linbench.studies.gate.looks import Looks, looks_within

    chosen = suites.load(suite or SUITE, {"rounds": MOST_ROUNDS, "budget": "5m", **grid})
    device = device_of(chosen)
    name = provenance.run_id("gate")
    busy = warn_if_busy()
    looks = Looks(limits, looks_within(chosen.rounds))
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(versions.checkout(ref))
        versions.check(chosen, both)
        cases, _ = suites.expand(chosen, device)
        pools, journals = [], []
        for version, other, role in zip(both, both[::-1], ("reference", "candidate"), strict=True):
            local = Local(chosen, device, version=version, forbidden_root=other.root)
            pools.append(stack.enter_context(local))
            header = provenance.header(f"{name}-{role}", chosen, device, busy, version)
            journal = Journal.create(out / f"{name}-{role}.jsonl", header)
            journals.append(stack.enter_context(journal))

        def run_of(journal: Journal) -> Run:
            return Run(journal.header, tuple(journal.records))

        def judged() -> "Gate":
            return looks.judge(*map(run_of, journals))

        def keep(version: int, record: "Record") -> None:
            journals[version].append(record)
            if version == 1 or record.status not in ("ok", "skipped"):
                progress.took(record)

        schedule = Schedule(
            cases,
            Plan(chosen.rounds, chosen.budget, chosen.case_timeout, seed=chosen.seed),
            metrics=chosen.metrics,
            cases_to_continue=until_decided(looks.looks, lambda: judged().undecided),
            sure_only=True,
            versions=2,
        )
        progress = stack.enter_context(Progress(schedule, quiet=quiet))
        measure.run(schedule, pools, keep, progress.visiting)
        gate = judged()
    label = f"{both[1].label} against {both[0].label}, interleaved"
    reference, candidate = journals
    commit = reference.header.git
    if commit and commit == candidate.header.git and not commit.dirty:
        label += ": the same commit without a change, so that only noise was compared"
    found = replace(gate, notes=(*gate.notes, label))
    return found, (candidate.path, reference.path), run_of(candidate)
