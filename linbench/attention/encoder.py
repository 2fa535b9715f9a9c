"""A RoBERTa-style encoder over any attention layers, and the masked-language-model head on it.

Post-LN, GELU, learned positions, tied decoder, as in Liu et al. 2019 (arXiv 1907.11692), without
its single token type. With `vanilla` attention, d_model 768, 12 heads, 12 layers, a vocabulary of
50265 and 514 positions it is RoBERTa-base.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EncoderLayer(nn.Module):
    """LN(x + attention(x)), then LN(x + FFN(x)), with dropout of what either half adds to x."""

    def __init__(self, attention: nn.Module, d_model: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(d_model)
        self.ffn_in = nn.Linear(d_model, ffn_dim)
        self.ffn_out = nn.Linear(ffn_dim, d_model)
        self.ffn_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Transform `[batch, n, d_model]`; the mask `[batch, n]` is True at padding."""
        # a plug-in that knows no mask need not have the argument
        mask = {} if key_padding_mask is None else {"key_padding_mask": key_padding_mask}
        x = self.attention_norm(x + self.dropout(self.attention(x, **mask)))
        return cast("Tensor", self.ffn_norm(x + self.dropout(self.ffn_out(F.gelu(self.ffn_in(x))))))


class Encoder(nn.Module):
    """A stack of layers, one for each attention module.

    Args:
        attention_layers: One module per layer, as `linbench.attention.build` returns them.
        d_model: Width of the tokens.
        ffn_dim: Width between the two matrices of the FFN; 4 d_model if None.
        dropout: Probability of dropping an entry of what a layer's halves add, in training.
    """

    def __init__(
        self,
        attention_layers: list[nn.Module],
        d_model: int,
        ffn_dim: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.d_model = d_model
        self.layers = nn.ModuleList(
            EncoderLayer(attention, d_model, ffn_dim or 4 * d_model, dropout)
            for attention in attention_layers
        )

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Transform `[batch, n, d_model]`; the mask `[batch, n]` is True at padding.

        Every layer keeps padding out, since each gives it a value again; the last one's means
        nothing.
        """
        for layer in self.layers:
            x = layer(x, key_padding_mask)
        return x


class MaskedLanguageModel(nn.Module):
    """Embeddings, an encoder, and a head that predicts tokens with the embedding's own matrix.

    Args:
        encoder: The stack between embeddings and head.
        vocab_size: Number of tokens.
        max_seq_len: Number of learned positions.
        dropout: Probability of dropping an entry of the embeddings, in training.
    """

    def __init__(
        self, encoder: Encoder, vocab_size: int, max_seq_len: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        d_model = encoder.d_model
        self.token_embedding = nn.Embedding(vocab_size, d_model)
        self.position_embedding = nn.Embedding(max_seq_len, d_model)
        self.embedding_norm = nn.LayerNorm(d_model)
        self.dropout = nn.Dropout(dropout)
        self.encoder = encoder
        self.head = nn.Linear(d_model, d_model)
        self.head_norm = nn.LayerNorm(d_model)
        self.decoder = nn.Linear(d_model, vocab_size)
        self.apply(_initialise_as_roberta)
        self.decoder.weight = self.token_embedding.weight

    def forward(self, tokens: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Return logits `[batch, n, vocab_size]` for tokens `[batch, n]` int64, n <= max_seq_len.

        The mask `[batch, n]` is True at padding.
        """
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.token_embedding(tokens) + self.position_embedding(positions)
        x = self.dropout(self.embedding_norm(x))
        x = self.encoder(x, key_padding_mask)
        return cast("Tensor", self.decoder(self.head_norm(F.gelu(self.head(x)))))


def _initialise_as_roberta(module: nn.Module) -> None:
    """Draw matrices from N(0, 0.02²), with biases of 0; E and F keep their own initialisation."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
