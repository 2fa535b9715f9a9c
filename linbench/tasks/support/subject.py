"""What is called and measured of a case: its modules, the inputs of a call, the call itself."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from linbench import attention
from linbench.attention.encoder import Encoder
from linbench.run.case import Case
from linbench.run.shape import config_of, shape_of

ROWS = 8
"""Query rows compared in each of at most two batch items; keys and values are always all there."""


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


def subject_of(
    case: Case, module: nn.Module, attentions: list[nn.Module], inputs: list[Tensor]
) -> Subject:
    """Choose what is compared, at random from torch's generator (seeded from the case)."""
    device, shape = inputs[0].device, shape_of(case)
    rows = torch.randperm(shape.n)[:ROWS]
    rows[:2] = torch.tensor([0, shape.n - 1])[: len(rows)]
    rows = torch.unique(rows).to(device)
    items = torch.unique(torch.tensor([0, shape.batch - 1])).to(device)
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
        wanted = torch.zeros(shape.batch, shape.n, 1, dtype=torch.bool, device=device)
        wanted[items[:, None], rows] = True
        like = inputs[0].detach()
        gradient = torch.randn_like(like) * (wanted[:, None] if like.dim() == 4 else wanted)
    return Subject(module, attentions, inputs, parameters, items, rows, gradient)


def build(case: Case) -> Subject:
    """Build the module of a case and the inputs of one call, at random from torch's generator."""
    return subject_of(case, *modules_of(case), inputs_of(case))


def modules_of(case: Case) -> tuple[nn.Module, list[nn.Module]]:
    """Build what is called, and the attention modules in it, one per layer."""
    shape = shape_of(case)
    attentions = attention.build(shape.impl, config_of(case))
    module = Encoder(attentions, shape.d_model) if case.scope == "encoder" else attentions[0]
    module.to(device=shape.device, dtype=getattr(torch, shape.dtype))
    return module.train(case.mode == "forward_backward"), attentions


def inputs_of(case: Case) -> list[Tensor]:
    """Draw the inputs of one call from torch's generator: x, or q, k and v at scope core."""
    shape = shape_of(case)
    sizes: tuple[int, ...] = (shape.batch, shape.n, shape.d_model)
    if case.scope == "core":
        sizes = (shape.batch, shape.heads, shape.n, shape.d_model // shape.heads)
    dtype, grad = getattr(torch, shape.dtype), torch.is_grad_enabled()
    return [
        torch.randn(sizes, device=shape.device, dtype=dtype).requires_grad_(grad)
        for _ in range(3 if case.scope == "core" else 1)
    ]


def step(case: Case, subject: Subject) -> Callable[[], Any]:
    """Return the call to measure: forward, or forward and the gradients of inputs and weights.

    Gradients are asked for directly, so that none is added up from call to call. What flows in is
    zero but for the rows compared; dense arithmetic takes as long with zeros.
    """
    forward: Callable[..., Tensor] = subject.module
    if case.scope == "core":
        if not hasattr(subject.module, "core"):
            raise TypeError(f"'{case.impl}' has no core(q, k, v), which --scope core measures")
        forward = cast("Callable[..., Tensor]", subject.module.core)
    if case.compile:
        forward = torch.compile(forward, dynamic=False)
    if case.mode == "forward":
        return lambda: forward(*subject.inputs)
    wanted = [*subject.inputs, *subject.parameters]

    def forward_backward() -> tuple[Tensor, tuple[Tensor | None, ...]]:
        output = forward(*subject.inputs)
        gradients = torch.autograd.grad(output, wanted, subject.gradient, allow_unused=True)
        return output.detach(), gradients

    return forward_backward


def wake(case: Case, subject: Subject, call: Callable[[], Any]) -> None:
    """Load what is loaded on first use, so that it is not taken for memory of the call.

    On a CPU a call on a few tokens maps the code of kernels and starts their threads. Compilers,
    and the handles and workspaces of a GPU's libraries, need the call itself.
    """
    if case.compile or case.device == "cuda":
        call()
        return
    few = [x.detach().narrow(-2, 0, min(64, x.shape[-2])) for x in subject.inputs]
    with torch.no_grad(), contextlib.suppress(Exception):  # a plug-in may want its n and no other
        (subject.module.core if case.scope == "core" else subject.module)(*few)  # type: ignore[operator]  # a Module's attribute


def storage_bytes(tensors: list[Tensor]) -> int:
    """Return the bytes that tensors hold, storages shared between them counted once."""
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())
