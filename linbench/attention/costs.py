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
from dataclasses import dataclass

from linbench.attention.config import COMPRESSIBLE_FIRST, WINDOWED, AttentionConfig, check_word

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
    check_word("scope", scope, SCOPES)
    check_word("mode", mode, MODES)
    backward = mode == "forward_backward"
    depth = config.num_layers if scope == "encoder" else 1
    layers = [kind(config, layer, seq, batch, itemsize, backward) for layer in range(depth)]
    if scope == "encoder":
        return _encoder(layers)
    layer, core = layers[0], scope == "core"
    inputs = 3 if core else 1
    dense = 0 if core else layer.dense
    return Costs(
        flops=layer.core_flops() if core else layer.layer_flops(),
        parameters=layer.trained + dense,
        bytes_moved=layer.moved(inputs, weights=layer.held + dense),
        peak_bytes=layer.core_peak() if core else layer.layer_peak(),
        inputs_bytes=inputs * layer.tokens_bytes,
        weights_bytes=(layer.held + layer.dense) * itemsize,
    )


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


@dataclass
class Fused:
    """The counts of one attention layer, in numbers and bytes: exact, in one fused kernel.

    The other kinds say where they differ. Peaks are held against the allocator's events in tests.
    """

    config: AttentionConfig
    layer: int
    n: int
    batch: int
    itemsize: int
    backward: bool

    def __post_init__(self) -> None:
        self.d, self.h = self.config.d_model, self.config.num_heads
        self.dense = 4 * self.d * (self.d + self.config.bias)  # entries of the four projections
        self.dense_bytes = self.dense * self.itemsize
        self.tokens_bytes = self.batch * self.n * self.d * self.itemsize
        self.row_sums_bytes = self.batch * self.h * self.n * 4
        self.square_bytes = self.batch * self.h * self.n**2 * self.itemsize
        self.keys = self.n  # how many keys a query sees
        self.held = self.trained = 0  # entries of E and F: all, and those that are parameters

    def core_flops(self) -> int:
        """Attend with given queries, keys and values."""
        return (7 if self.backward else 2) * self._attending()

    def layer_flops(self) -> int:
        """The four projections, and attention."""
        return self.with_gradients(4 * self._projecting(self.n)) + self.core_flops()

    def with_gradients(self, forward: int, operands: int = 2) -> int:
        """Add to a forward product one as large for each operand that needs a gradient."""
        return forward * (1 + operands) if self.backward else forward

    def _attending(self) -> int:
        """One product of queries with keys, or of weights with values."""
        return 2 * self.batch * self.n * self.keys * self.d

    def _projecting(self, rows: int) -> int:
        """One projection of so many tokens or slots."""
        return 2 * self.batch * rows * self.d**2

    def moved(self, inputs: int, weights: int) -> int:
        """Count `[batch, n, d]` inputs and one output, and so many entries of weights."""
        moved = (inputs + 1) * self.tokens_bytes + weights * self.itemsize
        if self.backward:
            trained = weights - self.held + self.trained
            moved += (2 * inputs + 1) * self.tokens_bytes + (weights + trained) * self.itemsize
        return moved

    def core_peak(self) -> int:
        """Outputs, and with backward q, k, v, the output and the gradients of three of them."""
        return (5 if self.backward else 1) * self.tokens_bytes + self._small()

    def layer_peak(self) -> int:
        """The worse of attending and of finishing with the projections' gradients."""
        u, small, dense = self.tokens_bytes, self._small(), self.dense_bytes
        return max(9 * u + small + dense // 4, 6 * u + dense) if self.backward else 4 * u + small

    def saved_for_backward(self) -> int:
        """What attention keeps between forward and backward, without its input."""
        return 4 * self.tokens_bytes + self.row_sums_bytes

    def _small(self) -> int:
        """What does not grow with n d: the fused kernel's row sums and its blocks of scores.

        The CPU's kernel has a block for each thread (aten FlashAttentionKernel.cpp).
        """
        rows = 256 if self.n >= 768 else 64 if self.n >= 192 else 32
        columns = min(512, self.keys) * (2 if self.backward else 1)
        block = rows * columns + rows * (2 + self.config.head_dim)
        return self.row_sums_bytes + (os.cpu_count() or 1) * block * 4


class WrittenOut(Fused):
    """Exact attention that writes its n × n scores and weights to memory."""

    def core_flops(self) -> int:
        """Attend; backward has the scores still, and does not compute them again."""
        return (6 if self.backward else 2) * self._attending()

    def moved(self, inputs: int, weights: int) -> int:
        """Add the passes over n × n matrices."""
        return super().moved(inputs, weights) + (11 if self.backward else 4) * self.square_bytes

    def core_peak(self) -> int:
        """Scores and weights together, or weights and the output."""
        u, square = self.tokens_bytes, self.square_bytes
        return 3 * square + 3 * u if self.backward else max(2 * square, square + u)

    def layer_peak(self) -> int:
        """As `core_peak`, beside queries, keys and values."""
        u, square = self.tokens_bytes, self.square_bytes
        if not self.backward:
            return max(2 * square + 3 * u, square + 5 * u)
        return max(3 * square + 4 * u, square + 8 * u) + self.dense_bytes

    def saved_for_backward(self) -> int:
        """The weights, beside queries, keys, values and heads."""
        return 4 * self.tokens_bytes + self.square_bytes


class Compressed(Fused):
    """Fused attention to k slots that E and F, or windows, make of n keys and values."""

    def __post_init__(self) -> None:
        super().__post_init__()
        config, k = self.config, self.config.k_of(self.layer)
        window = config.max_seq_len // k
        self.is_matrix = config.projection in ("linear", "jl")
        self.matrices = config.matrices_per_layer
        self.keys = -(-self.n // window) if config.projection in WINDOWED else k
        if self.is_matrix:
            self.held = self.matrices * k * config.max_seq_len
        elif config.projection == "conv":
            self.held = self.matrices * config.head_dim * window
        self.trained = 0 if config.projection == "jl" else self.held
        self.trained_bytes = self.trained * self.itemsize
        self.compress_first = compresses_first(config, self.layer, self.n)
        self.slots_bytes = self.batch * self.keys * self.d * self.itemsize
        # E X and F X, before W, are of the width of the model for every matrix
        wide = self.is_matrix and self.compress_first
        self.input_slots_bytes = self.matrices * self.slots_bytes if wide else 0
        self.per_head_batch = self.is_matrix and self.matrices > 2 and self.batch > 1
        # of q, k, v and the heads' outputs, a layer keeps so many for backward: what is fixed and
        # linear, or compressed first, needs no keys and values there
        self.kept = 2 if self.compress_first or config.projection in ("jl", "mean") else 4

    def core_flops(self) -> int:
        """Compress given keys and values, and attend."""
        return self._compressing(matrices=2) + super().core_flops()

    def layer_flops(self) -> int:
        """The four projections, in their order with compression, and attention."""
        rows, matrices = self.n, 2  # E K and F V of heads that together are d wide
        if self.compress_first:
            rows, matrices = self.keys, self.matrices  # every matrix times all of X
        projecting = 2 * (self._projecting(self.n) + self._projecting(rows))
        attending = self._compressing(matrices) + super().core_flops()
        return self.with_gradients(projecting) + attending

    def _compressing(self, matrices: int) -> int:
        """Multiply so many matrices with n rows that are d wide; windows are not counted."""
        if not self.is_matrix:
            return 0
        # a fixed matrix needs no gradient
        operands = 1 if self.config.projection == "jl" else 2
        return self.with_gradients(matrices * self._attending(), operands)

    def core_peak(self) -> int:
        """With backward, E's gradients besides."""
        u, small = self.tokens_bytes, self._small()
        if not self.backward:
            return u + small
        if self.is_matrix:
            # E's gradients are made apart and stacked; keys and values are kept in E's layout
            kept = 5 if self.config.projection == "linear" else 4
            return max(kept * u + self.trained_bytes, 4 * u + self._gradients_of_e()) + small
        # a maximum keeps which of the tokens it was, a byte each
        kept_bytes = self.batch * self.n * self.d if self.config.projection == "max" else 0
        return 5 * u + small + kept_bytes

    def layer_peak(self) -> int:
        """The worst of compressing, attending, and making the gradients of E and W."""
        u, small, dense = self.tokens_bytes, self._small(), self.dense_bytes
        EX = self.input_slots_bytes
        if not self.backward and self.compress_first:
            # per-head slots are laid out anew for a product with W over the batch
            once_more = EX // 2 if self.per_head_batch else 0
            return max(EX + once_more + 2 * self.slots_bytes, 2 * u + small)
        if not self.backward:
            # keys, values, and a copy of one in between; then queries and outputs
            copies_one = self.config.projection == "conv" or self.per_head_batch
            return (3 if copies_one else 2) * u + small
        attending = (3 + self.kept) * u + EX + small + dense // 4
        if not self.compress_first:
            return max(attending, 4 * u + self._gradients_of_e() + dense)
        # a batch makes E's gradient for each of its items, and then adds them up
        E = self.trained_bytes
        gradients = (self.batch + 1) * E if self.batch > 1 else 2 * E
        finishing = max(4 * u + E, 2 * u + gradients + EX, 2 * u + 5 * EX // 2) + dense
        return max(attending, finishing)

    def saved_for_backward(self) -> int:
        """Tokens and slots, those before W too."""
        slots = 4 * self.slots_bytes + self.input_slots_bytes
        return self.kept * self.tokens_bytes + self.row_sums_bytes + slots

    def _small(self) -> int:
        """Add the slots, which do not grow with n d either."""
        return self.slots_bytes * (4 if self.backward else 2) + super()._small()

    def _gradients_of_e(self) -> int:
        """E's gradient and F's, then both together; where E = F also their sum."""
        return (3 if self.matrices == 1 else 2) * self.trained_bytes


def _encoder(layers: list[Fused]) -> Costs:
    """Count a stack of layers: attention and an FFN of 4 d_model each, and two norms."""
    first, depth = layers[0], len(layers)
    d, u, itemsize = first.d, first.tokens_bytes, first.itemsize
    ffn = 8 * d**2 + 5 * d + 4 * d  # two matrices, their biases, two norms
    dense = sum(layer.dense + ffn for layer in layers)
    distinct = layers[:1] if first.config.sharing == "layerwise" else layers
    trained = sum(layer.trained for layer in distinct)
    held = sum(layer.held for layer in distinct)
    ffn_flops = first.with_gradients(16 * first.batch * first.n * d**2)
    # an FFN reads and writes as an attention layer that holds no E and F
    tokens, weights = (5, 3) if first.backward else (2, 1)
    ffn_moved = tokens * u + weights * ffn * itemsize
    if first.backward:
        # a norm keeps its input and its output; the FFN keeps 4 d_model before and after GELU
        saved = [layer.saved_for_backward() + 12 * u for layer in layers]
        turns = (
            layer.layer_peak() + 2 * u - keep for layer, keep in zip(layers, saved, strict=True)
        )
        turn = max(4 * u + 4 * d**2 * itemsize, *turns)
        peak = max(sum(saved) + turn, max(saved) + 4 * u + (trained + dense) * itemsize)
    else:
        held_over = u if depth > 1 else 0  # the layer's input, which the first is given
        peak = held_over + max(9 * u, *(layer.layer_peak() for layer in layers))
    return Costs(
        flops=sum(layer.layer_flops() + ffn_flops for layer in layers),
        parameters=trained + dense,
        bytes_moved=sum(layer.moved(1, layer.held + layer.dense) + ffn_moved for layer in layers),
        peak_bytes=peak,
        inputs_bytes=u,
        weights_bytes=(held + dense) * itemsize,
    )


# What rows of implementations hold: (config, seq, *, batch, scope, mode, itemsize) -> Costs.
fused = functools.partial(count, Fused)
written_out = functools.partial(count, WrittenOut)
compressed = functools.partial(count, Compressed)
