"""One point to measure. Frozen, validated, with an id that stays the same between runs."""

import hashlib
import json
from typing import Literal

from pydantic import BaseModel, ConfigDict

Scope = Literal["layer", "core", "encoder"]
Mode = Literal["forward", "forward_backward"]
KPerLayer = int | tuple[int, ...]


class Case(BaseModel):
    """One point to measure: an implementation at one sequence length and one setting of the rest.

    `k`, `sharing`, `projection` and `order` are None where they do not apply (exact attention).
    `k_rule` keeps the rule that `k` came from (`n/4`), `tokens` the number of tokens that `batch`
    came from, so that the cases of one rule form one series.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str = "efficiency"
    impl: str
    seq: int
    k: KPerLayer | None = None
    sharing: str | None = None
    projection: str | None = None
    order: str | None = None
    scope: Scope = "layer"
    mode: Mode = "forward"
    d_model: int = 256
    heads: int = 4
    layers: int = 1
    batch: int = 1
    dtype: str = "float32"
    device: str = "cpu"
    compile: bool = False
    seed: int = 0
    k_rule: str | None = None
    tokens: int | None = None

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
