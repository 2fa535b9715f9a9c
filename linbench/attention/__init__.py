"""Self-attention implementations behind one small interface, usable without the rest of linbench.

`build("linformer", AttentionConfig(d_model=256, num_heads=4, max_seq_len=1024, k=128))` gives one
`torch.nn.Module` per layer. Each has `forward(x, key_padding_mask=None)`, with x `[batch, n,
d_model]` and the mask `[batch, n]` bool, True = padding; the built-in ones also have `core(q, k, v,
key_padding_mask=None)` on `[batch, heads, n, head_dim]`. What is known of an implementation, its
mathematics and its costs among it, stands in one row, an `Implementation`. Importing this package
does not import torch; building does.
"""

from linbench.attention.config import AttentionConfig
from linbench.attention.costs import Costs
from linbench.attention.registry import (
    AXES,
    BUILTIN,
    WRITTEN_OUT,
    Implementation,
    build,
    counted,
    implementation,
    known,
    load_plugin,
    names,
    parse_spec,
    register,
    unavailable,
)

__all__ = [
    "AXES",
    "BUILTIN",
    "WRITTEN_OUT",
    "AttentionConfig",
    "Costs",
    "Implementation",
    "build",
    "counted",
    "implementation",
    "known",
    "load_plugin",
    "names",
    "parse_spec",
    "register",
    "unavailable",
]
