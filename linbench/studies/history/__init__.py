"""What many runs say over the commits they measured: levels, and the steps between them."""

from linbench.studies.history.section import sections, summary

__all__ = ["sections", "summary"]
