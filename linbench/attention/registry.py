"""Attention implementations, each in one row: how it is built, and what is known of it.

Rows come from the table below, from `register`, from specs (`load_plugin`), and from entry points
of the group `linbench.attention`. A spec and an entry point name a builder, of which nothing else
is known, or an `Implementation`. Built-in rows name their builders, so that they cost no import.
"""

import importlib
import importlib.metadata
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from linbench.attention import costs as counts
from linbench.attention.config import AttentionConfig
from linbench.attention.costs import Costs
from linbench.errors import UsageError, did_you_mean
from linbench.plugins import attribute_of, split_spec

if TYPE_CHECKING:
    from torch import nn

Builder = Callable[[AttentionConfig], "list[nn.Module]"]

GROUP = "linbench.attention"
AXES = ("k", "sharing", "projection", "order")
"""What of a configuration can be varied beside its shape, where an implementation knows it."""

WRITTEN_OUT = "vanilla"
"""The exact implementation whose n × n matrices are in memory, as the paper measures it."""


@dataclass(frozen=True)
class Implementation:
    """What is known of one implementation of attention.

    Attributes:
        name: What it is called in cases and on the command line.
        build: `(AttentionConfig) -> list[torch.nn.Module]`, one module per layer; or where it is,
            as "module:function", which is imported when it is first built.
        mathematics: Which equation its modules are held against: "exact" or "linformer" (see
            `linbench.attention.reference`); None is unknown. A module's own `reference` goes
            before it.
        axes: Which of `AXES` it takes from the configuration; others make no difference to it.
        costs: What a call must cost, `(config, seq, *, batch=1, scope="layer", mode="forward",
            itemsize=4) -> Costs`, as those in `linbench.attention.costs`; None is unknown.
        unavailable: Says why it cannot run on a device such as "cpu" or "cuda:0", or None where
            it can; as None itself, it runs anywhere.

    Raises:
        UsageError: an axis is unknown.
    """

    name: str
    build: str | Builder
    mathematics: str | None = None
    axes: tuple[str, ...] = ()
    costs: Callable[..., Costs] | None = None
    unavailable: Callable[[str], str | None] | None = None

    def __post_init__(self) -> None:
        for axis in self.axes:
            if axis not in AXES:
                raise UsageError(
                    f"implementation '{self.name}': axis '{axis}' is unknown, expected one "
                    f"of {', '.join(AXES)}{did_you_mean(axis, AXES) or '; choose among these'}"
                )


