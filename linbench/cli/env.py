"""`linbench env`: the machine as linbench sees it."""

import json

from linbench.cli.common import JsonOption


def env(json_: JsonOption = False) -> None:
    """Show the machine as a run file records it.

    Example: linbench env --json
    """
    from linbench.probes import machine

    found = machine.describe()
    if json_:
        print(json.dumps(found))
        return
    width = max(map(len, found))
    for name, value in found.items():
        print(f"{name:{width}}  {'-' if value is None else value}")
