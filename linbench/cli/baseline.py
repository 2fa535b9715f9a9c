"""`linbench baseline`: several runs become what later runs are held against."""

import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from linbench.cli.common import RESULTS, ResultsOption, console, find_run
from linbench.errors import RunFileError, UsageError

if TYPE_CHECKING:
    from linbench.gate.merge import Run
    from linbench.record import Header, Record


def baseline(
    what: Annotated[Literal["update"], typer.Argument(help="update.")],
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="A path, a name or 'latest'.")
    ],
    baseline: Annotated[
        str,
        typer.Option(
            "--baseline",
            metavar="PATH|NAME",
            help="The file to write; a name is one in RESULTS/baselines.",
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", help="Write without asking.")] = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Merge runs into a baseline, show what changes, and write it when confirmed.

    Each run counts as one: a case's value is the median over runs, so that no lucky run decides,
    and its noise is how the runs differ. Three runs or more, hours apart, make a good baseline. To
    add a run to a baseline, name the baseline's own file among the runs.

    Example: `linbench baseline update results/monday.jsonl results/tuesday.jsonl --baseline laptop`
    """
    from linbench.gate.merge import merge
    from linbench.record import read

    del what  # there is one thing to do
    path = target(baseline, results)
    sources = [_run(run, results) for run in runs]
    header, records = merge(sources, path.stem)
    _show(read(path) if path.exists() else None, (header, records), path)
    if not yes and not _confirmed(path):
        print("nothing written")
        return
    write(path, header, records)
    print(f"baseline: {path}")
    print(f"next: linbench gate latest --baseline {baseline}")


def _run(name: str, results: Path) -> "Run":
    from linbench.gate.merge import Run
    from linbench.record import read

    header, records = read(find_run(name, results))
    return Run(name, header, tuple(records))


def target(name: str, results: Path) -> Path:
    """Return the file that a baseline's PATH or NAME means."""
    is_path = name.endswith(".jsonl") or "/" in name
    return Path(name) if is_path else results / "baselines" / f"{name}.jsonl"


def write(path: Path, header: "Header", records: "Sequence[Record]") -> None:
    """Write a run file whole or not at all.

    Raises:
        RunFileError: it cannot be written; what was there stays.
    """
    from linbench.record import to_line

    text = "".join([to_line(header), *map(to_line, records)])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            beside = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                beside.chmod(0o644)
                beside.replace(path)
            except BaseException:
                beside.unlink()
                raise
    except OSError as error:
        raise RunFileError(
            f"cannot write '{path}': {error.strerror}; choose another --baseline"
        ) from None


def _confirmed(path: Path) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"nothing written: '{path}' needs a yes, and this is no terminal; give --yes"
        )
    return typer.confirm(f"write {path}?")


def _show(
    old: "tuple[Header, list[Record]] | None", new: "tuple[Header, list[Record]]", path: Path
) -> None:
    """Print what writing would change: old → new, case by case."""
    from rich.table import Table

    from linbench.cli.tables import by_case, iec_bytes, si_seconds
    from linbench.gate.merge import MERGED, status_of
    from linbench.gate.provenance import differences

    header, records = new
    merged = header.model_dump().get(MERGED)
    count = f"the median of {len(merged)} runs" if merged else "one run, which decides alone"
    print(f"{path}: {'replaced by' if old else 'new:'} {count}")
    if old:
        for said in differences(old[0].model_dump(), header.model_dump()):
            print(said)
    before, after = by_case(old[1] if old else []), by_case(records)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("case", "time", "", "peak memory", "", "status"):
        table.add_column(name, justify="left" if name in ("case", "status") else "right")
    for case in {**before, **after}:
        was, now = before.get(case, []), after.get(case, [])
        states = [status_of(some) if some else "absent" for some in (was, now)]
        table.add_row(
            f"{case.label} {case.scope} n={case.seq}",
            *_change(_typical_s(was), _typical_s(now), si_seconds),
            *_change(_typical_bytes(was), _typical_bytes(now), iec_bytes),
            states[1] if states[0] in (states[1], "absent") else " → ".join(states),
        )
    console().print(table)


def _change(
    old: float | None, new: float | None, words: Callable[[float | None], str]
) -> tuple[str, str]:
    """Write a value with the one it replaces, and their ratio."""
    if old is None or new is None:
        return " → ".join(words(value) for value in (old, new) if value is not None), ""
    return f"{words(old)} → {words(new)}", f"{new / old:.3f}" if old else ""


def _typical_s(records: "Sequence[Record]") -> float | None:
    ok = [statistics.median(r.seconds) for r in records if r.status == "ok" and r.seconds]
    return statistics.median(ok) if ok else None


def _typical_bytes(records: "Sequence[Record]") -> float | None:
    peaks = [r.memory.peak_bytes for r in records if r.status == "ok" and r.memory]
    known = [peak for peak in peaks if peak is not None]
    return statistics.median(known) if known else None
