"""`linbench history`: every series against the commits that runs measured, with its steps."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run
from linbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from linbench.studies.history.history import History
    from linbench.studies.history.tracks import Track

_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40  # characters of a line of runs
_LEAST = 0.1  # of a value: what is smaller does not fill the height of a line of runs


def history(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="RUN...", help="Paths, names or 'latest', in any order."),
    ],
    metric: Annotated[
        str | None,
        typer.Option(help="Only this metric of the runs, or 'exponent'; by default all of them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write OUT/history/report.md and .html: figures, tables and the method."),
    ] = None,
    json_: JsonOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Follow every metric, and exponents, over the commits of many runs, with steps dated.

    Runs stand in the order of their commits where the repository at hand (the folder the command
    is given in) knows them all, else in the order they were made. Several runs of a commit are
    several observations of it; machines are never mixed. A step is a change of level that lasts:
    single slow runs are out of line, and where nothing changed a step is reported for at most one
    machine in a hundred. It takes 8 runs to tell a step from noise; bytes counted by an allocator
    have none, so that a step shows at once.

    Steps never fail a build (the exit code is 0); use `linbench gate` for that.

    Example: linbench history results/*.jsonl --metric time
    """
    from linbench.run.metrics import KNOWN
    from linbench.run.runs import Runs
    from linbench.studies.history.history import histories_of, to_json
    from linbench.studies.history.tracks import EXPONENT
    from linbench.studies.history.visits import commits_of

    read = Runs.read([find_run(run, results) for run in runs])
    known = list(dict.fromkeys([*KNOWN, *(known.name for known in read.metrics), EXPONENT]))
    if metric is not None and metric not in known:
        raise UsageError(
            f"--metric '{metric}' is not in these runs, expected one of {', '.join(known)}"
            f"{did_you_mean(metric, known)}"
        )
    histories = histories_of(read, commits_of(read))
    if metric is not None:
        histories = [replace(found, shown=(metric,)) for found in histories]
    if json_:
        said = {"histories": [to_json(found) for found in histories]}
        print(json.dumps(said, indent=2, allow_nan=False))
        return
    if len(histories) > 1:
        print(f"{len(histories)} machines, a history each: their times do not compare\n")
    for found in histories:
        _print(found)
    if out is not None:
        _write(histories, out)


def _print(found: "History") -> None:
    from rich.table import Table

    from linbench.studies.history.section import COLUMNS, STEPS, by_problem, row_of, steps_of
    from linbench.studies.history.sentences import heading, sentences

    screen = console()
    screen.print(heading(found))
    for tracks in (own for name in found.shown for own in by_problem(found.of(name))):
        table = Table(box=None, pad_edge=False, header_style="dim")
        for column in (COLUMNS[0], "runs, oldest first", *COLUMNS[1:], STEPS):
            numeric = column in COLUMNS[1:]
            table.add_column(column, justify="right" if numeric else "left", no_wrap=not numeric)
        for track in tracks:
            series, *rest = map(str, row_of(track))
            table.add_row(series, line_of_runs(track), *rest, "\n".join(steps_of(found, track)))
        words = dict.fromkeys((tracks[0].quantity, *tracks[0].key.problem_words))
        title = f"\n{', '.join(words)}"
        screen.print(title, style="bold")
        screen.print(table)
    screen.print()
    for sentence in sentences(found):
        screen.print(f"- {sentence.replace('**', '')}")
    screen.print()


def line_of_runs(track: "Track") -> str:
    """Draw a bar per run, or per few where there are many; `·` has no value, `!` is out of line."""
    values = dict(zip(track.present, track.values, strict=True))
    in_line = {i: value for i, value in values.items() if i not in track.out_of_line}
    low, high = min((in_line or values).values()), max((in_line or values).values())
    reach = max(high - low, _LEAST * abs(high))
    low = (low + high - reach) / 2
    count = len(track.points)
    width = min(count, _WIDTH)
    text = ""
    for place in range(width):
        here = range(place * count // width, (place + 1) * count // width)
        if own := [in_line[i] for i in here if i in in_line]:
            height = (statistics.median(own) - low) / reach if reach else 0.5
            text += _BARS[min(len(_BARS) - 1, int(height * len(_BARS)))]
        else:
            text += "!" if any(i in values for i in here) else "·"
    return text


def _write(histories: "Sequence[History]", out: Path) -> None:
    from linbench.report import html, markdown
    from linbench.report.content import Report, Sentence
    from linbench.studies.history.section import section_of
    from linbench.studies.history.sentences import heading, sentences

    said = (text for found in histories for text in (heading(found), *sentences(found)))
    report = Report("History", tuple(map(Sentence, said)), tuple(map(section_of, histories)))
    for write in (markdown.write, html.write):
        print(write(report, out / "history"))
