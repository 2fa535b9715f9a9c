"""How n keys or values become k slots: the matrices E and F of Linformer, and what stands for them.

Three modules with one interface. `compress(k, v, mask)` turns keys and values `[batch, heads, n,
head_dim]` into compressed ones; padding is zeroed there, after the input projection and its bias.
Those that commute with the input projections W (matrices and means) also have
`compress_inputs(x, mask, k_proj, v_proj, num_heads)`, which compresses the tokens before W.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from linbench.attention.config import AttentionConfig
from linbench.attention.vanilla import split_heads

COPY_FROM = 1024
"""The k from which one product over a copy of all heads is faster than one for each (on a CPU)."""

# compressed keys and values [batch, heads, slots, head_dim], and which slots to leave out
# [batch, slots] (None: all count)
Compressed = tuple[Tensor, Tensor, Tensor | None]


def make_projection(config: AttentionConfig, layer: int) -> "Projection":
    """Build the projection of one layer (counted from 0), on its own."""
    k = config.k_of(layer)
    if config.projection in ("linear", "jl"):
        return MatrixProjection(config, k)
    if config.projection == "conv":
        return ConvProjection(config, config.max_seq_len // k)
    return PoolProjection(config.projection, config.max_seq_len // k)


class MatrixProjection(nn.Module):
    """E and F as matrices: learned (`linear`), or a fixed Gaussian (`jl`, Theorem 1).

    All distinct matrices of a layer are one tensor `weight [matrices, k, n_max]`, E before F, so
    that one product applies them together without a copy; where E = F they are there once.
    """

    weight: Tensor

    def __init__(self, config: AttentionConfig, k: int) -> None:
        super().__init__()
        weight = torch.empty(config.matrices_per_layer, k, config.max_seq_len)
        if config.projection == "jl":
            self.register_buffer("weight", weight.normal_(std=k**-0.5))
        else:
            self.weight = nn.Parameter(initialise(weight, config.init, fan_out=k))

    def matrices(self, n: int) -> tuple[Tensor, Tensor]:
        """Return E and F for n tokens, each `[heads or 1, k, n]`; the same object where E = F."""
        return _sides(self._columns(n), dim=0)

    def compress(self, k: Tensor, v: Tensor, mask: Tensor | None) -> Compressed:
        """Compute E K and F V."""
        k, v = _zero_padding(k, mask), _zero_padding(v, mask)
        E, F_ = self.matrices(k.shape[2])
        return _product_over_heads(E, k), _product_over_heads(F_, v), None

    def compress_inputs(
        self, x: Tensor, mask: Tensor | None, k_proj: nn.Linear, v_proj: nn.Linear, num_heads: int
    ) -> Compressed:
        """Compute (E X) W + (E 1) bᵀ for keys and values, which equals E (X W + 1 bᵀ).

        X and 1 are zero at padding, which is what zeroing after the bias amounts to.
        """
        weight = self._columns(x.shape[1])

        def each_times(x: Tensor) -> Tensor:  # [batch, n, c] -> [batch, matrices, k, c]
            return torch.unflatten(_product(weight.flatten(0, 1), x), 1, weight.shape[:2])

        EX_k, EX_v = _sides(each_times(_zero_padding(x, mask)), dim=1)
        E1_k = E1_v = None  # [batch or 1, heads or 1, k]
        if k_proj.bias is not None:
            ones = None if mask is None else (~mask)[:, :, None].to(x.dtype)
            E1 = weight.sum(-1)[None] if ones is None else each_times(ones).squeeze(-1)
            E1_k, E1_v = _sides(E1, dim=1)
        k = _project_slots(EX_k, E1_k, k_proj, num_heads)
        return k, _project_slots(EX_v, E1_v, v_proj, num_heads), None

    def _columns(self, n: int) -> Tensor:
        # slicing off nothing is free forward, but costs a copy of the gradient backward
        return self.weight if n == self.weight.shape[2] else self.weight[:, :, :n]


class PoolProjection(nn.Module):
    """Mean or maximum over windows of n_max / k tokens. It has no parameters."""

    def __init__(self, kind: str, window: int) -> None:
        super().__init__()
        self.kind = kind
        self.window = window

    def compress(self, k: Tensor, v: Tensor, mask: Tensor | None) -> Compressed:
        """Pool keys and values; padding counts for nothing."""
        pool = _mean if self.kind == "mean" else _max
        k, v = pool(k, mask, self.window), pool(v, mask, self.window)
        return _leave_out(k, v, mask, self.window)

    def compress_inputs(
        self, x: Tensor, mask: Tensor | None, k_proj: nn.Linear, v_proj: nn.Linear, num_heads: int
    ) -> Compressed:
        """Compute mean(X) W + b, which equals mean(X W + b); of a maximum it would not be true."""
        pooled = _mean(x, mask, self.window)  # [batch, slots, d_model]
        k, v = split_heads(k_proj(pooled), num_heads), split_heads(v_proj(pooled), num_heads)
        return _leave_out(k, v, mask, self.window)


class ConvProjection(nn.Module):
    """Depthwise convolution, kernel = stride = window = n_max / k: a filter for each channel.

    `weight [matrices, head_dim, window]` holds the filters of E, then those of F, shared between
    heads, between E and F, and between layers as matrices would be. A last window that is cut
    short uses the first part of its filter.
    """

    def __init__(self, config: AttentionConfig, window: int) -> None:
        super().__init__()
        self.window = window
        weight = torch.empty(config.matrices_per_layer, config.head_dim, window)
        # as a matrix, a filter is one row over one window
        self.weight = nn.Parameter(initialise(weight, config.init, fan_out=1))

    def compress(self, k: Tensor, v: Tensor, mask: Tensor | None) -> Compressed:
        """Convolve keys and values."""
        filters_k, filters_v = _sides(self.weight, dim=0)
        k = _convolve(_zero_padding(k, mask), filters_k)
        v = _convolve(_zero_padding(v, mask), filters_v)
        return _leave_out(k, v, mask, self.window)


Projection = MatrixProjection | PoolProjection | ConvProjection


def initialise(weight: Tensor, init: str, fan_out: int) -> Tensor:
    """Fill matrices `[..., k, n_max]`, or filters of fan_out 1, as `AttentionConfig.init` says."""
    columns = weight.shape[-1]
    filters = fan_out == 1
    if init == "xavier":
        bound = (6 / (columns + fan_out)) ** 0.5
        return weight.uniform_(-bound, bound)
    if init == "mean":
        slot = torch.arange(columns) // (columns // fan_out)
        # a row of a matrix averages its own window; all that a filter sees is its window
        mine = torch.ones(1, columns) if filters else slot == torch.arange(fan_out)[:, None]
        return weight.copy_(mine / mine.sum(-1, keepdim=True))
    spread = (columns if filters else fan_out) ** -0.5
    return weight.normal_(std=spread) if init == "normal" else weight.uniform_(-spread, spread)


def _sides(both: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Split what belongs to E from what belongs to F; where E = F both are the same object."""
    if both.shape[dim] == 1:
        return both, both
    E, F_ = torch.unflatten(both, dim, (2, -1)).unbind(dim)
    return E, F_


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    """Multiply one matrix `[m, n]` with every `[n, c]` of `[batch, n, c]`."""
    if x.shape[0] == 1:
        return torch.mm(matrix, x.squeeze(0)).unsqueeze(0)
    # not matmul: to spare the gradient an expansion it would copy x, which is larger
    return torch.bmm(matrix.expand(x.shape[0], -1, -1), x)


