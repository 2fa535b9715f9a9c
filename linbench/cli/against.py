"""What `linbench gate --against` does: measure a commit and the working tree in one sweep."""

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linbench.gate import Gate, Limits

SUITE = "ci"
MOST_ROUNDS = 108


def measured_against(
    ref: str,
    suite: str | None,
    settings: dict[str, Any],
    limits: "Limits",
    out: Path,
    *,
    quiet: bool,
) -> "tuple[Gate, tuple[Path, Path]]":
    """Measure both versions round by round and judge them.

    Args:
        ref: The commit to hold the working tree against.
        suite: What to measure; None: the suite 'ci'.
        settings: Flags that override it.
        limits: How much worse the working tree may be.
        out: Folder for the two run files.
        quiet: Whether to show no progress.

    Returns:
        The verdict, and the run files of candidate and reference.

    Raises:
        UsageError: see `linbench.versions`.
    """
    from linbench import against, provenance, versions
    from linbench import suite as suites
    from linbench.cli.common import warn_if_busy
    from linbench.cli.grid import device_of
    from linbench.cli.progress import Progress
    from linbench.executors.local import Local
    from linbench.gate.verdicts import ALPHA
    from linbench.journal import Journal
    from linbench.probes import machine
    from linbench.runner import Plan
    from linbench.suite import expand

    chosen = suites.load(suite or SUITE, {"rounds": MOST_ROUNDS, "budget": "5m", **settings})
    device = device_of(chosen)
    name = provenance.run_id("gate")
    busy = warn_if_busy()
    with contextlib.ExitStack() as stack:
        both = stack.enter_context(versions.beside(ref))
        versions.check(chosen, both)
        cases, _ = expand(chosen, device)
        sides = []
        for version, other, role in zip(both, both[::-1], ("reference", "candidate"), strict=True):
            measure = stack.enter_context(
                Local(
                    chosen.plugins,
                    {"keep_pages": chosen.keep_pages},
                    chosen.case_timeout,
                    version=version,
                    not_from=other.root,
                )
            )
            header = provenance.header(f"{name}-{role}", chosen, device, busy, version)
            journal = Journal.create(out / f"{name}-{role}.jsonl", header)
            sides.append((measure, stack.enter_context(journal)))
        # what the runner sees of a round is both versions together
        plan = Plan(chosen.rounds, chosen.budget, 2 * chosen.case_timeout, seed=chosen.seed)
        looks = against.looks_within(chosen.rounds)
        progress = stack.enter_context(Progress(chosen, len(cases), quiet=quiet))
        gate = against.measure(
            cases,
            plan,
            against.Sides(sides[0], sides[1], limits, ALPHA, looks),
            free_bytes=machine.free_bytes(device),
            visiting=progress.visiting,
            took=progress.took,
        )
    label = f"{both[1].label} against {both[0].label}, interleaved"
    (_, reference), (_, candidate) = sides
    if (commit := reference.header.git) and commit == candidate.header.git and not commit["dirty"]:
        label += ": the same commit without a change, so that only noise was compared"
    return replace(gate, notes=(*gate.notes, label)), (candidate.path, reference.path)
