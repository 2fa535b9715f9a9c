"""What two run headers say of why results may differ, other than the code that is judged."""

from linbench.run.record import Header

_VERSIONS = ("torch", "cuda", "driver", "xformers", "python", "system")


def differences(before: Header, after: Header) -> list[str]:
    """Say which machine and which versions differ between two headers."""
    old, new = before.machine, after.machine
    found = []
    if old.fingerprint != new.fingerprint:
        names = [f"{m.fingerprint} ({m.gpu or m.cpu or 'unknown'})" for m in (old, new)]
        found.append(f"The baseline is of machine {names[0]}, the candidate of {names[1]}")
    versions = {name: (getattr(old, name), getattr(new, name)) for name in _VERSIONS}
    changed = [f"{name} {was} → {now}" for name, (was, now) in versions.items() if was != now]
    if changed:
        found.append(f"Versions differ: {', '.join(changed)}")
    return found