def _product_over_heads(matrices: Tensor, x: Tensor) -> Tensor:
    """Multiply `[heads or 1, k, n]` with `[batch, heads, n, head_dim]`; copy x only if it must."""
    batch, heads, _, _ = x.shape
    if matrices.shape[0] > 1:
        if batch == 1:
            return torch.bmm(matrices, x.squeeze(0)).unsqueeze(0)
        return torch.einsum("hkn,bhnc->bhkc", matrices, x)
    matrix = matrices.squeeze(0)
    tokens_first = x.transpose(1, 2)  # [batch, n, heads, head_dim]
    # A head at a time, the matrix is read once for each head, and so is its gradient made and then
    # added up: from some k on, and for the gradient always, more than a copy of x.
    if (
        tokens_first.is_contiguous()
        or matrix.shape[0] >= COPY_FROM
        or (matrix.requires_grad and torch.is_grad_enabled())
    ):
        return split_heads(_product(matrix, tokens_first.flatten(2)), heads)
    return torch.unflatten(_product(matrix, x.flatten(0, 1)), 0, (batch, heads))


def _project_slots(EX: Tensor, E1: Tensor | None, proj: nn.Linear, num_heads: int) -> Tensor:
    """Compute (E X) W + (E 1) bᵀ from E X `[batch, heads or 1, k, d_model]`, as heads."""
    if EX.shape[1] == 1:
        slots = F.linear(EX.squeeze(1), proj.weight)  # [batch, k, d_model]
        if E1 is not None:
            slots = slots + E1.squeeze(1)[:, :, None] * proj.bias
        return split_heads(slots, num_heads)
    # head i only needs the rows of W that make head i
    W = torch.unflatten(proj.weight, 0, (num_heads, -1))  # [heads, head_dim, d_model]
    slots = torch.einsum("bhkd,hcd->bhkc", EX, W)
    if E1 is not None:
        slots = slots + E1[:, :, :, None] * proj.bias.view(num_heads, 1, -1)
    return slots


