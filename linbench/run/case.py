"""One point to measure. Frozen, validated, with an id that stays the same between runs."""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    NonNegativeInt,
    PlainSerializer,
    PositiveInt,
    WithJsonSchema,
)

from linbench.words import quantity

Scope = Literal["layer", "core", "encoder", "function"]
Mode = Literal["forward", "forward_backward"]
KPerLayer = PositiveInt | tuple[PositiveInt, ...]
Json = bool | int | float | str | None

DEFAULT_TASK = "efficiency"
WHO = ("impl", "k", "k_rule", "sharing", "projection", "order")
"""The fields that say who solves a problem; all others say which problem it is."""


def _pairs(value: Any) -> Any:
    return tuple(sorted(value.items())) if isinstance(value, Mapping) else value


Settings = Annotated[
    tuple[tuple[str, Json], ...],
    BeforeValidator(_pairs),
    PlainSerializer(dict),
    WithJsonSchema({"type": "object"}),
]
"""What a task adds to a case: written as an object, held as pairs, so that cases can be hashed."""


class Case(BaseModel):
    """One point to measure: an implementation at one sequence length and one setting of the rest.

    `k`, `sharing`, `projection` and `order` are None where they do not apply (exact attention).
    With holes (fields that are None though they apply) it is the key of what differs in them only:
    a series along n is a case without n, see `key`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    task: str = DEFAULT_TASK
    """What is measured, by the name of the task."""
    impl: str | None
    """Name of the implementation."""
    seq: PositiveInt | None
    """Sequence length n; null where it is not known."""
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
    function: somebody's function, of whose shape nothing is known but n."""
    mode: Mode = "forward"
    """forward, or forward_backward: with the gradients of inputs and weights."""
    d_model: PositiveInt | None = 256
    """Model width; null where it is not known."""
    heads: PositiveInt | None = 4
    """Attention heads h; null where it is not known."""
    layers: PositiveInt = 1
    """Layers of the stack."""
    batch: NonNegativeInt | None = 1
    """Sequences in the batch; 1 where the task finds it."""
    dtype: str | None = "float32"
    """Type of weights and inputs; null where it is not known."""
    device: str | None = "cpu"
    """cpu or cuda; null where it is not known."""
    compile: bool = False
    """Whether torch.compile was used."""
    seed: int | None = 0
    """Of weights and inputs."""
    k_rule: str | None = None
    """The rule that k came from (`n/4`), so that its cases form one series; null for a number."""
    tokens: PositiveInt | None = None
    """Number of tokens that the batch came from (batch = tokens / n); null for a given batch."""
    settings: Settings | None = None
    """What the task asks besides; null where it asks nothing."""

    @property
    def id(self) -> str:
        """A readable name with a digest of every field that is set; stable between runs."""
        fields = self.model_dump(mode="json", exclude_none=True)
        fields |= fields.pop("settings", {})
        digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:8]
        place = "" if self.seq is None else f"-n{self.seq}"
        return f"{self._words.replace(' ', '-').replace('/', '_')}{place}-{digest}"

    @property
    def title(self) -> str:
        """The configuration with its n, if it has one: `linformer k=128 kv n=512`."""
        return self.label if self.seq is None else f"{self.label} n={self.seq}"

    @property
    def _words(self) -> str:
        words = [str(self.impl)]
        if self.k_text is not None:
            words.append(f"k={self.k_text}")
        words += [word for word in (self.sharing, self.projection) if word not in (None, "linear")]
        return " ".join(words)

    @property
    def label(self) -> str:
        """What tells this configuration from another, without n: `linformer k=128 kv`."""
        return f"{self._words} {self.order}" if self.order not in (None, "auto") else self._words

    @property
    def k_text(self) -> str | None:
        """K as the command line reads it: `128`, its rule `n/4`, or `256/128/64` per layer."""
        return self.k_rule or (None if self.k is None else k_text(self.k))

    @property
    def k_divisor(self) -> int | None:
        """The 4 of the rule `n/4`; None where k follows no such rule."""
        digits = (self.k_rule or "").removeprefix("n/")
        return int(digits) if self.k_rule != digits and digits.isdecimal() else None

    @property
    def problem_words(self) -> tuple[str, ...]:
        """The problem, a word for each thing: scope, mode, shape, dtype, device."""
        if self.scope == "function":
            return (self.scope,)
        size = f"{self.tokens} tokens" if self.tokens else f"batch {self.batch}"
        asked = [_asked(name, value) for name, value in self.settings or ()]
        words = [
            None if self.task == DEFAULT_TASK else self.task.replace("_", " "),
            self.scope,
            self.mode.replace("_", " + "),
            f"{self.layers} layers" if self.layers > 1 else None,
            None if self.d_model is None else f"d_model {self.d_model}",
            None if self.heads is None else f"{self.heads} heads",
            None if self.tokens is self.batch is None else size,
            self.dtype,
            self.device,
            "compiled" if self.compile else None,
        ]
        return (*(word for word in words if word is not None), *asked)

    @property
    def problem_label(self) -> str:
        """The problem in words: `core, forward, d_model 256, 4 heads, batch 1, float32, cpu`."""
        return ", ".join(self.problem_words)

    def key(self, *without: str) -> Self:
        """Return this case with holes: equal for all cases that differ in these fields only.

        Without n it is also without what follows n: k where a rule gives it, the batch where a
        number of tokens does. `at` puts n back.

        Args:
            without: Names of fields.
        """
        holes = set(without)
        if "seq" in holes:
            holes |= {"k"} if self.k_divisor else set()
            holes |= {"batch"} if self.tokens else set()
        return self.model_copy(update=dict.fromkeys(holes))

    @property
    def problem(self) -> Self:
        """The case without who solves it: what two implementations must share to be compared."""
        return self.key(*WHO, "seed")

    def at(self, n: int) -> Self:
        """Return the case at another n, with the k and the batch that follow from it.

        At 0 it is without n, as the readings of a case without one are (see `Reading`).
        """
        found: dict[str, Any] = {"seq": n or None}
        if self.k_divisor:
            found["k"] = k_at(self.k_divisor, n)
        if self.tokens:
            found["batch"] = self.tokens // n
        elif self.batch is None:
            found["batch"] = 1
        return self.model_copy(update=found)

    def setting(self, name: str) -> Any:
        """Return one of the task's settings, None where it is not set."""
        return dict(self.settings or ()).get(name)


def _asked(name: str, value: Json) -> str:
    said = name.removesuffix("_bytes")
    if said != name and isinstance(value, int):
        return f"{said.replace('_', ' ')} {quantity(value, 'byte')}"
    return f"{name.replace('_', ' ')} {value}"


def k_at(divisor: int, n: int) -> int:
    """Return the k that the rule `n/divisor` gives at one n, at least 1."""
    return max(1, n // divisor)


def k_text(k: KPerLayer) -> str:
    """Write k the way the command line reads it: `128`, or `256/128/64` per layer."""
    return str(k) if isinstance(k, int) else "/".join(map(str, k))
