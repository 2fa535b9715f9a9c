"""Cost against the machine: what share of the attainable speed each case reached."""

from linbench.studies.roofline.section import sections, summary

__all__ = ["sections", "summary"]
