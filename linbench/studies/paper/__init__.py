"""The paper: a run beside its Table 3, and the largest batches that fit a memory."""

from linbench.report.content import Sentence
from linbench.run.runs import Runs
from linbench.studies.paper.section import sections

__all__ = ["sections", "summary"]


def summary(runs: Runs) -> list[Sentence]:
    """Return nothing: what was found stands in the section."""
    del runs
    return []
