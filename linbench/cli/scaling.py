"""`linbench scaling`: how cost grows with n, as tables or as JSON."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from linbench.cli.common import RESULTS, JsonOption, ResultsOption, console, find_run
from linbench.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from linbench.run.runs import Panel, Runs
    from linbench.studies.crossover import Crossover
    from linbench.studies.scaling.growth import Scaling

_COSTS = "on a logarithmic scale with less the better"


def scaling(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN...", help="A path, a name or 'latest'.")
    ],
    metric: Annotated[
        str | None,
        typer.Option(help="Any cost that the runs measured; by default all of them."),
    ] = None,
    assert_: Annotated[
        list[str] | None,
        typer.Option(
            "--assert",
            metavar="CLAIM",
            help="'linformer:time<=1.15' (an exponent) or 'linformer/sdpa:time@8192<0.5' "
            "(a ratio at one n); may repeat.",
        ),
    ] = None,
    json_: JsonOption = False,
    results: ResultsOption = RESULTS,
) -> None:
    """Say how time and memory grow with n: exponents with intervals, verdicts, crossovers.

    An exponent is the slope of log cost against log n over the tail of a series, the largest sizes
    that span a factor of 4, with a 95 % interval that takes rounds as independent. Only cases that
    were measured count, and runs are never fitted together.

    Claims are decided on intervals. Exit code 0: all hold, 1: one fails, 3: one is undecided.

    Example: linbench scaling latest --metric time
    """
    from linbench import words
    from linbench.run.runs import Runs
    from linbench.studies.scaling.analyse import analyse, to_json
    from linbench.studies.scaling.assertions import decide, outcome_of, parse
    from linbench.studies.scaling.assertions import to_json as decision_json

    claims = [parse(text) for text in assert_ or ()]
    found = Runs.read([find_run(run, results) for run in runs])
    wanted = [*_metrics(found, metric), *(claim.metric for claim in claims)]
    answer = analyse(found, dict.fromkeys(wanted))
    decisions = [decision for claim in claims for decision in decide(claim, answer.series)]
    if json_:
        import json

        result = to_json(answer)
        if claims:
            result["assertions"] = list(map(decision_json, decisions))
        print(json.dumps(result, indent=2, allow_nan=False))
    else:
        out = console()
        if not answer.scalings:
            out.print(_nothing(found))
        _print_exponents(out, answer.scalings)
        _print_crossovers(out, answer.crossovers)
        for decision in decisions:
            stands = words.ratio(decision.value) if decision.value else "not measured"
            claim = f"{decision.assertion.text}: {decision.outcome}"
            out.print(f"{claim} ({decision.subject}: {stands})")
    if claims:
        raise typer.Exit({"holds": 0, "fails": 1, "undecided": 3}[outcome_of(decisions)])


def _metrics(runs: "Runs", metric: str | None) -> list[str]:
    """Return the metrics to fit: the costs of the runs, or the one that is named.

    Raises:
        UsageError: it is not one of them.
    """
    known = [one.name for one in runs.metrics if one.is_cost]
    if metric is None:
        return known
    if metric not in known:
        raise UsageError(
            f"--metric '{metric}' is no metric of these runs {_COSTS}, expected one of "
            f"{', '.join(known) or 'none, since they measured none'}{did_you_mean(metric, known)}"
        )
    return [metric]


def _nothing(runs: "Runs") -> str:
    """Say why there is nothing to say of growth."""
    from linbench import words

    measured = [metric.name for metric in runs.metrics if runs.series(metric.name)]
    if not measured:
        return "nothing was measured: no record of these runs has status ok"
    return f"these runs measured {words.listed(measured)}; exponents are of metrics {_COSTS}"


def _print_exponents(out: "Console", scalings: "Sequence[Scaling]") -> None:
    from linbench import words

    groups: dict[tuple[Panel, str], list[Scaling]] = {}
    for one in scalings:
        groups.setdefault((one.series.panel, one.series.metric.name), []).append(one)
    for (panel, metric), members in groups.items():
        out.print(f"{metric}, {panel.label}, run {panel.run_id}", style="bold")
        columns = ("series", "n", "exponent", "over n", "theory", "counts", "law", "verdict")
        table = _table(columns)
        for one in members:
            slope, sizes, tail = one.exponent.slope, one.series.sizes, one.exponent.sizes
            table.add_row(
                one.series.key.label,
                f"{sizes[0]}..{sizes[-1]}",
                words.slope(slope) if slope else "-",
                f"{tail[0]}..{tail[-1]}" if slope else "-",
                "-" if one.expected is None else f"{one.expected:g}",
                "-" if one.predicted is None else f"{one.predicted:.2f}",
                one.laws[0].name if one.laws else "-",
                one.growth.word,
            )
        out.print(table)
        for one in members:
            if one.growth.word == "inconclusive":
                advice = f"; {one.growth.advice}" if one.growth.advice else ""
                said = f"  {one.series.key.label}: {one.growth.grounds}{advice}"
                out.print(said, style="dim")
        out.print()


def _print_crossovers(out: "Console", crossovers: "Sequence[Crossover]") -> None:
    from linbench import words

    if not crossovers:
        return
    out.print("n* from which a candidate costs less", style="bold")
    several = len({one.candidate.panel for one in crossovers}) > 1
    columns = ("metric", "candidate", "baseline", "n*", "status", "grounds")
    table = _table((*(("at",) if several else ()), *columns))
    for one in crossovers:
        table.add_row(
            *((one.candidate.panel.label,) if several else ()),
            one.candidate.metric.name,
            one.candidate.key.label,
            one.baseline.key.label,
            words.length(one.n_star) if one.n_star else "-",
            one.status,
            one.reason,
        )
    out.print(table)
    out.print()


def _table(columns: "Sequence[str]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, no_wrap=column not in ("grounds", "at"))
    return table
