"""Linformer (Wang et al. 2020, arXiv 2006.04768): attention to k slots, not to n tokens.

head_i = softmax(Q W_i^Q (E_i K W_i^K)ᵀ / √d) · F_i V W_i^V                       (equation 7)
"""

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
from linbench.attention.vanilla import SelfAttention, check_inputs, split_heads
from linbench.errors import UsageError


def linformer(config: AttentionConfig) -> list[nn.Module]:
    """Build a stack of Linformer layers; with layerwise sharing all hold the same projection.

    Raises:
        UsageError: the configuration has no k.
    """
    shared = make_projection(config, 0) if config.sharing == "layerwise" else None
    return [
        Linformer(config, layer, shared or make_projection(config, layer))
        for layer in range(config.num_layers)
    ]


class Linformer(SelfAttention):
    """One layer of Linformer self-attention, to k slots.

    Args:
        config: The shape of the stack.
        layer: Which layer of it this is, from 0.
        projection: What turns n keys and values into k; layers may hold the same object.
    """

    reference = "linformer"
    projection: Projection

    def __init__(self, config: AttentionConfig, layer: int, projection: Projection) -> None:
        super().__init__(config)
        self.config = config
        self.layer = layer
        self.projection = projection

    def heads(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Project, compress keys and values in the cheaper order, and attend."""
        if compresses_first(self.config, self.layer, x.shape[1]):
            assert not isinstance(self.projection, ConvProjection)
            compressed = self.projection.compress_inputs(
                x, mask, self.k_proj, self.v_proj, self.num_heads
            )
        else:
            k = split_heads(self.k_proj(x), self.num_heads)
            v = split_heads(self.v_proj(x), self.num_heads)
            compressed = self.projection.compress(k, v, mask)
            del k, v  # n rows each, which attention no longer needs
        return self._attend(split_heads(self.q_proj(x), self.num_heads), compressed)

    def core(
        self, q: Tensor, k: Tensor, v: Tensor, key_padding_mask: Tensor | None = None
    ) -> Tensor:
        """Compress given keys and values and attend; each is `[batch, heads, n, head_dim]`."""
        check_inputs(k.shape[0], k.shape[2], self.max_seq_len, key_padding_mask)
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
        check_inputs(1, n, self.max_seq_len, None)
        return self.projection.matrices(n)

    def _attend(self, q: Tensor, compressed: Compressed) -> Tensor:
        k, v, left_out = compressed
        return fused_by_torch(q, k, v, left_out, self.dropout if self.training else 0.0)
