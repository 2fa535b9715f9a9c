"""How time, memory and whatever else was measured grow with n, and who wins from which n on."""

from collections.abc import Iterator

from linbench.report.content import Section, Sentence, Table
from linbench.run.runs import Panel, Runs
from linbench.studies.labels import capital, panel_stems, panel_title
from linbench.studies.scaling import tables
from linbench.studies.scaling.analyse import Answer, analyse
from linbench.studies.scaling.charts import figures_of
from linbench.studies.scaling.summary import disturbed, drift, sentences
from linbench.studies.scaling.views import views_of

__all__ = ["sections", "summary"]


def summary(runs: Runs) -> list[Sentence]:
    """Say how steady the machine was, and for each panel what grew how and who won.

    Where there are several panels, the sentences of each stand under its name.
    """
    answer = runs.once(analyse)
    steadiness = [*(drift(header, answer) for header in runs.headers), disturbed(answer)]
    found = [Sentence(text) for text in steadiness if text]
    panels = answer.by_panel()
    for panel, own in panels.items():
        said = sentences(own)
        if len(panels) > 1:
            found.append(Sentence(f"At {panel_title(panel, panels)}:", tuple(said)))
        else:
            found += map(Sentence, said)
    return found


def sections(runs: Runs) -> list[Section]:
    """Return a section for each panel, with its figures and the tables behind them."""
    panels = runs.once(analyse).by_panel()
    stems = panel_stems(panels)
    return [
        Section(
            title=capital(panel_title(panel, panels)),
            figures=tuple(figures_of(own.per_metric, stems[panel], views_of(own.per_metric))),
            tables=tuple(filter(None, _tables(own, _memory_bytes(runs, panel)))),
        )
        for panel, own in panels.items()
    ]


def _memory_bytes(runs: Runs, panel: Panel) -> int | None:
    """Return the memory of the device that a panel was measured on."""
    machine = runs.header(panel.run_id).machine
    on_gpu = (panel.problem.device or "").startswith("cuda")
    return machine.gpu_memory_bytes if on_gpu else machine.memory_bytes


def _tables(answer: Answer, memory_bytes: int | None) -> Iterator[Table | None]:
    scalings, panel = answer.scalings, answer.per_metric
    if scalings:
        yield tables.verdicts(scalings)
        yield tables.exponents(scalings)
        yield tables.crossovers(answer.crossovers)
        yield tables.limits(scalings, memory_bytes) if memory_bytes else None
        yield tables.laws(scalings)
        yield tables.local_slopes(scalings)
    yield tables.gains(panel)
    yield tables.measurements(panel)
