"""Exact attention: its four projections and padding rules, and the written-out kernel."""

from collections.abc import Callable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linbench.attention.config import AttentionConfig
from linbench.errors import UsageError

# (q, k, v [batch, heads, n, head_dim], mask [batch, n] or None, dropout probability) -> as q
Kernel = Callable[[Tensor, Tensor, Tensor, Tensor | None, float], Tensor]


def vanilla(config: AttentionConfig) -> list[nn.Module]:
    """Build attention as it is written: softmax(Q Kᵀ / √d) V, with its n × n matrices."""
    return [ExactAttention(config, written_out) for _ in range(config.num_layers)]


class SelfAttention(nn.Module):
    """Multi-head attention between its four projections; subclasses say how heads attend."""

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.max_seq_len = config.max_seq_len
        self.dropout = config.dropout
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.v_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.out_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Attend within each sequence.

        Args:
            x: `[batch, n, d_model]`, n <= max_seq_len.
            key_padding_mask: `[batch, n]` bool, True = padding, which reaches no other token.

        Returns:
            `[batch, n, d_model]`; a sequence that is all padding gives out_proj of 0.

        Raises:
            UsageError: x or the mask has the wrong shape, or n > max_seq_len.
        """
        check_inputs(x.shape[0], x.shape[1], self.max_seq_len, key_padding_mask)
        # queries, keys and values are gone before the output projection takes memory
        heads = self.heads(x, key_padding_mask)
        return cast("Tensor", self.out_proj(merge_heads(heads)))

    def heads(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Project and attend: `[batch, n, d_model]` to `[batch, heads, n, head_dim]`."""
        raise NotImplementedError


class ExactAttention(SelfAttention):
    """Attention of all n tokens to all n tokens, over an exchangeable kernel."""

    reference = "exact"

    def __init__(self, config: AttentionConfig, kernel: Kernel) -> None:
        super().__init__(config)
        self.kernel = kernel

    def heads(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Project and attend."""
        q = split_heads(self.q_proj(x), self.num_heads)
        k = split_heads(self.k_proj(x), self.num_heads)
        v = split_heads(self.v_proj(x), self.num_heads)
        return self.core(q, k, v, mask)

    def core(
        self, q: Tensor, k: Tensor, v: Tensor, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Attend with given queries, keys and values, each `[batch, heads, n, head_dim]`."""
        check_inputs(k.shape[0], k.shape[2], self.max_seq_len, key_padding_mask)
        p = self.dropout if self.training else 0.0
        if key_padding_mask is None:
            return self.kernel(q, k, v, None, p)
        # a softmax over nothing is NaN: let a row that is all padding attend, then make it 0
        empty = key_padding_mask.all(dim=1)
        out = self.kernel(q, k, v, key_padding_mask & ~empty[:, None], p)
        return out.masked_fill(empty[:, None, None, None], 0.0)


def written_out(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Compute softmax(Q Kᵀ / √d) V with the n × n matrices in memory (Vaswani 2017, eq. 1)."""
    # scaling q, not the scores, spares one pass over an n × n matrix
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # [batch, heads, n, n]
    if mask is not None:
        scores = scores.masked_fill(mask[:, None, None, :], float("-inf"))
    P = scores.softmax(dim=-1)
    del scores
    if dropout:
        P = F.dropout(P, dropout)
    return torch.matmul(P, v)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """View `[batch, n, heads * head_dim]` as `[batch, heads, n, head_dim]`."""
    batch, n, width = x.shape
    return x.view(batch, n, num_heads, width // num_heads).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """Turn `[batch, heads, n, head_dim]` into `[batch, n, heads * head_dim]`, a view if split."""
    batch, heads, n, head_dim = x.shape
    return x.transpose(1, 2).reshape(batch, n, heads * head_dim)


def check_inputs(batch: int, n: int, max_seq_len: int, mask: Tensor | None) -> None:
    """Refuse sequences that are too long, and masks that are not `[batch, n]` bool."""
    if n > max_seq_len:
        raise UsageError(
            f"the input has n={n} tokens, expected at most max_seq_len={max_seq_len}; "
            "shorten the input, or build with a larger max_seq_len"
        )
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise UsageError(
            f"key_padding_mask is of {mask.dtype}, expected torch.bool with True = padding; "
            "convert it, for example with mask.bool()"
        )
    if mask.shape != (batch, n):
        raise UsageError(
            f"key_padding_mask has shape {tuple(mask.shape)}, expected [batch, n] = "
            f"{(batch, n)}; give one entry for each token"
        )
