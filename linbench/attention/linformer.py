"""Linformer (Wang et al. 2020, arXiv 2006.04768): attention to k slots, not to n tokens.

head_i = softmax(Q W_i^Q (E_i K W_i^K)ᵀ / √d) · F_i V W_i^V                       (equation 7)
"""

from typing import cast

from torch import Tensor, nn

from linbench.attention.config import AttentionConfig
from linbench.attention.costs import compresses_first
from linbench.attention.fused import fused_by_torch
from linbench.attention.projection import (
    Compressed,
    ConvProjection,
    MatrixProjection,
    Projection,
    make_projection,
)
from linbench.attention.vanilla import check_inputs, merge_heads, split_heads
from linbench.errors import UsageError


def linformer(config: AttentionConfig) -> list[nn.Module]:
    """Build a stack of Linformer layers; with layerwise sharing all hold the same projection.

    Raises:
        UsageError: the configuration has no k.
    """
    if config.sharing == "layerwise":
        shared = make_projection(config, 0)
        return [Linformer(config, layer, shared) for layer in range(config.num_layers)]
    return [
        Linformer(config, layer, make_projection(config, layer))
        for layer in range(config.num_layers)
    ]


class Linformer(nn.Module):
    """One layer of Linformer self-attention.

    Args:
        config: The shape of the stack.
        layer: Which layer of it this is, from 0.
        projection: What turns n keys and values into k; layers may hold the same object.
    """

    reference = "linformer"
    projection: Projection

    def __init__(self, config: AttentionConfig, layer: int, projection: Projection) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.num_heads = config.num_heads
        self.q_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.k_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.v_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.out_proj = nn.Linear(config.d_model, config.d_model, bias=config.bias)
        self.projection = projection

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Attend within each sequence, to k slots.

        Args:
            x: `[batch, n, d_model]`, n <= max_seq_len.
            key_padding_mask: `[batch, n]` bool, True = padding, which reaches no slot.

        Returns:
            `[batch, n, d_model]`; a sequence that is all padding gives out_proj of 0.

        Raises:
            UsageError: x or the mask has the wrong shape, or n > max_seq_len.
        """
        check_inputs(x.shape[0], x.shape[1], self.config.max_seq_len, key_padding_mask)
        if compresses_first(self.config, self.layer, x.shape[1]):
            assert not isinstance(self.projection, ConvProjection)
            compressed = self.projection.compress_inputs(
                x, key_padding_mask, self.k_proj, self.v_proj, self.num_heads
            )
        else:
            k = split_heads(self.k_proj(x), self.num_heads)
            v = split_heads(self.v_proj(x), self.num_heads)
            compressed = self.projection.compress(k, v, key_padding_mask)
            del k, v  # n rows each, which attention no longer needs
        # q has no name here, so that it is gone before the output projection takes memory
        heads = self._attend(split_heads(self.q_proj(x), self.num_heads), compressed)
        return cast("Tensor", self.out_proj(merge_heads(heads)))

    def core(
        self, q: Tensor, k: Tensor, v: Tensor, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Compress given keys and values and attend; each is `[batch, heads, n, head_dim]`."""
        check_inputs(k.shape[0], k.shape[2], self.config.max_seq_len, key_padding_mask)
        return self._attend(q, self.projection.compress(k, v, key_padding_mask))

    def projection_matrices(self, n: int) -> tuple[Tensor, Tensor]:
        """Return E and F for n tokens, each `[heads or 1, k, n]`; the same object where E = F.

        Raises:
            UsageError: the projection is not a matrix, or n > max_seq_len.
        """
        if not isinstance(self.projection, MatrixProjection):
            raise UsageError(
                f"projection='{self.config.projection}' has no matrices E and F, expected linear "
                "or jl; build with one of these"
            )
        check_inputs(1, n, self.config.max_seq_len, None)
        return self.projection.matrices(n)

    def _attend(self, q: Tensor, compressed: Compressed) -> Tensor:
        k, v, left_out = compressed
        return fused_by_torch(q, k, v, left_out, self.config.dropout if self.training else 0.0)
