"""Self-attention implementations behind one small interface, usable without the rest of linbench.

`build("linformer", AttentionConfig(d_model=256, num_heads=4, max_seq_len=1024, k=128))` gives one
`torch.nn.Module` per layer. Each has `forward(x, key_padding_mask=None)`, with x `[batch, n,
d_model]` and the mask `[batch, n]` bool, True = padding; the built-in ones also have `core(q, k, v,
key_padding_mask=None)` on `[batch, heads, n, head_dim]`. Importing this package does not import
torch; building does.
"""

from linbench.attention.config import AttentionConfig
from linbench.attention.registry import build, load_plugin, names, register, resolve, unavailable

__all__ = [
    "AttentionConfig",
    "build",
    "load_plugin",
    "names",
    "register",
    "resolve",
    "unavailable",
]
