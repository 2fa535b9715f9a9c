"""How numbers and quantities are written."""

import pytest

from linbench import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.5e-7, "150 ns"), (0.0123, "12.3 ms"), (3.0, "3.00 s"), (7200.0, "2.00 h")],
)
def test_times_are_written_with_three_digits_and_their_unit(value, text):
    """Units change by powers of a thousand."""
    assert words.quantity(value, "s") == text


def test_axes_name_powers_of_two_shortly():
    """512, 1k, 64k; other lengths in full."""
    assert [words.tokens(n) for n in (512, 1024, 1500, 65536)] == ["512", "1k", "1500", "64k"]
