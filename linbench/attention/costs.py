"""What a call must cost: operations, parameters, bytes moved and peak memory, by counting.

Pure Python. Operations are those of matrix products, 2 for a multiply-add, as
`torch.utils.flop_counter` counts them; softmax, biases, norms and the windows of pooling and
convolution (at most n d multiply-adds a layer) are not among them. That counter does not know
PyTorch's fused attention kernel for CPUs, nor xformers' kernel outside its own registration; here
both count as the counter's formulas for fused kernels have it: 2 products forward, and backward 5
(the scores again, and 4 gradients). Mode `forward_backward` asks for the gradients of all inputs
and parameters. Dropout and padding are left out.
"""

import os
from dataclasses import dataclass

from linbench.attention.config import COMPRESSIBLE_FIRST, WINDOWED, AttentionConfig
from linbench.errors import UsageError, did_you_mean

EXACT = ("vanilla", "sdpa", "xformers")
KNOWN = (*EXACT, "linformer")
SCOPES = ("core", "layer", "encoder")
MODES = ("forward", "forward_backward")


@dataclass(frozen=True)
class Costs:
    """What one call costs.

    Attributes:
        flops: Operations of matrix products; a multiply-add is 2.
        parameters: Parameters that take part and are trained, each counted once however often it
            is shared: E and F at scope `core`; the four projections too at `layer`.
        bytes_moved: The least that must be read and written: for each layer (attention and FFN are
            two) inputs and weights read once and outputs written once; written-out attention also
            writes and reads its n × n scores and weights (4 passes). Backward reads inputs,
            weights and the output's gradient and writes the gradients of inputs and weights;
            written-out attention makes 7 passes over n × n matrices (reads P twice, writes and
            reads dP, writes dS and reads it twice).
        peak_bytes: Most memory in use at once above inputs and weights, on a CPU: outputs,
            gradients, and what is held between operations.
        inputs_bytes: x, or q, k and v at scope `core`.
        weights_bytes: All parameters and buffers of the module as it is built: at scope `core` the
            four projections are there too, unused.
    """

    flops: int
    parameters: int
    bytes_moved: int
    peak_bytes: int
    inputs_bytes: int
    weights_bytes: int


def count(
    impl: str,
    config: AttentionConfig,
    seq: int,
    *,
    batch: int = 1,
    scope: str = "layer",
    mode: str = "forward",
    itemsize: int = 4,
) -> Costs | None:
    """Count what one call costs.

    Args:
        impl: Name of an implementation.
        config: The shape of the stack. Scopes `core` and `layer` are one layer, the first.
        seq: Sequence length n, in tokens.
        batch: Sequences in one call.
        scope: `core`, `layer`, or `encoder` (the stack with FFNs of 4 d_model, without embeddings).
        mode: `forward`, or `forward_backward`.
        itemsize: Bytes of one number.

    Returns:
        The costs, or None for a plug-in, of which nothing is known.

    Raises:
        UsageError: the scope or mode is unknown.
    """
    for name, value, known in (("scope", scope, SCOPES), ("mode", mode, MODES)):
        if value not in known:
            raise UsageError(
                f"{name}='{value}' is unknown, expected one of {', '.join(known)}"
                f"{did_you_mean(value, known) or '; choose one of these'}"
            )
    if impl not in KNOWN:
        return None
    layers = [
        _Layer(impl, config, layer, seq, batch, itemsize, backward=mode == "forward_backward")
        for layer in range(config.num_layers if scope == "encoder" else 1)
    ]
    first = layers[0]
    if scope == "core":
        return Costs(
            flops=first.core_flops(),
            parameters=first.trained,
            bytes_moved=first.moved(inputs=3, outputs=1, weights=first.held),
            peak_bytes=first.core_peak(),
            inputs_bytes=3 * first.tokens_bytes,
            weights_bytes=(first.held + first.dense) * itemsize,
        )
    if scope == "layer":
        return Costs(
            flops=first.layer_flops(),
            parameters=first.trained + first.dense,
            bytes_moved=first.moved(inputs=1, outputs=1, weights=first.held + first.dense),
            peak_bytes=first.layer_peak(),
            inputs_bytes=first.tokens_bytes,
            weights_bytes=(first.held + first.dense) * itemsize,
        )
    return _encoder(config, layers, itemsize)


def compresses_first(config: AttentionConfig, layer: int, n: int) -> bool:
    """Return whether a Linformer layer compresses n tokens before it projects them.

    `order="auto"` takes the order of fewer multiply-adds for K and V together. Projecting first:
    2 n d² + 2 k n d. Compressing first: m k n d + 2 k d², where m is the number of matrices the
    layer holds. For m = 2 h and long n that is h k < d + k, for shared matrices always. A mean
    compresses for nothing; a maximum and a convolution do not commute with W.
    """
    if config.projection not in COMPRESSIBLE_FIRST:
        return False
    if config.order != "auto":
        return config.order == "compress_first"
    if config.projection == "mean":
        return True
    k, d, m = config.k_of(layer), config.d_model, config.matrices_per_layer
    return m * k * n + 2 * k * d < 2 * n * d + 2 * k * n


