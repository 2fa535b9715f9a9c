"""What the implementations must compute: the paper's equations in float64, plainly.

Nothing here is shared with the fast paths but the weights. Inputs are always projected first and
compressed after, as in equation (7); keys and values are made a chunk of tokens at a time, so that
a few rows of the output can be checked at any n for a cost that is linear in n. All of it can be
differentiated.

A plug-in may opt in by an attribute `reference` on its modules: "exact" for softmax(Q Kᵀ / √d) V of
heads split from `q_proj`, `k_proj`, `v_proj` and merged into `out_proj` (`torch.nn.Linear`), with
`num_heads` beside them. A module without it has no reference here.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

# start, stop -> keys or values [batch, heads, stop - start, head_dim], float64
Tokens = Callable[[int, int], Tensor]

CHUNK = 8192  # tokens: 50 MB of float64 keys at d_model = 768

NAMES = {"exact": "exact attention, float64", "linformer": "Linformer equation (7), float64"}


def name_of(module: nn.Module) -> str | None:
    """Return the name of a module's reference, or None where its mathematics is unknown."""
    return NAMES.get(getattr(module, "reference", ""))


def layer_rows(
    module: Any, x: Tensor, rows: Tensor, key_padding_mask: Tensor | None = None
) -> Tensor:
    """Compute some rows of a layer's output.

    Args:
        module: A layer that has a reference (`name_of`).
        x: `[batch, n, d_model]`, of any float type.
        rows: Which tokens' outputs to compute, `[rows]` int64.
        key_padding_mask: `[batch, n]` bool, True = padding.

    Returns:
        `[batch, rows, d_model]` float64.
    """
    q = _heads(_linear(module.q_proj, x[:, rows]), module.num_heads)

    def keys(start: int, stop: int) -> Tensor:
        return _heads(_linear(module.k_proj, x[:, start:stop]), module.num_heads)

    def values(start: int, stop: int) -> Tensor:
        return _heads(_linear(module.v_proj, x[:, start:stop]), module.num_heads)

    heads = _attend(module, q, keys, values, x.shape[1], key_padding_mask)
    return _linear(module.out_proj, heads.transpose(1, 2).flatten(2))


def core_rows(
    module: Any,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rows: Tensor,
    key_padding_mask: Tensor | None = None,
) -> Tensor:
    """Compute some rows of a layer's attention on given queries, keys and values.

    Args:
        module: A layer that has a reference (`name_of`).
        q: `[batch, heads, n, head_dim]`, of any float type; k and v likewise.
        k: Keys.
        v: Values.
        rows: Which queries' outputs to compute, `[rows]` int64.
        key_padding_mask: `[batch, n]` bool, True = padding.

    Returns:
        `[batch, heads, rows, head_dim]` float64.
    """

    def keys(start: int, stop: int) -> Tensor:
        return k[:, :, start:stop].double()

    def values(start: int, stop: int) -> Tensor:
        return v[:, :, start:stop].double()

    return _attend(module, q[:, :, rows].double(), keys, values, k.shape[2], key_padding_mask)


def _attend(
    module: Any, q: Tensor, keys: Tokens, values: Tokens, n: int, mask: Tensor | None
) -> Tensor:
    if mask is None:
        mask = torch.zeros(q.shape[0], n, dtype=torch.bool, device=q.device)
    if module.reference == "exact":
        return _exact(q, keys, values, n, mask)
    return _linformer(module, q, keys, values, n, mask)


def _exact(q: Tensor, keys: Tokens, values: Tokens, n: int, mask: Tensor) -> Tensor:
    """softmax(Q Kᵀ / √d) V, and 0 for a sequence that is all padding."""
    scores = [q @ keys(a, b).transpose(-2, -1) for a, b in _chunks(n)]
    P = _softmax(torch.cat(scores, -1) / math.sqrt(q.shape[-1]), mask)
    parts = [P[..., a:b] @ values(a, b) for a, b in _chunks(n)]
    return torch.stack(parts).sum(0)


