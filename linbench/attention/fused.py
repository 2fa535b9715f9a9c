"""Exact attention in one kernel, without the n × n matrices in memory: the baselines to beat."""

import importlib
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from linbench.attention.config import AttentionConfig
from linbench.attention.vanilla import ExactAttention
from linbench.errors import UsageError


def sdpa(config: AttentionConfig) -> list[nn.Module]:
    """Build exact attention on PyTorch's fused `F.scaled_dot_product_attention`."""
    return [ExactAttention(config, fused_by_torch) for _ in range(config.num_layers)]


def xformers(config: AttentionConfig) -> list[nn.Module]:
    """Build exact attention on xformers' `memory_efficient_attention`, which runs on CUDA only.

    Raises:
        UsageError: xformers cannot be imported.
    """
    try:
        importlib.import_module("xformers.ops")
    except Exception as error:
        raise UsageError(
            f"implementation 'xformers' cannot be built: {type(error).__name__}: {error}; expected "
            "an xformers that fits this torch; install it, or use 'sdpa'"
        ) from error
    return [ExactAttention(config, fused_by_xformers) for _ in range(config.num_layers)]


def fused_by_torch(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Attend with `F.scaled_dot_product_attention`; q may be longer than k and v."""
    keep = None if mask is None else ~mask[:, None, None, :]  # [batch, 1, 1, n]: broadcast, no copy
    return F.scaled_dot_product_attention(q, k, v, attn_mask=keep, dropout_p=dropout)


def fused_by_xformers(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    """Attend with xformers' `memory_efficient_attention`."""
    from xformers.ops import memory_efficient_attention

    bias = None if mask is None else _aligned_bias(q, mask)
    # xformers has [batch, n, heads, head_dim]: a view for heads that were split off a projection
    q, k, v = (each.transpose(1, 2) for each in (q, k, v))
    out = memory_efficient_attention(q, k, v, attn_bias=bias, p=dropout)
    return cast("Tensor", out.transpose(1, 2))


def _aligned_bias(q: Tensor, mask: Tensor) -> Tensor:
    """Turn a mask into an additive bias `[batch, heads, n, n]` that takes memory for one row only.

    xformers' kernels read biases in aligned groups of 8, also beyond a ragged end.
    """
    batch, n = mask.shape
    row = q.new_zeros(batch, 1, 1, -(-n // 8) * 8)
    row[:, 0, 0, :n].masked_fill_(mask, float("-inf"))
    return row.expand(batch, q.shape[1], q.shape[2], -1)[..., :n]