def _xformers_unavailable(device: str) -> str | None:
    if device.partition(":")[0] != "cuda":
        return f"xformers runs on CUDA only, not on {device}"
    try:
        importlib.import_module("xformers.ops")
    except Exception as error:
        return (
            f"xformers cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        )
    return None


BUILTIN = {
    row.name: row
    for row in (
        Implementation(
            WRITTEN_OUT, "linbench.attention.vanilla:vanilla", "exact", costs=counts.written_out
        ),
        Implementation("sdpa", "linbench.attention.fused:sdpa", "exact", costs=counts.fused),
        Implementation(
            "xformers",
            "linbench.attention.fused:xformers",
            "exact",
            costs=counts.fused,
            unavailable=_xformers_unavailable,
        ),
        Implementation(
            "linformer",
            "linbench.attention.linformer:linformer",
            "linformer",
            AXES,
            counts.compressed,
        ),
    )
}
_registered: dict[str, Implementation] = {}


def names() -> list[str]:
    """Return every name that `build` knows: built-in, registered, and installed entry points."""
    return list(dict.fromkeys([*BUILTIN, *_registered, *_entry_points()]))


def implementation(name: str) -> Implementation:
    """Return the row of an implementation; code behind an entry point is imported for it, once.

    Raises:
        UsageError: there is no such name (the nearest is suggested), or its code does not import.
    """
    if row := known(name):
        return row
    target = _entry_points().get(name)
    if target is None:
        raise UsageError(
            f"implementation '{name}' is unknown, expected one of {', '.join(names())}"
            f"{did_you_mean(name, names())}; or plug in your own as NAME=module:builder"
        )
    _registered[name] = _row(name, target)
    return _registered[name]


def known(name: str) -> Implementation | None:
    """Return the row of a built-in or registered name, else None; nothing is imported.

    An entry point is registered once `implementation` has loaded it.
    """
    return _registered.get(name) or BUILTIN.get(name)


def build(name: str, config: AttentionConfig) -> "list[nn.Module]":
    """Build `config.num_layers` modules `forward(x [batch, n, d_model], key_padding_mask=None)`.

    Where the row states its mathematics, modules without a `reference` of their own are given it.

    Raises:
        UsageError: the name is unknown, the configuration does not fit the implementation, or a
            plug-in returned something else than a module per layer.
    """
    row = implementation(name)
    builder = _row(name, row.build).build if isinstance(row.build, str) else row.build
    assert callable(builder)
    layers = builder(config)
    if not isinstance(layers, list) or len(layers) != config.num_layers:
        got = f"{len(layers)} modules" if isinstance(layers, list) else type(layers).__name__
        raise UsageError(
            f"the builder of '{name}' returned {got}, expected a list of {config.num_layers} "
            "torch.nn.Module, one per layer; correct the builder"
        )
    for layer in layers if row.mathematics else ():
        if not hasattr(layer, "reference"):
            layer.reference = row.mathematics  # type: ignore[assignment]  # a word, no tensor
    return layers


def register(row: Implementation) -> None:
    """Make an implementation known under its name, in this process.

    Raises:
        UsageError: the name is that of a built-in implementation.
    """
    if row.name in BUILTIN:
        raise UsageError(
            f"implementation name '{row.name}' is built in, expected a name of your own; "
            f"plug it in as e.g. 'my_{row.name}'"
        )
    _registered[row.name] = row


def load_plugin(spec: str) -> str:
    """Load others' code, register it, and return its name.

    Args:
        spec: `NAME=module:builder` or `NAME=path/to/file.py:builder`, where an `Implementation` may
            stand for the builder. `@axis+axis` after it says which axes it takes (of an
            `Implementation`: instead of its own).

    Raises:
        UsageError: the spec is malformed, the module, file or attribute is missing, or the code
            raised while it was imported.
    """
    name, target, axes = parse_spec(spec)
    row = _row(name, target)
    register(row if axes is None else replace(row, axes=axes))
    return name


def parse_spec(spec: str) -> tuple[str, str, tuple[str, ...] | None]:
    """Split `NAME=module:builder[@axis+axis]` into name, target and axes; nothing is imported.

    Raises:
        UsageError: it is malformed, or an axis is unknown.
    """
    name, target = split_spec(spec, "plug-in", "mine=mypackage.attention:build")
    where, _, attribute = target.rpartition(":")  # a path may have an "@" too
    attribute, at, listed = attribute.partition("@")
    target = f"{where}:{attribute}"
    axes = tuple(filter(None, listed.split("+"))) if at else None
    Implementation(name, target, axes=axes or ())  # which refuses unknown axes
    return name, target, axes


def unavailable(name: str, device: str) -> str | None:
    """Return why an implementation cannot run on a device such as "cpu" or "cuda:0", else None."""
    reason = implementation(name).unavailable
    return reason(device) if reason else None


def counted(
    name: str,
    config: AttentionConfig,
    seq: int,
    *,
    batch: int = 1,
    scope: str = "layer",
    mode: str = "forward",
    itemsize: int = 4,
) -> Costs | None:
    """Count what one call of an implementation costs, None where that is unknown.

    It is unknown also of an implementation that is not `known` here, as one in a run file from
    elsewhere may be. For arguments and errors see `costs.count`.
    """
    row = known(name)
    if row is None or row.costs is None:
        return None
    return row.costs(config, seq, batch=batch, scope=scope, mode=mode, itemsize=itemsize)


def _entry_points() -> dict[str, str]:
    return {entry.name: entry.value for entry in importlib.metadata.entry_points(group=GROUP)}


def _row(name: str, target: str) -> Implementation:
    """Make the row of a builder, or rename the row, that `module:attribute` is."""

    def fits(found: object) -> bool:
        return callable(found) or isinstance(found, Implementation)

    expected = "a function (AttentionConfig) -> list of modules"
    found = attribute_of(f"implementation '{name}'", target, expected, fits)
    if isinstance(found, Implementation):
        return replace(found, name=name)
    return Implementation(name, cast("Builder", found))
