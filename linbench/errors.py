"""What linbench raises: one base class, caught in one place (`linbench.cli`)."""

import difflib
from collections.abc import Iterable


class LinbenchError(Exception):
    """The base of all errors linbench raises on purpose; its text is one line for the user."""


class UsageError(LinbenchError, ValueError):
    """A value the user gave cannot be used; the text names it, the expectation and the remedy."""


class RunFileError(LinbenchError):
    """A run file is missing, broken, of a newer schema, or cannot be written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest known word, else an empty string."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""
