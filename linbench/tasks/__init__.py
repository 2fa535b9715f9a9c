"""What can be measured of a case: name -> function. Each runs in a worker's fresh process."""

from collections.abc import Callable
from typing import Any

from linbench.tasks.efficiency import efficiency

TASKS: dict[str, Callable[..., dict[str, Any]]] = {"efficiency": efficiency}
