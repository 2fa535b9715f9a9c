"""What can be measured of a case: name -> function. Each runs in a worker's fresh process."""

from collections.abc import Callable
from typing import Any

from linbench.tasks.efficiency import efficiency
from linbench.tasks.max_batch import max_batch

TASKS: dict[str, Callable[..., dict[str, Any]]] = {
    "efficiency": efficiency,
    "max_batch": max_batch,
}
