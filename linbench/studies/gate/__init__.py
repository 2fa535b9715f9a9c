"""Baseline and candidate, two runs -> findings and a verdict: pass, regression, inconclusive."""

from linbench.studies.gate.findings import CaseNote, Finding, Gate, Limits, to_json
from linbench.studies.gate.judge import judge
from linbench.studies.gate.looks import Looks, looks_within

__all__ = ["CaseNote", "Finding", "Gate", "Limits", "Looks", "judge", "looks_within", "to_json"]
