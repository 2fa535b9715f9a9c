"""Others' attention behind linbench's plug-in route, for a fair race in one run.

Each function is a builder: `--impl lucidrains=linbench.peers:lucidrains`. All do the work of one
layer, four projections included, with the same width, heads, k and dropout as ours, and share E and
F as the configuration says where the package can. The docstrings say what still differs.
"""

import importlib
from typing import Any, NamedTuple, cast

from torch import Tensor, nn

from linbench.attention.config import AttentionConfig
from linbench.errors import UsageError


class Peer(nn.Module):
    """Another package's layer under our signature; refuses a padding mask that it would ignore."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Attend within `[batch, n, d_model]`; a mask is a UsageError."""
        if key_padding_mask is not None:
            raise UsageError(
                "key_padding_mask was given, expected None: this package cannot leave padding out; "
                "measure it without padding"
            )
        return cast("Tensor", self.layer(x))


def lucidrains(config: AttentionConfig) -> list[nn.Module]:
    """Build `LinformerSelfAttention` of PyPI's `linformer`.

    Differs from ours: q, k and v have no bias, inputs are always projected before E and F,
    attention is written out, and there are no padding masks. Its own `share_kv` ties W_K to W_V,
    which Linformer does not; here "kv" and "layerwise" share E and F only, as the paper says.

    Raises:
        UsageError: the package is not installed, or has no such sharing or projection.
    """
    package = _package("linformer")
    _only(config, "lucidrains", ("headwise", "kv", "layerwise"))
    layers = [
        package.LinformerSelfAttention(
            config.d_model,
            config.max_seq_len,
            k=config.k_of(index),
            heads=config.num_heads,
            dropout=config.dropout,
        )
        for index in range(config.num_layers)
    ]
    for layer in layers:
        if config.sharing == "layerwise":
            layer.proj_k = layers[0].proj_k
        if config.sharing != "headwise":
            layer.proj_v = layer.proj_k
    return [Peer(layer) for layer in layers]


def tatp22(config: AttentionConfig) -> list[nn.Module]:
    """Build `MHAttention` of PyPI's `linformer-pytorch`, without its feed-forward halves.

    Differs from ours: q, k and v have no bias but E and F do, heads are computed one after the
    other, attention is written out, the length must be exactly max_seq_len, and padding masks are
    not passed on (with them, its biased E and F would let padding through).

    Raises:
        UsageError: the package is not installed, or has no such projection.
    """
    package = _package("linformer_pytorch.linformer_pytorch")
    _only(config, "tatp22", ("none", "headwise", "kv", "layerwise"))
    shared = None
    if config.sharing == "layerwise":
        shared = package.get_EF(config.max_seq_len, config.k_of(0), "learnable", config.head_dim)
    return [
        Peer(
            package.MHAttention(
                config.max_seq_len,
                config.head_dim,
                config.d_model,
                config.k_of(index),
                config.num_heads,
                config.dropout,
                "C0",  # no checkpointing
                config.sharing,
                shared,
                shared,
                full_attention=False,
                causal_mask=None,
            )
        )
        for index in range(config.num_layers)
    ]


class Rows(NamedTuple):
    """Some rows of a larger linear map: views through which gradients reach the whole."""

    weight: Tensor
    bias: Tensor | None


def _third(index: int) -> property:
    def rows(self: "TorchAttention") -> Rows:
        weight, bias = self.layer.in_proj_weight, self.layer.in_proj_bias
        return Rows(weight.chunk(3)[index], None if bias is None else bias.chunk(3)[index])

    return property(rows)


class TorchAttention(nn.Module):
    """`torch.nn.MultiheadAttention` as self-attention under our signature.

    `q_proj`, `k_proj` and `v_proj`, which the float64 reference asks for, are views of the thirds
    of its `in_proj_weight` and no parameters of their own.
    """

    reference = "exact"
    q_proj, k_proj, v_proj = _third(0), _third(1), _third(2)

    def __init__(self, config: AttentionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.layer = nn.MultiheadAttention(
            config.d_model, config.num_heads, config.dropout, bias=config.bias, batch_first=True
        )

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """Attend within `[batch, n, d_model]`; the mask `[batch, n]` is True at padding."""
        out, _ = self.layer(x, x, x, key_padding_mask=key_padding_mask, need_weights=False)
        return cast("Tensor", out)

    @property
    def out_proj(self) -> nn.Linear:
        """The output projection, which is the layer's own."""
        return self.layer.out_proj


def mha(config: AttentionConfig) -> list[nn.Module]:
    """Build `torch.nn.MultiheadAttention`, exact attention, held against the float64 reference.

    Differs from ours: W_Q, W_K and W_V are one matrix; in eval mode without gradients it takes its
    own inference path, which writes the n × n matrices; a sequence that is all padding gives NaN.
    """
    return [TorchAttention(config) for _ in range(config.num_layers)]


def _package(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0].replace("_", "-")
        raise UsageError(
            f"package '{name}' cannot be imported ({error}), expected it beside linbench; "
            "install the peers: pip install 'linbench[peers]'"
        ) from error


def _only(config: AttentionConfig, name: str, sharings: tuple[str, ...]) -> None:
    """Refuse what a package cannot do, rather than measure something else under its name."""
    if config.projection != "linear":
        raise UsageError(
            f"projection='{config.projection}' is not in {name}, expected 'linear'; "
            f"leave {name} out, or use projection='linear'"
        )
    if config.sharing not in sharings:
        raise UsageError(
            f"sharing='{config.sharing}' is not in {name}, expected one of {', '.join(sharings)}; "
            f"leave {name} out, or choose one of these"
        )
