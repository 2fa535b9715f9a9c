"""Formats other than today's run file: what is read besides, and what runs are exported to."""
