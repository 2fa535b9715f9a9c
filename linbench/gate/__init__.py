"""Baseline and candidate, two run tables -> verdicts: pass, regression or inconclusive."""

from linbench.gate.judge import judge
from linbench.gate.verdicts import CaseNote, Comparison, Gate, Limits, Verdict, to_json

__all__ = ["CaseNote", "Comparison", "Gate", "Limits", "Verdict", "judge", "to_json"]
