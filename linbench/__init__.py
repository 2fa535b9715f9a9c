"""linbench: how self-attention scales, measured."""

__version__ = "0.1.0"
