"""`linbench history`: every series against the commits that runs measured, with its steps."""

import json
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run

if TYPE_CHECKING:
    from linbench.analysis.history import History
    from linbench.analysis.tracks import Quantity, Track
    from linbench.analysis.visits import Commit

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # characters of a line of runs
_LEAST = 0.1  # of a value: what is smaller does not fill the height of a line of runs


def history(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Paths, names or 'latest'; the order is no matter."),
    ],
    metric: Annotated[
        Literal["time", "memory", "exponent"] | None,
        typer.Option(help="Only this; by default all three."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write OUT/history/report.md and .html: figures, tables, the method."),
    ] = None,
    json_: JsonOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Follow time, memory and exponents over the commits of many runs, with steps dated.

    Runs stand in the order of their commits where the repository at hand (the folder the command
    is given in) knows them all, else in the order they were made. Several runs of a commit are
    several observations of it; machines are never mixed. A step is a change of level that lasts:
    single slow runs are out of line, and where nothing changed a step is reported for at most one
    machine in a hundred. It takes 8 runs to tell a step from noise; bytes counted by an allocator
    have none, and tell at once.

    A step fails nothing, the exit code is 0: deciding is the gate's.

    Example: linbench history results/*.jsonl --metric time
    """
    from linbench.analysis.history import histories_of, to_json
    from linbench.analysis.tables import load_all
    from linbench.analysis.tracks import QUANTITIES

    headers, frame = load_all([find_run(run, results) for run in runs])
    found = histories_of(headers, frame, commits_of(headers))
    quantities = [one for one in QUANTITIES if metric in (None, one)]
    if json_:
        said = {"histories": [to_json(one, quantities) for one in found]}
        print(json.dumps(said, indent=2, allow_nan=False))
        return
    if len(found) > 1:
        print(f"{len(found)} machines, a history each: their times do not compare\n")
    for one in found:
        _print(one, quantities)
    if out is not None:
        _write(found, quantities, out)


def commits_of(headers: Sequence[Mapping[str, Any]]) -> "dict[str, Commit]":
    """Ask the repository at hand for the commits that runs measured.

    Args:
        headers: The headers of the runs.

    Returns:
        What it knows by hash; nothing outside a repository, or without git.
    """
    from linbench.analysis.visits import Commit

    asked = {(header.get("git") or {}).get("commit") for header in headers}
    # a run file may come from anywhere: what is no full hash might be an option of git
    hashes = sorted(one for one in asked if one and re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", one))
    if not hashes:
        return {}
    words = ("log", "--topo-order", "--reverse", "--ignore-missing", "--format=%H%x09%cI%x09%s")
    try:
        done = subprocess.run(
            ["git", *words, *hashes, "--"],
            capture_output=True, encoding="utf-8", errors="replace", timeout=60, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    lines = [line.split("\t", 2) for line in done.stdout.split("\n")]
    return {
        line[0]: Commit(place, line[1], line[2])
        for place, line in enumerate(lines)
        if line[0] in hashes
    }


def _print(found: "History", quantities: "Sequence[Quantity]") -> None:
    from linbench.report.history import by_problem
    from linbench.report.steps import heading, sentences

    screen = console()
    screen.print(heading(found))
    for quantity in quantities:
        for tracks in by_problem(found.of(quantity)):
            screen.print(f"\n{quantity}, {tracks[0].at}", style="bold")
            screen.print(_table(found, tracks))
    screen.print()
    for sentence in sentences(found, quantities):
        screen.print(f"- {sentence.replace('**', '')}")
    screen.print()


def _table(found: "History", tracks: "Sequence[Track]") -> Any:
    from rich.table import Table

    from linbench.report.history import COLUMNS, rows_of

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in (COLUMNS[0], "runs, oldest first", *COLUMNS[1:]):
        numeric = column in COLUMNS[1:5]
        table.add_column(column, justify="right" if numeric else "left", no_wrap=not numeric)
    for track, (series, *rest, steps) in zip(tracks, rows_of(found, tracks), strict=True):
        table.add_row(series, line_of_runs(track), *rest, steps.replace("; ", "\n"))
    return table


def line_of_runs(track: "Track") -> str:
    """Draw the values of a series as a line of bars.

    Returns:
        A character per run, or per few runs where there are many: its height, `·` where there is no
        value, `!` for a run out of line.
    """
    level = {i: point.value for i, point in enumerate(track.points) if point is not None}
    seen = [value for i, value in level.items() if i not in track.out_of_line]
    low, high = min(seen or level.values()), max(seen or level.values())
    reach = max(high - low, _LEAST * abs(high))
    low = (low + high - reach) / 2
    count = len(track.points)
    width = min(count, _WIDTH)
    text = ""
    for place in range(width):
        here = range(place * count // width, (place + 1) * count // width)
        values = [level[i] for i in here if i in level and i not in track.out_of_line]
        if values:
            height = (statistics.median(values) - low) / reach if reach else 0.5
            text += _BARS[min(len(_BARS) - 1, int(height * len(_BARS)))]
        else:
            text += "!" if any(i in track.out_of_line for i in here) else "·"
    return text


def _write(found: "Sequence[History]", quantities: "Sequence[Quantity]", out: Path) -> None:
    from linbench.report import html, markdown
    from linbench.report.content import Report
    from linbench.report.history import section_of
    from linbench.report.steps import heading, sentences

    said = [sentence for one in found for sentence in (heading(one), *sentences(one, quantities))]
    sections = tuple(section_of(one, quantities) for one in found)
    report = Report("History", tuple(said), sections)
    for write in (markdown.write, html.write):
        print(write(report, out / "history"))
