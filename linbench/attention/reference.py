"""What the implementations must compute: the paper's equations in float64, plainly.

Nothing here is shared with the fast paths but the weights. Inputs are always projected first and
compressed after, as in equation (7); keys and values are made a chunk of tokens at a time, so that
a few rows of the output can be checked at any n for a cost that is linear in n. All of it can be
differentiated.

A plug-in may opt in by an attribute `reference` on its modules, or by the `mathematics` of its
`Implementation`, which `build` writes there: "exact" for softmax(Q Kᵀ / √d) V of heads split from
`q_proj`, `k_proj`, `v_proj` and merged into `out_proj` (each with a `weight` and a `bias`, as
`torch.nn.Linear`), with `num_heads` beside them. A module without it has no reference here.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from linbench.errors import UsageError

# start, stop -> keys or values [batch, heads, stop - start, head_dim], float64
Tokens = Callable[[int, int], Tensor]
# module, q [batch, heads, rows, head_dim], keys, values, mask [batch, n] -> as q
Equation = Callable[[Any, Tensor, Tokens, Tokens, Tensor], Tensor]

CHUNK = 8192  # tokens: 50 MB of float64 keys at d_model = 768

NAMES = {"exact": "exact attention, float64", "linformer": "Linformer equation (7), float64"}

LAYER = ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads")
"""What a layer must have to be held against any of the equations."""

NEEDS = {
    "exact": LAYER,
    "linformer": (*LAYER, "config", "layer", "projection", "projection_matrices"),
}
"""What a module must have that says so by its `reference`."""


def mathematics_of(module: nn.Module) -> str | None:
    """Return which equation a module is held against: "exact", "linformer", or None if unknown.

    Raises:
        UsageError: the module says which, but lacks what that needs.
    """
    word = getattr(module, "reference", None)
    if not isinstance(word, str) or word not in NEEDS:
        return None
    missing = [need for need in NEEDS[word] if not hasattr(module, need)]
    if missing:
        raise UsageError(
            f"reference='{word}' on {type(module).__name__} needs {', '.join(NEEDS[word])}, but "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; add what is "
            "missing, or state no reference"
        )
    return word


def name_of(module: nn.Module) -> str | None:
    """Return the name of a module's reference, or None where its mathematics is unknown.

    Raises:
        UsageError: the module says which, but lacks what that needs.
    """
    return NAMES.get(mathematics_of(module) or "")


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

    Raises:
        UsageError: the module has no reference, or lacks what it needs.
    """
    equation = _equation(module)
    q = _heads(_linear(module.q_proj, x[:, rows]), module.num_heads)

    def keys(start: int, stop: int) -> Tensor:
        return _heads(_linear(module.k_proj, x[:, start:stop]), module.num_heads)

    def values(start: int, stop: int) -> Tensor:
        return _heads(_linear(module.v_proj, x[:, start:stop]), module.num_heads)

    heads = equation(module, q, keys, values, _mask(x.shape[0], x.shape[1], key_padding_mask, x))
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

    Raises:
        UsageError: the module has no reference, or lacks what it needs.
    """
    equation = _equation(module)

    def keys(start: int, stop: int) -> Tensor:
        return k[:, :, start:stop].double()

    def values(start: int, stop: int) -> Tensor:
        return v[:, :, start:stop].double()

    mask = _mask(k.shape[0], k.shape[2], key_padding_mask, k)
    return equation(module, q[:, :, rows].double(), keys, values, mask)


def _equation(module: nn.Module) -> Equation:
    word = mathematics_of(module)
    if word is None:
        raise UsageError(
            f"{type(module).__name__} has no reference, expected an attribute `reference` of "
            f"{' or '.join(NEEDS)}; see linbench.attention.reference"
        )
    return {"exact": _exact, "linformer": _linformer}[word]


def _mask(batch: int, n: int, mask: Tensor | None, like: Tensor) -> Tensor:
    """Return the mask `[batch, n]`, or one without padding."""
    if mask is not None:
        return mask
    return torch.zeros(batch, n, dtype=torch.bool, device=like.device)


def _exact(_: Any, q: Tensor, keys: Tokens, values: Tokens, mask: Tensor) -> Tensor:
    """softmax(Q Kᵀ / √d) V, and 0 for a sequence that is all padding."""
    n = mask.shape[1]
    scores = [q @ keys(a, b).transpose(-2, -1) for a, b in _chunks(n)]
    P = _softmax(torch.cat(scores, -1) / math.sqrt(q.shape[-1]), mask)
    parts = [P[..., a:b] @ values(a, b) for a, b in _chunks(n)]
    return torch.stack(parts).sum(0)


def _linformer(module: Any, q: Tensor, keys: Tokens, values: Tokens, mask: Tensor) -> Tensor:
    """softmax(Q (E K)ᵀ / √d) (F V), equation (7), for each of the projections."""
    config, layer, n = module.config, module.layer, mask.shape[1]
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


def _linear(proj: Any, x: Tensor) -> Tensor:
    y: Tensor = x.double() @ proj.weight.double().T
    return y if proj.bias is None else y + proj.bias.double()


def _heads(x: Tensor, num_heads: int) -> Tensor:
    """[batch, n, heads * head_dim] -> [batch, heads, n, head_dim]."""
    return torch.unflatten(x, -1, (num_heads, -1)).transpose(1, 2)
