"""What two run headers say of why results may differ, other than the code that is judged."""

from collections.abc import Mapping
from typing import Any

_VERSIONS = ("torch", "cuda", "driver", "xformers", "python", "system")


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Say which machine and which versions differ between two headers (`record.load`)."""
    old, new = before["machine"], after["machine"]
    found = []
    if old["fingerprint"] != new["fingerprint"]:
        names = [
            f"{m['fingerprint']} ({m.get('gpu') or m.get('cpu') or 'unknown'})" for m in (old, new)
        ]
        found.append(f"The baseline is of machine {names[0]}, the candidate of {names[1]}")
    changed = [
        f"{name} {old.get(name)} → {new.get(name)}"
        for name in _VERSIONS
        if old.get(name) != new.get(name)
    ]
    if changed:
        found.append(f"Versions differ: {', '.join(changed)}")
    return found
