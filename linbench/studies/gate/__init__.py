"""Baseline and candidate, two runs -> findings and a verdict: pass, regression, inconclusive."""

from linbench.studies.gate.findings import ALPHA, CaseNote, Finding, Gate, Limits, Verdict, to_json
from linbench.studies.gate.judge import check_names, judge
from linbench.studies.gate.looks import Looks, looks_within

__all__ = [
    "ALPHA",
    "CaseNote",
    "Finding",
    "Gate",
    "Limits",
    "Looks",
    "Verdict",
    "check_names",
    "judge",
    "looks_within",
    "to_json",
]
