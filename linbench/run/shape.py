"""A case as the attention library sees it: the configuration that builds it, and what it costs."""

import functools
import math
from dataclasses import dataclass

from linbench import attention
from linbench.attention.config import AttentionConfig
from linbench.attention.costs import Costs
from linbench.errors import UsageError
from linbench.run.case import WHO, Case

_CHOSEN = ("sharing", "projection", "order")
ITEMSIZE = {"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class Shape:
    """The shape of a case that has no holes."""

    impl: str
    n: int
    d_model: int
    heads: int
    batch: int
    dtype: str
    device: str


def shape_of(case: Case) -> Shape:
    """Return the shape of a case.

    Raises:
        UsageError: part of it is not known.
    """
    impl, n, d_model, heads = case.impl, case.seq, case.d_model, case.heads
    batch, dtype, device = case.batch, case.dtype, case.device
    if (
        impl is None
        or n is None
        or d_model is None
        or heads is None
        or batch is None
        or dtype is None
        or device is None
    ):
        raise UsageError(
            f"the shape of '{case.label}' is not known, expected n, d_model, heads, batch, dtype "
            "and device; measure it with 'linbench sweep'"
        )
    return Shape(impl, n, d_model, heads, batch, dtype, device)


def config_of(case: Case) -> AttentionConfig:
    """Return the configuration that builds the modules of a case.

    Raises:
        UsageError: its shape is not known, or cannot be built (k > n, …).
    """
    shape = shape_of(case)
    return AttentionConfig(
        d_model=shape.d_model,
        num_heads=shape.heads,
        max_seq_len=shape.n,
        num_layers=case.layers,
        k=case.k,
        **{name: value for name in _CHOSEN if (value := getattr(case, name)) is not None},
    )


@functools.lru_cache(maxsize=1 << 17)
def costs_of(case: Case) -> Costs | None:
    """Count what one call costs; None for unknown code or dtype, and what cannot be built."""
    if case.scope == "function" or case.dtype not in ITEMSIZE:
        return None
    try:
        shape = shape_of(case)
        return attention.counted(
            shape.impl,
            config_of(case),
            shape.n,
            batch=shape.batch,
            scope=case.scope,
            mode=case.mode,
            itemsize=ITEMSIZE[case.dtype],
        )
    except UsageError:
        return None


def matrices_bytes(case: Case) -> int | None:
    """Return what E and F of a case take, in bytes; None where they are no weights."""
    own = costs_of(case)
    exact = costs_of(case.key(*WHO).model_copy(update={"impl": attention.WRITTEN_OUT}))
    return None if own is None or exact is None else own.weights_bytes - exact.weights_bytes


def unbounded(case: Case) -> int:
    """Return an n beyond any that is measured, which the windows of a case divide."""
    ks = case.k if isinstance(case.k, tuple) else (case.k or 1,)
    return math.lcm(*(case.k_divisor,) if case.k_divisor else ks) << 44
