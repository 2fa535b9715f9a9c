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
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from linbench.errors import UsageError

# start, stop -> keys or values [batch, heads, stop - start, head_dim], float64
Tokens = Callable[[int, int], Tensor]

CHUNK = 8192  # tokens: 50 MB of float64 keys at d_model = 768


class Equation(NamedTuple):
    """An equation that modules can be held against."""

    name: str
    # module, q [batch, heads, rows, head_dim], keys, values, mask [batch, n] -> as q
    attend: Callable[[Any, Tensor, Tokens, Tokens, Tensor], Tensor]
    needs: tuple[str, ...]  # attributes that a module must have


def mathematics_of(module: nn.Module) -> str | None:
    """Return which equation a module is held against: "exact", "linformer", or None if unknown.

    Raises:
        UsageError: the module says which, but lacks what that needs.
    """
    word = getattr(module, "reference", None)
    if not isinstance(word, str) or word not in EQUATIONS:
        return None
    needs = EQUATIONS[word].needs
    missing = [need for need in needs if not hasattr(module, need)]
    if missing:
        raise UsageError(
            f"reference='{word}' on {type(module).__name__} needs {', '.join(needs)}, but "
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; add what is "
            "missing, or state no reference"
        )
    return word


def name_of(module: nn.Module) -> str | None:
    """Return the name of a module's reference, None where `mathematics_of` is None."""
    word = mathematics_of(module)
    return EQUATIONS[word].name if word else None


def layer_rows(
    module: Any, x: Tensor, rows: Tensor, key_padding_mask: Tensor | None = None
) -> Tensor:
    """Compute some rows of a layer's output.

    Args:
        module: A layer that has a reference.
        x: `[batch, n, d_model]`, of any float type.
        rows: Which tokens' outputs to compute, `[rows]` int64.
        key_padding_mask: `[batch, n]` bool, True = padding.

    Returns:
        `[batch, rows, d_model]` float64.

    Raises:
        UsageError: the module has no reference, or lacks what it needs.
    """

    def heads(proj: Any, tokens: Tensor) -> Tensor:
        return torch.unflatten(_linear(proj, tokens), -1, (module.num_heads, -1)).transpose(1, 2)

    attended = _equation(module).attend(
        module,
        heads(module.q_proj, x[:, rows]),
        lambda start, stop: heads(module.k_proj, x[:, start:stop]),
        lambda start, stop: heads(module.v_proj, x[:, start:stop]),
        _mask_of(key_padding_mask, x),
    )
    return _linear(module.out_proj, attended.transpose(1, 2).flatten(2))


def core_rows(
    module: Any,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rows: Tensor,
    key_padding_mask: Tensor | None = None,
) -> Tensor:
    """Compute some rows of a layer's attention on given queries, keys and values.

    As `layer_rows`, from `[batch, heads, n, head_dim]` to `[batch, heads, rows, head_dim]`.
    """
    return _equation(module).attend(
        module,
        q[:, :, rows].double(),
        lambda start, stop: k[:, :, start:stop].double(),
        lambda start, stop: v[:, :, start:stop].double(),
        _mask_of(key_padding_mask, k[:, 0]),
    )


def _equation(module: nn.Module) -> Equation:
    word = mathematics_of(module)
    if word is None:
        raise UsageError(
            f"{type(module).__name__} has no reference, expected an attribute `reference` of "
            f"{' or '.join(EQUATIONS)}; see linbench.attention.reference"
        )
    return EQUATIONS[word]


def _mask_of(mask: Tensor | None, x: Tensor) -> Tensor:
    return x.new_zeros(x.shape[:2], dtype=torch.bool) if mask is None else mask


def _exact(_: Any, q: Tensor, keys: Tokens, values: Tokens, mask: Tensor) -> Tensor:
    """softmax(Q Kᵀ / √d) V, and 0 for a sequence that is all padding."""
    n = mask.shape[1]
    scores = [q @ keys(a, b).transpose(-2, -1) for a, b in _chunks(n)]
    P = _softmax(torch.cat(scores, -1) / math.sqrt(q.shape[-1]), mask)
    parts = [P[..., a:b] @ values(a, b) for a, b in _chunks(n)]
    return torch.stack(parts).sum(0)


def _linformer(module: Any, q: Tensor, keys: Tokens, values: Tokens, mask: Tensor) -> Tensor:
    """softmax(Q (E K)ᵀ / √d) (F V), equation (7), for each of the projections."""
    config, n, kind = module.config, mask.shape[1], module.config.projection
    if kind in ("linear", "jl"):
        E, F = module.projection_matrices(n)
        k, v = _matrix_slots(E, keys, n, mask), _matrix_slots(F, values, n, mask)
        empty = mask.new_zeros(q.shape[0], k.shape[2])
    else:
        window = config.max_seq_len // config.k_of(module.layer)
        E = F = None
        if kind == "conv":
            filters = module.projection.weight.double()
            half = filters.shape[0] // 2  # E's, then F's; where E = F there is one
            E, F = filters[: half or None], filters[half:]
        k = _window_slots(kind, window, E, keys, mask)
        v = _window_slots(kind, window, F, values, mask)
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
    kind: str, window: int, filters: Tensor | None, tokens: Tokens, mask: Tensor
) -> Tensor:
    """Reduce each window of tokens `[batch, heads, tokens, head_dim]` to one slot."""
    slots = []
    for start, stop in _chunks(mask.shape[1], multiple_of=window):
        chunk = tokens(start, stop)
        for a in range(0, stop - start, window):
            x, padding = chunk[:, :, a : a + window], mask[:, start:stop][:, a : a + window]
            valid = ~padding[:, None, :, None]
            if kind == "mean":
                slot = (x * valid).sum(2) / valid.sum(2).clamp(min=1)
            elif kind == "max":
                slot = x.masked_fill(~valid, -math.inf).amax(2).masked_fill(~valid.any(2), 0.0)
            else:
                assert filters is not None  # conv: [heads or 1, head_dim, window]
                slot = (x * valid * filters[:, :, : x.shape[2]].transpose(1, 2)).sum(2)
            slots.append(slot)
    return torch.stack(slots, 2)


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


_LAYER = ("q_proj", "k_proj", "v_proj", "out_proj", "num_heads")
EQUATIONS = {
    "exact": Equation("exact attention, float64", _exact, _LAYER),
    "linformer": Equation(
        "Linformer equation (7), float64",
        _linformer,
        (*_LAYER, "config", "layer", "projection", "projection_matrices"),
    ),
}
