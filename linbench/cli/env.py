"""`linbench env`: the machine as linbench sees it, and how well it measures."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linbench.cli.common import JsonOption

if TYPE_CHECKING:
    from linbench.probes.quiet import Finding
    from linbench.stats.noise import Floor


def env(
    check: Annotated[
        bool, typer.Option("--check", help="Measure the noise floor by a short A/A test.")
    ] = False,
    pairs: Annotated[int, typer.Option(help="Pairs of the A/A test.", min=3)] = 20,
    json_: JsonOption = False,
) -> None:
    """Show the machine as a run file records it; with --check, how small a difference it resolves.

    The A/A test measures one and the same case in pairs of fresh processes. Whatever differs within
    a pair is noise: from it follows the smallest difference that so many rounds resolve.

    Examples:
    - `linbench env --json`
    - `linbench env --check`
    """
    from linbench.probes import machine

    found: dict[str, Any] = machine.describe()
    if not check:
        print(json.dumps(found) if json_ else _aligned(found))
        return
    from dataclasses import asdict

    from linbench.probes import quiet

    seen = quiet.findings()
    floor = _a_a_test(pairs, show=not json_)
    if json_:
        noise = {"noise": asdict(floor), "findings": [asdict(finding) for finding in seen]}
        print(json.dumps({**found, **noise}))
    else:
        _print(seen, floor)


def _aligned(found: dict[str, Any]) -> str:
    width = max(map(len, found))
    return "\n".join(
        f"{name:{width}}  {'-' if value is None else value}" for name, value in found.items()
    )


def _a_a_test(pairs: int, *, show: bool) -> "Floor":
    """Measure one case twice a pair, each time in a fresh process."""
    from rich.progress import track

    from linbench.errors import LinbenchError
    from linbench.executors.local import Local
    from linbench.plan.measure import measure
    from linbench.plan.suite import Suite
    from linbench.run.case import Case
    from linbench.stats.noise import floor

    case = Case(impl="sdpa", seq=1024)
    times: tuple[list[float], list[float]] = ([], [])
    begin = time.monotonic()
    with Local(Suite()) as pool:
        measure(pool, case, 0)  # the first process after a start is slower than all others
        order = range(pairs)
        for pair in track(order, "A/A test", auto_refresh=False, disable=not show, transient=True):
            for side in (0, 1) if pair % 2 else (1, 0):  # neither is always the first
                record = measure(pool, case, pair)
                if record.status != "ok":
                    raise LinbenchError(
                        f"the A/A test cannot be measured: {record.status}: {record.reason}"
                    )
                times[side].append(record.value("time") or 0.0)
    if show:
        print(
            f"A/A test: {pairs} pairs of {case.title}, each time a fresh process, "
            f"{time.monotonic() - begin:.0f} s\n"
        )
    return floor(*times)


def _print(seen: "list[Finding]", floor: "Floor") -> None:
    from linbench.words import ratio

    for finding in seen:
        mark = {True: "ok  ", False: "look", None: "-   "}[finding.well]
        remedy = f": {finding.remedy}" if finding.remedy else ""
        print(f"{mark}  {finding.what}: {finding.found}{remedy}")
    print(
        f"\nnoise: pairs differ by {floor.spread:.1%} when it is quiet, "
        f"by up to {floor.worst - 1:.0%} in bursts"
    )
    print(f"A over A: {ratio(floor.ratio)} (95 %); the truth is 1")
    for rounds, smallest in floor.resolves.items():
        print(f"in {rounds:2} rounds this machine resolves differences of {smallest:.1%} or more")
