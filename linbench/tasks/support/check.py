"""Whether outputs are right: a few query rows against the float64 reference, before any timing."""

from typing import Any

import torch
from torch import Tensor, nn

from linbench.attention import reference
from linbench.run.case import Case
from linbench.run.record import Check
from linbench.tasks.support.subject import Subject

TOLERANCE = {"float64": 1e-9, "float32": 1e-4, "float16": 1e-2, "bfloat16": 5e-2}
"""Largest difference from the reference over the largest reference value, by dtype."""

GRADIENT_SLACK = 10
"""Gradients pass through more roundings than outputs; their tolerance is that much larger."""


class IncorrectOutput(Exception):  # noqa: N818 (not an error of the program: a finding)
    """The outputs of a case are wrong; the text says how."""


def output_of(result: Any) -> Any:
    """Return the output in what a call returned: all of it, or the first beside gradients."""
    return result[0] if isinstance(result, tuple) else result


def rows_of(output: Tensor, subject: Subject) -> Tensor:
    """Return the compared rows `[items, …, r, width]` of an output as float64."""
    return output.detach()[subject.items].index_select(-2, subject.rows).double()


def compare(case: Case, subject: Subject, result: Any) -> Check:
    """Compare what a call returned with the reference.

    Raises:
        IncorrectOutput: they have another shape, are not finite, or differ by too much.
    """
    output = output_of(result)
    expected = subject.inputs[0].shape
    if not isinstance(output, Tensor):
        raise IncorrectOutput(
            f"returned {type(output).__name__}, expected a tensor of {list(expected)}"
        )
    if output.shape != expected:
        raise IncorrectOutput(f"returned shape {list(output.shape)}, expected {list(expected)}")
    if not bool(torch.isfinite(output).all()):
        raise IncorrectOutput("returned NaN or infinity for finite inputs")
    name = reference.name_of(subject.attentions[0])
    if name is None:
        reason = f"no reference is known for '{case.impl}': only shape and finiteness were checked"
        return Check(reason=reason)
    if case.scope == "encoder":
        worst = max(_encoder_errors(subject, output))
    else:
        worst = max(_errors(case, subject, result))
    tolerance = TOLERANCE[str(case.dtype)]
    if not worst <= tolerance:  # also where it is NaN
        raise IncorrectOutput(
            f"differs from the reference ({name}) by {worst:.2g} of its largest value, "
            f"expected at most {tolerance:g}"
        )
    return Check(
        mathematics=reference.mathematics_of(subject.attentions[0]),
        reference=name,
        max_rel_error=worst,
        tolerance=tolerance,
    )


def _errors(case: Case, subject: Subject, result: Any) -> list[float]:
    """Return the relative error of the output, and of each gradient over GRADIENT_SLACK."""
    backward = subject.gradient is not None
    picked = [x.detach()[subject.items].requires_grad_(backward) for x in subject.inputs]
    if case.scope == "core":
        q, k, v = picked
        wanted = reference.core_rows(subject.attentions[0], q, k, v, subject.rows)
    else:
        wanted = reference.layer_rows(subject.attentions[0], picked[0], subject.rows)
    errors = [_relative(rows_of(output_of(result), subject), wanted)]
    if subject.gradient is None:
        return errors
    into = rows_of(subject.gradient, subject)
    grads = torch.autograd.grad(wanted, [*picked, *subject.parameters], into, allow_unused=True)
    largest = max(float(want.abs().max()) for want in grads if want is not None)
    for got, want in zip(result[1], grads, strict=True):
        if want is None:
            continue
        if got is None:
            raise IncorrectOutput("gave no gradient for an input or a weight that takes part")
        same = got[subject.items] if len(errors) <= len(picked) else got
        errors.append(_relative(same.double(), want.double(), largest) / GRADIENT_SLACK)
    return errors


def _encoder_errors(subject: Subject, output: Tensor) -> list[float]:
    """Return the relative errors of every layer's attention, given the input it really gets.

    The encoder is run once more for it, without compilation; its output must be the measured one.
    """
    errors: list[float] = []

    def hook(attention: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        wanted = reference.layer_rows(attention, inputs[0].detach()[subject.items], subject.rows)
        errors.append(_relative(rows_of(out, subject), wanted))

    handles = [attention.register_forward_hook(hook) for attention in subject.attentions]
    with torch.no_grad():
        again = subject.module(*subject.inputs)
    for handle in handles:
        handle.remove()
    return [*errors, _relative(rows_of(output, subject), rows_of(again, subject))]


def _relative(got: Tensor, wanted: Tensor, context: float = 0.0) -> float:
    """Return the largest absolute difference over the largest absolute wanted value.

    A wanted value that is zero but for rounding (softmax does not see a bias of the keys, say) is
    held against `context`, the largest value around it, instead.
    """
    own = float(wanted.detach().abs().max())
    scale = own if own > 1e-9 * context else context
    difference = float((got.detach() - wanted.detach()).abs().max())
    return difference / scale if scale else difference


def same(result: Any, checked: Tensor, subject: Subject) -> None:
    """Refuse a later call whose rows are not those of the call that was checked.

    Raises:
        IncorrectOutput: they differ by more than a hundredth of the largest value.
    """
    last = rows_of(output_of(result), subject)
    if not torch.allclose(last, checked, rtol=1e-2, atol=1e-2 * float(checked.abs().max())):
        raise IncorrectOutput("the last timed call returned other values than the checked call")
