"""For every test of tasks."""

import pytest

from linbench import tasks


@pytest.fixture(autouse=True)
def unplugged():
    """What a test plugs in is gone after it."""
    yield
    tasks._plugged.clear()
