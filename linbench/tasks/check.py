"""Whether outputs are right: a few query rows against the float64 reference, before any timing."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from linbench.attention import reference
from linbench.case import Case

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference from the reference over the largest reference value, by dtype."""

GRADIENT_SLACK = 10
"""Gradients pass through more roundings than outputs; their tolerance is that much larger."""

ROWS = 8
"""Query rows compared in each of at most two batch items; keys and values are always all there."""


class Wrong(Exception):  # noqa: N818 (not an error of the program: a finding about a case)
    """The outputs of a case are wrong; the text says how."""


@dataclass(frozen=True)
class Subject:
    """What is called and what of it is compared.

    Attributes:
        module: What is measured: an attention of one layer, or an encoder.
        attentions: The attention modules in it, one per layer.
        inputs: q, k, v `[batch, heads, n, head_dim]` at scope `core`, else x `[batch, n, d_model]`.
        parameters: The weights that take part, whose gradients mode `forward_backward` asks for.
        items: The first and the last item of the batch.
        rows: Query rows `[r]`, the first and the last among them.
        gradient: What flows into the output in mode `forward_backward`: random at items and rows,
            zero elsewhere, so that a reference of few rows gives the exact gradients of everything.
    """

    module: nn.Module
    attentions: list[nn.Module]
    inputs: list[Tensor]
    parameters: list[Tensor]
    items: Tensor
    rows: Tensor
    gradient: Tensor | None


def subject(
    case: Case, module: nn.Module, attentions: list[nn.Module], inputs: list[Tensor]
) -> Subject:
    """Choose what is compared, at random from torch's generator (seeded from the case)."""
    device = inputs[0].device
    rows = torch.randperm(case.seq)[:ROWS]
    rows[:2] = torch.tensor([0, case.seq - 1])[: len(rows)]
    rows = torch.unique(rows).to(device)
    items = torch.unique(torch.tensor([0, case.batch - 1])).to(device)
    parameters: list[Tensor] = [p for p in module.parameters() if p.requires_grad]
    if case.scope == "core":  # the four input and output projections take no part in it
        aside = {
            id(p)
            for name, child in module.named_children()
            if name in ("q_proj", "k_proj", "v_proj", "out_proj")
            for p in child.parameters()
        }
        parameters = [p for p in parameters if id(p) not in aside]
    gradient = None
    if case.mode == "forward_backward":
        wanted = torch.zeros(case.batch, case.seq, 1, dtype=torch.bool, device=device)
        wanted[items[:, None], rows] = True
        like = inputs[0].detach()
        gradient = torch.randn_like(like) * (wanted[:, None] if like.dim() == 4 else wanted)
    return Subject(module, attentions, inputs, parameters, items, rows, gradient)


def output_of(result: Any) -> Any:
    """Return the output in what a call returned: all of it, or the first beside gradients."""
    return result[0] if isinstance(result, tuple) else result


def rows_of(output: Tensor, of: Subject) -> Tensor:
    """Return the compared rows `[items, …, r, width]` of an output as float64."""
    return output.detach()[of.items].index_select(-2, of.rows).double()


def compare(case: Case, of: Subject, result: Any) -> dict[str, Any]:
    """Compare what a call returned with the reference; returns the `check` field of a record.

    Raises:
        Wrong: the outputs have another shape, are not finite, or differ by more than the tolerance.
    """
    output = output_of(result)
    expected = of.inputs[0].shape
    if not isinstance(output, Tensor):
        raise Wrong(f"returned {type(output).__name__}, expected a tensor of {list(expected)}")
    if output.shape != expected:
        raise Wrong(f"returned shape {list(output.shape)}, expected {list(expected)}")
    if not bool(torch.isfinite(output).all()):
        raise Wrong("returned NaN or infinity for finite inputs")
    name = reference.name_of(of.attentions[0])
    if name is None:
        reason = f"no reference is known for '{case.impl}': only shape and finiteness were checked"
        return {"reference": None, "max_rel_error": None, "reason": reason}
    errors = _encoder_errors(of, output) if case.scope == "encoder" else _errors(case, of, result)
    worst = max(errors)
    tolerance = TOLERANCE[case.dtype]
    if not worst <= tolerance:  # also where it is NaN
        raise Wrong(
            f"differs from the reference ({name}) by {worst:.2g} of its largest value, "
            f"expected at most {tolerance:g}"
        )
    return {"reference": name, "max_rel_error": worst, "tolerance": tolerance}


def _errors(case: Case, of: Subject, result: Any) -> list[float]:
    """Return the relative error of the output, and of each gradient over GRADIENT_SLACK."""
    picked = [x.detach()[of.items].requires_grad_(of.gradient is not None) for x in of.inputs]
    if case.scope == "core":
        q, k, v = picked
        wanted = reference.core_rows(of.attentions[0], q, k, v, of.rows)
    else:
        wanted = reference.layer_rows(of.attentions[0], picked[0], of.rows)
    errors = [_relative(rows_of(output_of(result), of), wanted)]
    if of.gradient is None:
        return errors
    into = rows_of(of.gradient, of)
    grads = torch.autograd.grad(wanted, [*picked, *of.parameters], into, allow_unused=True)
    largest = max(float(want.abs().max()) for want in grads if want is not None)
    for got, want in zip(result[1], grads, strict=True):
        if want is None:
            continue
        if got is None:
            raise Wrong("gave no gradient for an input or a weight that takes part")
        same = got[of.items] if len(errors) <= len(picked) else got
        errors.append(_relative(same.double(), want.double(), largest) / GRADIENT_SLACK)
    return errors


def _encoder_errors(of: Subject, output: Tensor) -> list[float]:
    """Return the relative errors of every layer's attention, given the input it really gets.

    The encoder is run once more for it, without compilation; its output must be the measured one.
    """
    errors: list[float] = []

    def hook(attention: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        wanted = reference.layer_rows(attention, inputs[0].detach()[of.items], of.rows)
        errors.append(_relative(rows_of(out, of), wanted))

    handles = [attention.register_forward_hook(hook) for attention in of.attentions]
    with torch.no_grad():
        again = of.module(*of.inputs)
    for handle in handles:
        handle.remove()
    return [*errors, _relative(rows_of(output, of), rows_of(again, of))]


def _relative(got: Tensor, wanted: Tensor, context: float = 0.0) -> float:
    """Return the largest absolute difference over the largest absolute wanted value.

    A wanted value that is zero but for rounding (softmax does not see a bias of the keys, say) is
    held against `context`, the largest value around it, instead.
    """
    own = float(wanted.detach().abs().max())
    scale = own if own > 1e-9 * context else context
    difference = float((got.detach() - wanted.detach()).abs().max())
    return difference / scale if scale else difference
