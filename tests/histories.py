"""Run files of many commits with known levels: the truth for histories to meet."""

from datetime import UTC, datetime, timedelta

import numpy as np
import synthetic

from linbench.run.record import Git
from linbench.run.runs import Runs

SIZES = (1024, 2048, 4096)


def commit(index):
    return f"{index:040x}"


def head(index, *, name=None, git=None, **machine):
    """The header of the run of one night."""
    of = synthetic.header(name or f"night-{index}")
    created = datetime(2026, 1, 1, 3, tzinfo=UTC) + timedelta(days=index)
    return of.model_copy(
        update={
            "created": created.isoformat(),
            "git": Git(**{"commit": commit(index), "branch": "main", **(git or {})}),
            "machine": of.machine.model_copy(update=machine),
        }
    )


def records(
    rng, *, slower=1.0, bigger=1.0, noise=0.03, sizes=SIZES, impl="sdpa", steeper=0.0, **case
):
    """One run of one configuration: times scatter from run to run, bytes are exact."""
    off = {n: slower * float(np.exp(rng.normal(0, noise))) for n in sizes}
    return synthetic.measured(
        rng,
        lambda n: off[n] * 1e-9 * n ** (2 + steeper),
        lambda n: bigger * 1024 * n,
        sizes=sizes,
        rounds=2,
        calls=3,
        call_noise=0.002,
        drift=0.0,
        outliers=0.0,
        impl=impl,
        **case,
    )


def write(folder, runs):
    """Write runs, pairs of header and records; returns their paths."""
    return [
        synthetic.write(folder / f"{i:03}.jsonl", own, header)
        for i, (header, own) in enumerate(runs)
    ]


def load(folder, runs):
    """Return runs, pairs of header and records, read from their files."""
    return Runs.read(write(folder, runs))
