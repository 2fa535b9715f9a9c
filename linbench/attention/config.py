"""What an attention stack is built from. Pure Python: the command line validates without torch."""

from collections.abc import Collection
from dataclasses import dataclass

from linbench.errors import UsageError, did_you_mean

SHARINGS = ("none", "headwise", "kv", "layerwise")
PROJECTIONS = ("linear", "jl", "mean", "max", "conv")
ORDERS = ("auto", "project_first", "compress_first")
INITS = ("normal", "xavier", "uniform", "mean")
_WORDS = {"sharing": SHARINGS, "projection": PROJECTIONS, "order": ORDERS, "init": INITS}
WINDOWED = ("mean", "max", "conv")
COMPRESSIBLE_FIRST = ("linear", "jl", "mean")


@dataclass(frozen=True)
class AttentionConfig:
    """The shape of a stack of attention layers, and how Linformer projects its keys and values.

    What only concerns Linformer (`k` and below, but for `bias` and `dropout`) is ignored by exact
    attention.

    Args:
        d_model: Width of the tokens; a multiple of `num_heads`.
        num_heads: Number of heads, h in the paper.
        max_seq_len: Longest sequence, n_max; inputs may be shorter.
        num_layers: Number of layers.
        k: Projected length, k <= n_max: one for all layers, or a tuple with one per layer.
        sharing: Who shares E and F: "none" (each head has its own), "headwise" (the heads of a
            layer share one E and one F), "kv" (and E = F), "layerwise" (one matrix for all layers).
        projection: How n keys and values become k: "linear" (learned E, F), "jl" (fixed Gaussian,
            Theorem 1), "mean", "max" (pooling; no parameters, so that sharing is a no-op), "conv"
            (depthwise convolution). The last three have kernel = stride = n_max / k.
        order: "project_first" (E(XW + b)), "compress_first" ((EX)W + (E1)b), or "auto": the cheaper
            of the two by operation count. "max" and "conv" can only project first.
        bias: Whether the four input and output projections have a bias.
        dropout: Probability of dropping an attention weight, in training only.
        init: How learned E, F start. With a matrix of `out` rows and `in` columns (k and n_max; for
            "conv" 1 and the window n_max / k): "normal" N(0, 1/k) as in Theorem 1 (for "conv"
            N(0, 1/window)), "xavier" (Glorot uniform, ±sqrt(6 / (in + out)), which keeps projected
            keys at the scale of the keys for any n), "uniform" (±1/sqrt(out); for "conv"
            ±1/sqrt(window)), "mean" (each row averages its own n_max / k positions, as pooling).
            "jl" is N(0, 1/k) whatever this says.
        causal: Only False: projected slots mix future positions into each other.

    Raises:
        UsageError: a value does not fit; the text names it, what was expected, and a remedy.
    """

    d_model: int
    num_heads: int
    max_seq_len: int
    num_layers: int = 1
    k: int | tuple[int, ...] | None = None
    sharing: str = "headwise"
    projection: str = "linear"
    order: str = "auto"
    bias: bool = True
    dropout: float = 0.0
    init: str = "xavier"
    causal: bool = False

    def __post_init__(self) -> None:
        for name in ("d_model", "num_heads", "max_seq_len", "num_layers"):
            _check_count(name, getattr(self, name))
        if self.d_model % self.num_heads:
            raise UsageError(
                f"d_model={self.d_model} cannot be split over {self.num_heads} heads, expected a "
                f"multiple of {self.num_heads}; change d_model or the number of heads"
            )
        for name, known in _WORDS.items():
            check_word(name, getattr(self, name), known)
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(
                f"dropout={self.dropout} is no probability, expected 0 <= dropout < 1; "
                "give e.g. 0.1, or 0 for none"
            )
        if self.causal:
            raise UsageError(
                "causal=True is not supported, expected False: Linformer's projected slots mix "
                "future positions into each other; leave causal out"
            )
        if self.order == "compress_first" and self.projection not in COMPRESSIBLE_FIRST:
            raise UsageError(
                f"order='compress_first' cannot be used with projection='{self.projection}', "
                f"expected one of {', '.join(COMPRESSIBLE_FIRST)}; use order='project_first'"
            )
        if self.k is not None:
            self._check_k(self.k)

    def _check_k(self, k: int | tuple[int, ...]) -> None:
        # a list, as JSON gives it, means the same and must not make the config unhashable
        if isinstance(k, list):
            k = tuple(k)
            object.__setattr__(self, "k", k)
        each = k if isinstance(k, tuple) else (k,)
        if isinstance(k, tuple) and len(k) != self.num_layers:
            raise UsageError(
                f"k={k} has {len(k)} entries, expected one for each of {self.num_layers} layers; "
                "give one k for all layers, or as many as there are layers"
            )
        if self.sharing == "layerwise" and len(set(each)) > 1:
            raise UsageError(
                f"sharing='layerwise' shares one matrix over all layers, expected one k but got "
                f"{k}; give one k for all layers, or use sharing='kv'"
            )
        for value in each:
            _check_count("k", value)
            if value > self.max_seq_len:
                raise UsageError(
                    f"k={value} is longer than the sequence, expected k <= max_seq_len="
                    f"{self.max_seq_len}; use a smaller k or a longer sequence"
                )
            if self.projection in WINDOWED and self.max_seq_len % value:
                raise UsageError(
                    f"k={value} does not divide max_seq_len={self.max_seq_len}, as "
                    f"projection='{self.projection}' expects (its windows are max_seq_len/k long); "
                    "choose a k that divides it, or projection='linear'"
                )

    @property
    def head_dim(self) -> int:
        """Width of one head: d_model / num_heads."""
        return self.d_model // self.num_heads

    @property
    def matrices_per_layer(self) -> int:
        """How many distinct projections one layer holds: 2 h, 2 (E and F), or 1 (E = F)."""
        return {"none": 2 * self.num_heads, "headwise": 2}.get(self.sharing, 1)

    def k_of(self, layer: int) -> int:
        """Return the projected length k of a layer (counted from 0).

        Raises:
            UsageError: the configuration has no k.
        """
        if self.k is None:
            raise UsageError(
                "k=None, expected the projected length for linformer; give e.g. k=128 (--k 128)"
            )
        return self.k[layer] if isinstance(self.k, tuple) else self.k


def _check_count(name: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UsageError(f"{name}={value!r}, expected a whole number of at least 1; change {name}")


def check_word(name: str, value: str, known: Collection[str]) -> None:
    """Refuse a word that is none of those known, suggesting the nearest."""
    if value not in known:
        raise UsageError(
            f"{name}={value!r} is unknown, expected one of {', '.join(known)}"
            f"{did_you_mean(str(value), known) or f'; choose one of these for {name}'}"
        )
