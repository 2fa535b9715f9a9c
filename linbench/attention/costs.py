"""What a call must cost: operations, parameters, bytes moved and peak memory, by counting.

Pure Python. Operations are those of matrix products, 2 for a multiply-add, as
`torch.utils.flop_counter` counts them; softmax, biases, norms and the windows of pooling and
convolution (at most n d multiply-adds a layer) are not among them. That counter does not know
PyTorch's fused attention kernel for CPUs, nor xformers' kernel outside its own registration; here
both count as the counter's formulas for fused kernels have it: 2 products forward, and backward 5
(the scores again, and 4 gradients). Mode `forward_backward` asks for the gradients of all inputs
and parameters. Dropout and padding are left out.
"""

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass

from linbench.attention.config import COMPRESSIBLE_FIRST, WINDOWED, AttentionConfig
from linbench.errors import UsageError, did_you_mean

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
    kind: type["Fused"],
    config: AttentionConfig,
    seq: int,
    *,
    batch: int = 1,
    scope: str = "layer",
    mode: str = "forward",
    itemsize: int = 4,
) -> Costs:
    """Count what one call costs.

    Args:
        kind: How the layers attend: `Fused`, `WrittenOut` or `Compressed`.
        config: The shape of the stack. Scopes `core` and `layer` are one layer, the first.
        seq: Sequence length n, in tokens.
        batch: Sequences in one call.
        scope: `core`, `layer`, or `encoder` (the stack with FFNs of 4 d_model, without embeddings).
        mode: `forward`, or `forward_backward`.
        itemsize: Bytes of one number.

    Raises:
        UsageError: the scope or mode is unknown, or compressed attention has no k.
    """
    for name, value, known in (("scope", scope, SCOPES), ("mode", mode, MODES)):
        if value not in known:
            raise UsageError(
                f"{name}='{value}' is unknown, expected one of {', '.join(known)}"
                f"{did_you_mean(value, known) or '; choose one of these'}"
            )
    layers = [
        kind(config, layer, seq, batch, itemsize, backward=mode == "forward_backward")
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


class Fused:
    """The counts of one attention layer, in numbers and bytes: exact, in one fused kernel.

    The other kinds say where they differ. Peaks are held against the allocator's events in tests.

    Args:
        config: The shape of the stack.
        layer: Which layer of it this is, from 0.
        n: Sequence length, in tokens.
        batch: Sequences in one call.
        itemsize: Bytes of one number.
        backward: Whether gradients are counted too.
    """

    def __init__(
        self,
        config: AttentionConfig,
        layer: int,
        n: int,
        batch: int,
        itemsize: int,
        *,
        backward: bool,
    ) -> None:
        del layer  # all layers of exact attention cost the same
        self.n, self.batch, self.itemsize, self.backward = n, batch, itemsize, backward
        self.d, self.h, self.head_dim = config.d_model, config.num_heads, config.head_dim
        self.dense = 4 * self.d * (self.d + config.bias)  # four projections
        self.tokens_bytes = batch * n * self.d * itemsize
        self.keys = n  # how many keys a query sees
        self.held = self.trained = 0  # entries of E and F: all, and those that are parameters

    # --- operations -------------------------------------------------------------------------

    def core_flops(self) -> int:
        """Attend with given queries, keys and values."""
        return 7 * self._attending() if self.backward else 2 * self._attending()

    def layer_flops(self) -> int:
        """The four projections, and attention."""
        per_row = 2 * self.d**2  # one token through one projection
        return self._times(4 * self.batch * self.n * per_row) + self.core_flops()

    def _attending(self) -> int:
        """One product of queries with keys, or of weights with values."""
        return 2 * self.batch * self.n * self.keys * self.d

    def _times(self, forward: int, operands: int = 2) -> int:
        """Add to a forward product one as large for each operand that needs a gradient."""
        return forward * (1 + operands) if self.backward else forward

    # --- bytes moved ------------------------------------------------------------------------

    def moved(self, inputs: int, outputs: int, weights: int) -> int:
        """Count `[batch, n, d]` inputs and outputs, and so many entries of weights."""
        tokens, weights_bytes = self.tokens_bytes, weights * self.itemsize
        moved = (inputs + outputs) * tokens + weights_bytes
        if self.backward:
            trained_bytes = (weights - self.held + self.trained) * self.itemsize
            moved += (2 * inputs + outputs) * tokens + weights_bytes + trained_bytes
        return moved

    # --- peak memory ------------------------------------------------------------------------

    def core_peak(self) -> int:
        """Outputs, and with backward q, k, v, the output and the gradients of three of them."""
        return (5 if self.backward else 1) * self.tokens_bytes + self._small()

    def layer_peak(self) -> int:
        """The worse of attending and of finishing with the projections' gradients."""
        u, small, dense = self.tokens_bytes, self._small(), self.dense * self.itemsize
        if not self.backward:
            return 4 * u + small
        return max(9 * u + small + dense // 4, 6 * u + dense)

    def saved_for_backward(self) -> int:
        """What attention keeps between forward and backward, without its input."""
        return 4 * self.tokens_bytes + self._row_sums()

    def _small(self) -> int:
        """What does not grow with n d: the fused kernel's row sums and its buffers."""
        return self._row_sums() + self._buffers()

    def _row_sums(self) -> int:
        return self.batch * self.h * self.n * 4

    def _buffers(self) -> int:
        """The CPU kernel's blocks of scores for each thread (aten FlashAttentionKernel.cpp)."""
        rows = 256 if self.n >= 768 else 64 if self.n >= 192 else 32
        columns = min(512, self.keys)
        each = rows * columns * (2 if self.backward else 1) + rows * (2 + self.head_dim)
        return (os.cpu_count() or 1) * each * 4


class WrittenOut(Fused):
    """Exact attention that writes its n × n scores and weights to memory."""

    def core_flops(self) -> int:
        """Attend; backward has the scores still, and does not compute them again."""
        return 6 * self._attending() if self.backward else 2 * self._attending()

    def moved(self, inputs: int, outputs: int, weights: int) -> int:
        """Add the passes over n × n matrices."""
        passes = 4 + 7 if self.backward else 4
        return super().moved(inputs, outputs, weights) + passes * self._square()

    def core_peak(self) -> int:
        """Scores and weights together, or weights and the output."""
        u, square = self.tokens_bytes, self._square()
        return 3 * square + 3 * u if self.backward else max(2 * square, square + u)

    def layer_peak(self) -> int:
        """As `core_peak`, beside queries, keys and values."""
        u, square = self.tokens_bytes, self._square()
        if not self.backward:
            return max(2 * square + 3 * u, square + 5 * u)
        return max(3 * square + 4 * u, square + 8 * u) + self.dense * self.itemsize

    def saved_for_backward(self) -> int:
        """The weights, beside queries, keys, values and heads."""
        return 4 * self.tokens_bytes + self._square()

    def _square(self) -> int:
        return self.batch * self.h * self.n**2 * self.itemsize


class Compressed(Fused):
    """Fused attention to k slots that E and F, or windows, make of n keys and values."""

    def __init__(
        self,
        config: AttentionConfig,
        layer: int,
        n: int,
        batch: int,
        itemsize: int,
        *,
        backward: bool,
    ) -> None:
        super().__init__(config, layer, n, batch, itemsize, backward=backward)
        k, self.projection = config.k_of(layer), config.projection
        self.is_matrix = self.projection in ("linear", "jl")
        self.matrices = config.matrices_per_layer
        window = config.max_seq_len // k
        self.keys = -(-n // window) if self.projection in WINDOWED else k
        if self.is_matrix:
            self.held = self.matrices * k * config.max_seq_len
        if self.projection == "conv":
            self.held = self.matrices * self.head_dim * window
        self.trained = 0 if self.projection == "jl" else self.held
        self.compress_first = compresses_first(config, layer, n)

    def core_flops(self) -> int:
        """Compress given keys and values, and attend."""
        return self._compressing(matrices=2) + super().core_flops()

    def layer_flops(self) -> int:
        """The four projections, in their order with compression, and attention."""
        per_row = 2 * self.d**2  # one token or slot through one projection
        rows, matrices = self.n, 2  # E K and F V of heads that together are d wide
        if self.compress_first:
            rows, matrices = self.keys, self.matrices  # every matrix times all of X
        flops = self._times(2 * self.batch * (self.n + rows) * per_row)
        return flops + self._compressing(matrices) + super().core_flops()

    def _compressing(self, matrices: int) -> int:
        """Multiply so many matrices with n rows that are d wide; windows are not counted."""
        if not self.is_matrix:
            return 0
        product = 2 * self.batch * self.keys * self.n * self.d
        # a fixed matrix needs no gradient
        return self._times(matrices * product, operands=1 if self.projection == "jl" else 2)

    def core_peak(self) -> int:
        """With backward, E's gradients besides."""
        u, small = self.tokens_bytes, self._small()
        if not self.backward:
            return u + small
        if self.is_matrix:
            # E's gradients are made apart and stacked; keys and values are kept in E's layout
            kept = 5 if self.projection == "linear" else 4
            return max(kept * u + self._trained_bytes(), 4 * u + self._gradients_of_e()) + small
        # a maximum keeps which of the tokens it was, a byte each
        kept_bytes = self.batch * self.n * self.d if self.projection == "max" else 0
        return 5 * u + small + kept_bytes

    def layer_peak(self) -> int:
        """The worst of compressing, attending, and making the gradients of E and W."""
        u, small, dense = self.tokens_bytes, self._small(), self.dense * self.itemsize
        EX = self._slots_of_inputs()
        if not self.backward:
            if self.compress_first:
                # per-head slots are laid out anew for a product with W over the batch
                once_more = EX // 2 if self._per_head_batch() else 0
                return max(EX + once_more + 2 * self._slots(), 2 * u + small)
            # keys, values, and a copy of one in between; then queries and outputs
            copies_one = self.projection == "conv" or self._per_head_batch()
            return (3 * u if copies_one else 2 * u) + small
        if not self.compress_first:
            attending = (3 + self._kept_tokens()) * u + small + dense // 4
            return max(attending, 4 * u + self._gradients_of_e() + dense)
        attending = 5 * u + EX + small + dense // 4
        # a batch makes E's gradient for each of its items, and then adds them up
        E = self._trained_bytes()
        gradients = (self.batch + 1) * E if self.batch > 1 else 2 * E
        finishing = max(4 * u + E, 2 * u + gradients + EX, 2 * u + 5 * EX // 2) + dense
        return max(attending, finishing)

    def saved_for_backward(self) -> int:
        """Tokens and slots, those before W too."""
        slots = 4 * self._slots() + self._slots_of_inputs()
        return self._kept_tokens() * self.tokens_bytes + self._row_sums() + slots

    def _small(self) -> int:
        """Add the slots, which do not grow with n d either."""
        return self._slots() * (4 if self.backward else 2) + super()._small()

    def _slots(self) -> int:
        return self.batch * self.keys * self.d * self.itemsize

    def _slots_of_inputs(self) -> int:
        """E X and F X, before W: of the width of the model for every matrix."""
        return self.matrices * self._slots() if self.is_matrix and self.compress_first else 0

    def _kept_tokens(self) -> int:
        """How many of q, k, v and the heads' outputs a layer keeps for backward."""
        # what is fixed and linear, or compressed first, needs no keys and values there
        return 2 if self.compress_first or self.projection in ("jl", "mean") else 4

    def _gradients_of_e(self) -> int:
        """E's gradient and F's, then both together; where E = F also their sum."""
        return (3 if self.matrices == 1 else 2) * self._trained_bytes()

    def _per_head_batch(self) -> bool:
        return self.is_matrix and self.matrices > 2 and self.batch > 1

    def _trained_bytes(self) -> int:
        return self.trained * self.itemsize


def _encoder(config: AttentionConfig, layers: Sequence[Fused], itemsize: int) -> Costs:
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


# What rows of implementations hold: (config, seq, *, batch, scope, mode, itemsize) -> Costs.
fused = functools.partial(count, Fused)
written_out = functools.partial(count, WrittenOut)
compressed = functools.partial(count, Compressed)
