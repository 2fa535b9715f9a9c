"""Runs held against each other: case by case, and several in one report."""

from linbench.studies.compare.section import sections, summary

__all__ = ["sections", "summary"]