def _linformer(
    module: Any, q: Tensor, keys: Tokens, values: Tokens, n: int, mask: Tensor
) -> Tensor:
    """softmax(Q (E K)ᵀ / √d) (F V), equation (7), for each of the projections."""
    config, layer = module.config, module.layer
    kind = config.projection
    if kind in ("linear", "jl"):
        E, F = module.projection_matrices(n)
        k, v = _matrix_slots(E, keys, n, mask), _matrix_slots(F, values, n, mask)
        empty = torch.zeros(q.shape[0], k.shape[2], dtype=torch.bool, device=q.device)
    else:
        window = config.max_seq_len // config.k_of(layer)
        filters = module.projection.weight.double() if kind == "conv" else None
        half = 0 if filters is None or filters.shape[0] == 1 else filters.shape[0] // 2
        filters_k = None if filters is None else filters[: half or None]
        filters_v = None if filters is None else filters[half:]
        k = _window_slots(kind, window, filters_k, keys, n, mask)
        v = _window_slots(kind, window, filters_v, values, n, mask)
        empty = torch.stack([mask[:, a : a + window].all(1) for a in range(0, n, window)], 1)
    P = _softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), empty)
    return P @ v


def _matrix_slots(matrix: Tensor, tokens: Tokens, n: int, mask: Tensor) -> Tensor:
    """E K, with K zero at padding; F V likewise."""
    parts = []
    for a, b in _chunks(n):
        valid = ~mask[:, None, a:b, None]
        parts.append(matrix[..., a:b].double() @ (tokens(a, b) * valid))
    return torch.stack(parts).sum(0)


def _window_slots(
    kind: str, window: int, filters: Tensor | None, tokens: Tokens, n: int, mask: Tensor
) -> Tensor:
    """One slot for each window of tokens."""
    slots = []
    for start, stop in _chunks(n, multiple_of=window):
        chunk = tokens(start, stop)
        for a in range(start, stop, window):
            x = chunk[:, :, a - start : a - start + window]
            slots.append(_one_slot(kind, filters, x, mask[:, a : a + window]))
    return torch.stack(slots, 2)


def _one_slot(kind: str, filters: Tensor | None, x: Tensor, padding: Tensor) -> Tensor:
    """Reduce one window `[batch, heads, tokens, head_dim]` to `[batch, heads, head_dim]`."""
    valid = ~padding[:, None, :, None]
    if kind == "mean":
        return (x * valid).sum(2) / valid.sum(2).clamp(min=1)
    if kind == "max":
        largest = x.masked_fill(~valid, -math.inf).amax(2)
        return largest.masked_fill(~valid.any(2), 0.0)
    assert filters is not None  # conv: [heads or 1, head_dim, window]
    return (x * valid * filters[:, :, : x.shape[2]].transpose(1, 2)).sum(2)


def _softmax(scores: Tensor, left_out: Tensor) -> Tensor:
    """Softmax over what is not left out `[batch, keys]`; all zero where everything is."""
    scores = scores.masked_fill(left_out[:, None, None, :], -math.inf)
    nothing = left_out.all(1)[:, None, None, None]
    return scores.masked_fill(nothing, 0.0).softmax(-1).masked_fill(nothing, 0.0)


def _chunks(n: int, multiple_of: int = 1) -> Iterator[tuple[int, int]]:
    step = max(CHUNK // multiple_of, 1) * multiple_of
    return ((start, min(start + step, n)) for start in range(0, n, step))


def _linear(proj: nn.Linear, x: Tensor) -> Tensor:
    y = x.double() @ proj.weight.double().T
    return y if proj.bias is None else y + proj.bias.double()


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """[batch, n, heads * head_dim] -> [batch, heads, n, head_dim]."""
    return torch.unflatten(x, -1, (num_heads, -1)).transpose(1, 2)
