"""Studies: a question each, with its numbers and its section of the page side by side."""

from typing import Protocol

from linbench import words
from linbench.report.content import Report, Section, Sentence
from linbench.run.runs import Runs


class Study(Protocol):
    """One question asked of runs: a module of this package with these two functions."""

    def summary(self, runs: Runs) -> list[Sentence]:
        """Return what it has to say at the top of the page."""

    def sections(self, runs: Runs) -> list[Section]:
        """Return its part of the page."""


def studies() -> tuple[Study, ...]:
    """Return the studies in the order of the page; imported here, so that each stays alone."""
    from linbench.studies import compare, conditions, history, paper, roofline, scaling, unplaced

    return history, compare, scaling, unplaced, roofline, paper, conditions


def report_of(runs: Runs) -> Report:
    """Turn runs into a report: what was measured comes first, how to check it comes last."""
    *asked, conditions = studies()
    return Report(
        title="Attention scaling: " + words.listed(run.run_id for run in runs.runs),
        summary=tuple(said for study in (conditions, *asked) for said in study.summary(runs)),
        sections=tuple(
            section for study in (*asked, conditions) for section in study.sections(runs)
        ),
    )