def _zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zero `[batch, n, c]` or `[batch, heads, n, c]` where the mask `[batch, n]` says padding."""
    return x if mask is None else x.masked_fill(_over(x, mask), 0.0)


def _over(x: Tensor, mask: Tensor) -> Tensor:
    return mask[:, :, None] if x.dim() == 3 else mask[:, None, :, None]


def _windows(x: Tensor, window: int) -> list[Tensor]:
    """View `[..., n, c]` as windows `[..., slots, window, c]` and a last `[..., 1, rest, c]`."""
    slots, rest = divmod(x.shape[-2], window)
    whole, tail = (x, None) if rest == 0 else torch.split(x, [slots * window, rest], -2)
    parts = [torch.unflatten(whole, -2, (slots, window))] if slots else []
    return parts if tail is None else [*parts, tail.unsqueeze(-3)]


def _empty_slots(mask: Tensor, window: int) -> Tensor:
    """Return which windows hold nothing but padding, `[batch, slots]`."""
    return torch.cat([part.all(-2) for part in _windows(mask[:, :, None], window)], -2).squeeze(-1)


def _mean(x: Tensor, mask: Tensor | None, window: int) -> Tensor:
    """Average each window of `[..., n, c]` over its tokens that are not padding."""
    if mask is None:
        return torch.cat([part.mean(-2) for part in _windows(x, window)], -2)
    sums = [part.sum(-2) for part in _windows(_zero_padding(x, mask), window)]
    counts = [part.sum(-2) for part in _windows(_over(x, ~mask), window)]
    return torch.cat(sums, -2) / torch.cat(counts, -2).clamp(min=1)


def _max(x: Tensor, mask: Tensor | None, window: int) -> Tensor:
    """Take the largest value in each window of `[batch, heads, n, c]` that is not padding, or 0."""
    if mask is None:
        return torch.cat([part.amax(-2) for part in _windows(x, window)], -2)
    x = x.masked_fill(_over(x, mask), float("-inf"))
    slots = torch.cat([part.amax(-2) for part in _windows(x, window)], -2)
    return _zero_padding(slots, _empty_slots(mask, window))


def _convolve(x: Tensor, filters: Tensor) -> Tensor:
    """Convolve `[batch, heads, n, head_dim]` with `[heads or 1, head_dim, window]` filters.

    Written as a product and a sum over views of the windows: a depthwise `conv1d` wants channels
    before tokens, and so first copies all of x (measured on CPU: 4 times the time).
    """
    taps = filters.transpose(1, 2).unsqueeze(1)  # [heads or 1, 1, window, head_dim]
    parts = _windows(x, filters.shape[-1])
    return torch.cat([(part * taps[:, :, : part.shape[-2]]).sum(-2) for part in parts], -2)


def _leave_out(k: Tensor, v: Tensor, mask: Tensor | None, window: int) -> Compressed:
    """Make attention pass over empty slots; where all are empty it sees values of 0 instead."""
    if mask is None:
        return k, v, None
    empty = _empty_slots(mask, window)
    return k, _zero_padding(v, empty), empty & ~empty.all(dim=1, keepdim=True)