class _Layer:
    """The counts of one attention layer, in numbers and bytes."""

    def __init__(
        self,
        impl: str,
        config: AttentionConfig,
        layer: int,
        n: int,
        batch: int,
        itemsize: int,
        *,
        backward: bool,
    ) -> None:
        self.impl, self.n, self.batch, self.itemsize, self.backward = (
            impl,
            n,
            batch,
            itemsize,
            backward,
        )
        self.d, self.h, self.head_dim = config.d_model, config.num_heads, config.head_dim
        self.matrices = config.matrices_per_layer
        self.dense = 4 * self.d * (self.d + config.bias)  # four projections
        self.tokens_bytes = batch * n * self.d * itemsize
        self.keys = n  # how many keys a query sees
        self.held = self.trained = 0  # entries of E and F: all, and those that are parameters
        self.kind, self.compress_first = "", False
        if impl != "linformer":
            return
        k, self.kind = config.k_of(layer), config.projection
        window = config.max_seq_len // k
        self.keys = -(-n // window) if self.kind in WINDOWED else k
        if self.kind in ("linear", "jl"):
            self.held = self.matrices * k * config.max_seq_len
        if self.kind == "conv":
            self.held = self.matrices * self.head_dim * window
        self.trained = 0 if self.kind == "jl" else self.held
        self.compress_first = compresses_first(config, layer, n)

    # --- operations -------------------------------------------------------------------------

    def core_flops(self) -> int:
        """Compress given keys and values, and attend."""
        return self._compress_flops() + self._attend_flops()

    def layer_flops(self) -> int:
        """The four projections, in their order with compression, and attention."""
        per_row = 2 * self.d**2  # one token or slot through one projection
        flops = self._times(2 * self.batch * self.n * per_row)  # queries and outputs
        if self.compress_first:
            rows = self.batch * self.keys
            if self.kind != "mean":
                flops += self._compress_flops(width=self.d, matrices=self.matrices)
        else:
            rows = self.batch * self.n
            flops += self._compress_flops()
        return flops + self._times(2 * rows * per_row) + self._attend_flops()

    def _compress_flops(self, width: int | None = None, matrices: int = 2) -> int:
        """E K and F V of heads that together are `d` wide, or every matrix times X."""
        if self.kind not in ("linear", "jl"):
            return 0
        product = 2 * self.batch * self.keys * self.n * (width or self.d)
        # a fixed matrix needs no gradient
        return self._times(matrices * product, operands=1 if self.kind == "jl" else 2)

    def _attend_flops(self) -> int:
        product = 2 * self.batch * self.n * self.keys * self.d
        if not self.backward:
            return 2 * product
        return (6 if self.impl == "vanilla" else 7) * product

    def _times(self, forward: int, operands: int = 2) -> int:
        """Add to a forward product one as large for each operand that needs a gradient."""
        return forward * (1 + operands) if self.backward else forward

    # --- bytes moved ------------------------------------------------------------------------

    def moved(self, inputs: int, outputs: int, weights: int) -> int:
        """Count `[batch, n, d]` inputs and outputs, weights, and n × n matrices if written out."""
        tokens, weights_bytes = self.tokens_bytes, weights * self.itemsize
        moved = (inputs + outputs) * tokens + weights_bytes
        passes = 4
        if self.backward:
            trained_bytes = (weights - self.held + self.trained) * self.itemsize
            moved += (2 * inputs + outputs) * tokens + weights_bytes + trained_bytes
            passes += 7
        return moved + (passes * self._square() if self.impl == "vanilla" else 0)

    # --- peak memory, measured against the allocator's events in tests ----------------------

    def core_peak(self) -> int:
        u, small = self.tokens_bytes, self._small()
        if not self.backward:
            if self.impl == "vanilla":
                return max(2 * self._square(), self._square() + u)
            return u + small
        if self.impl == "vanilla":
            return 3 * self._square() + 3 * u
        if self.kind in ("linear", "jl"):
            # E's gradients are made apart and stacked; keys and values are kept in E's layout
            kept = 5 if self.kind == "linear" else 4
            return max(kept * u + self._trained_bytes(), 4 * u + self._gradients_of_e()) + small
        # a maximum keeps which of the tokens it was, a byte each
        return 5 * u + small + (self._bytes_each() if self.kind == "max" else 0)

    def layer_peak(self) -> int:
        u, small, dense = self.tokens_bytes, self._small(), self.dense * self.itemsize
        vanilla = self.impl == "vanilla"
        if not self.backward:
            if vanilla:
                return max(2 * self._square() + 3 * u, self._square() + 5 * u)
            if self.impl != "linformer":
                return 4 * u + small
            if self.compress_first:
                # per-head slots are laid out anew for a product with W over the batch
                once_more = self._slots_of_inputs() // 2 if self._per_head_batch() else 0
                compressing = self._slots_of_inputs() + once_more + 2 * self._slots()
                return max(compressing, 2 * u + small)
            # keys, values, and a copy of one in between; then queries and outputs
            copies_one = self.kind == "conv" or self._per_head_batch()
            return (3 * u if copies_one else 2 * u) + small
        if vanilla:
            return max(3 * self._square() + 4 * u, self._square() + 8 * u) + dense
        if self.impl != "linformer":
            return max(9 * u + small + dense // 4, 6 * u + dense)
        E, EX = self._trained_bytes(), self._slots_of_inputs()
        if not self.compress_first:
            attending = (3 + self._kept_tokens()) * u + small + dense // 4
            return max(attending, 4 * u + self._gradients_of_e() + dense)
        attending = 5 * u + EX + small + dense // 4
        # a batch makes E's gradient for each of its items, and then adds them up
        gradients = (self.batch + 1) * E if self.batch > 1 else 2 * E
        finishing = max(4 * u + E, 2 * u + gradients + EX, 2 * u + 5 * EX // 2) + dense
        return max(attending, finishing)

    def saved_for_backward(self) -> int:
        """What attention keeps between forward and backward, without its input."""
        u = self.tokens_bytes
        if self.impl == "vanilla":
            return 4 * u + self._square()
        slots = 4 * self._slots() + self._slots_of_inputs()
        return self._kept_tokens() * u + self._logsumexp() + slots

    def _small(self) -> int:
        """What does not grow with n d: slots, the fused kernel's row sums and its buffers."""
        if self.impl == "vanilla":
            return 0
        slots = self._slots() * (4 if self.backward else 2)
        return slots + self._logsumexp() + self._fused_buffers()

    def _slots(self) -> int:
        if self.impl != "linformer":
            return 0
        return self.batch * self.keys * self.d * self.itemsize

    def _slots_of_inputs(self) -> int:
        """E X and F X, before W: of the width of the model for every matrix."""
        if self.kind not in ("linear", "jl") or not self.compress_first:
            return 0
        return self.matrices * self._slots()

    def _kept_tokens(self) -> int:
        """How many of q, k, v and the heads' outputs a fused layer keeps for backward."""
        # what is fixed and linear, or compressed first, needs no keys and values there
        needless = self.compress_first or self.kind in ("jl", "mean")
        return 2 if self.impl == "linformer" and needless else 4

    def _gradients_of_e(self) -> int:
        """E's gradient and F's, then both together; where E = F also their sum."""
        return (3 if self.matrices == 1 else 2) * self._trained_bytes()

    def _per_head_batch(self) -> bool:
        return self.kind in ("linear", "jl") and self.matrices > 2 and self.batch > 1

    def _logsumexp(self) -> int:
        return self.batch * self.h * self.n * 4

    def _fused_buffers(self) -> int:
        """The CPU kernel's blocks of scores for each thread (aten FlashAttentionKernel.cpp)."""
        rows = 256 if self.n >= 768 else 64 if self.n >= 192 else 32
        columns = min(512, self.keys)
        each = rows * columns * (2 if self.backward else 1) + rows * (2 + self.head_dim)
        return (os.cpu_count() or 1) * each * 4

    def _square(self) -> int:
        return self.batch * self.h * self.n**2 * self.itemsize

    def _trained_bytes(self) -> int:
        return self.trained * self.itemsize

    def _bytes_each(self) -> int:
        return self.batch * self.n * self.d


def _encoder(config: AttentionConfig, layers: list[_Layer], itemsize: int) -> Costs:
    """Count a stack of layers: attention and an FFN of 4 d_model each, and two norms."""
    first, depth = layers[0], len(layers)
    d, backward, u = config.d_model, first.backward, first.tokens_bytes
    ffn = 8 * d**2 + 5 * d + 4 * d  # two matrices, their biases, two norms
    shared = config.sharing == "layerwise"
    held = first.held if shared else sum(layer.held for layer in layers)
    trained = first.trained if shared else sum(layer.trained for layer in layers)
    dense = sum(layer.dense for layer in layers) + depth * ffn
    ffn_flops = 16 * first.batch * first.n * d**2
    # an FFN reads and writes as an attention layer that holds no E and F
    ffn_moved = 2 * u + ffn * itemsize
    if backward:
        ffn_flops *= 3
        ffn_moved += 3 * u + 2 * ffn * itemsize
    weights_bytes = (held + dense) * itemsize
    if backward:
        # a norm keeps its input and its output; the FFN keeps 4 d_model before and after GELU
        saved = [layer.saved_for_backward() + 12 * u for layer in layers]
        gradients = (trained + dense) * itemsize
        turn = max(
            layer.layer_peak() + 2 * u - keep for layer, keep in zip(layers, saved, strict=True)
        )
        turn = max(turn, 4 * u + 4 * d**2 * itemsize)
        peak = max(sum(saved) + turn, max(saved) + 4 * u + gradients)
    else:
        held_over = u if depth > 1 else 0  # the layer's input, which the first is given
        peak = held_over + max(9 * u, *(layer.layer_peak() for layer in layers))
    return Costs(
        flops=sum(layer.layer_flops() for layer in layers) + depth * ffn_flops,
        parameters=trained + dense,
        bytes_moved=depth * ffn_moved
        + sum(layer.moved(1, 1, layer.held + layer.dense) for layer in layers),
        peak_bytes=peak,
        inputs_bytes=u,
        weights_bytes=weights_bytes,
    )
