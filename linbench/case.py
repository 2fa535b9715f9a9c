"""One point to measure. Frozen, validated, with an id that stays the same between runs."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt

Scope = Literal["layer", "core", "encoder", "function"]
Mode = Literal["forward", "forward_backward"]
KPerLayer = PositiveInt | tuple[PositiveInt, ...]


class Case(BaseModel):
    """One point to measure: an implementation at one sequence length and one setting of the rest.

    `k`, `sharing`, `projection` and `order` are None where they do not apply (exact attention).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    task: str = "efficiency"
    """What is measured: `efficiency` is time, memory and energy of a call, `max_batch` the largest
    batch that fits a memory."""
    impl: str
    """Name of the implementation."""
    seq: PositiveInt
    """Sequence length n."""
    k: KPerLayer | None = None
    """Projected length k; a list has one for each layer."""
    sharing: str | None = None
    """Who shares E and F: none, headwise, kv, layerwise."""
    projection: str | None = None
    """How n keys and values become k: linear, jl, mean, max, conv."""
    order: str | None = None
    """Whether E is applied after W (project_first), before (compress_first), or the cheaper."""
    scope: Scope = "layer"
    """core: attention on given q, k, v; layer: with its four projections; encoder: the stack;
    function: a benchmark of pytest-benchmark, of whose shape only n is known."""
    mode: Mode = "forward"
    """forward, or forward_backward: with the gradients of inputs and weights."""
    d_model: PositiveInt = 256
    """Model width."""
    heads: PositiveInt = 4
    """Attention heads h."""
    layers: PositiveInt = 1
    """Layers of the stack."""
    batch: NonNegativeInt = 1
    """Sequences in the batch; 1 in task max_batch, which finds it."""
    dtype: str = "float32"
    """Type of weights and inputs."""
    device: str = "cpu"
    """cpu or cuda."""
    compile: bool = False
    """Whether torch.compile was used."""
    seed: int = 0
    """Of weights and inputs."""
    k_rule: str | None = None
    """The rule that k came from (`n/4`), so that its cases form one series; null for a number."""
    tokens: int | None = None
    """Number of tokens that the batch came from (batch = tokens / n); null for a given batch."""
    memory_limit_bytes: PositiveInt | None = None
    """The memory that the batch of task max_batch must fit; null in other tasks."""

    @property
    def id(self) -> str:
        """A readable name with a digest of every field that is set; stable between runs."""
        fields = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True)
        digest = hashlib.sha256(fields.encode()).hexdigest()[:8]
        return f"{self.label.replace(' ', '-').replace('/', '_')}-n{self.seq}-{digest}"

    @property
    def label(self) -> str:
        """What tells this case's configuration from another's, without n: `linformer k=128 kv`."""
        words = [self.impl]
        if self.k is not None:
            words.append(f"k={self.k_rule or k_text(self.k)}")
        words += [word for word in (self.sharing, self.projection) if word not in (None, "linear")]
        return " ".join(words)


def k_text(k: KPerLayer) -> str:
    """Write k the way the command line reads it: `128`, or `256/128/64` per layer."""
    return str(k) if isinstance(k, int) else "/".join(map(str, k))
