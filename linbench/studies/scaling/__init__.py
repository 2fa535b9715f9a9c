"""How time, memory and whatever else was measured grow with n, and who wins from which n on."""

from linbench.report.content import Section, Sentence
from linbench.run.runs import Panel, Runs
from linbench.studies.labels import capital, panel_stems, panel_title
from linbench.studies.scaling import charts, tables
from linbench.studies.scaling.analyse import Answer, analyse
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
        _section(capital(panel_title(panel, panels)), stems[panel], own, _memory(runs, panel))
        for panel, own in panels.items()
    ]


def _memory(runs: Runs, panel: Panel) -> int | None:
    """Return the memory of the device that a panel was measured on, in bytes."""
    machine = runs.header(panel.run_id).machine
    on_gpu = (panel.problem.device or "").startswith("cuda")
    return machine.gpu_memory_bytes if on_gpu else machine.memory_bytes


def _section(title: str, stem: str, answer: Answer, memory_bytes: int | None) -> Section:
    panel, scalings = answer.per_metric, answer.scalings
    fitted = (
        [
            tables.verdicts(scalings),
            tables.exponents(scalings),
            tables.crossovers(answer.crossovers),
            tables.limits(scalings, memory_bytes) if memory_bytes else None,
            tables.laws(scalings),
            tables.local_slopes(scalings),
            tables.gains(panel),
        ]
        if scalings
        else []
    )
    found = [*fitted, tables.measurements(panel)]
    return Section(
        title=title,
        figures=tuple(charts.figures_of(panel, stem, views_of(panel))),
        tables=tuple(table for table in found if table is not None),
    )
