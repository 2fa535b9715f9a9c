"""The flags that say what to measure and how, for every verb that measures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from linbench.suite import Suite

GRID = "Grid"
HOW = "How to measure"


def _axis(text: str, default: str | None = None) -> Any:
    return typer.Option(
        help=text + (f" [default: {default}]" if default else ""), rich_help_panel=GRID
    )


def _how(text: str, default: str | None = None) -> Any:
    return typer.Option(
        help=text + (f" [default: {default}]" if default else ""), rich_help_panel=HOW
    )


ImplOption = Annotated[
    list[str] | None,
    _axis(
        "Implementations; your own as NAME=module:builder or NAME=file.py:builder, "
        "with @k at the end if it takes k.",
        "vanilla,sdpa,linformer",
    ),
]
SeqOption = Annotated[
    str | None,
    _axis("Sequence lengths n: 512..65536 doubles, A..B*4, A..B+1024, commas.", "512..65536"),
]
KOption = Annotated[
    str | None,
    _axis("Projected dimensions: 128,256, n/4, per layer 256/128/64 or 256:64.", "128,256"),
]
SharingOption = Annotated[str | None, _axis("none, headwise, kv, layerwise.", "headwise")]
ProjectionOption = Annotated[str | None, _axis("linear, jl, mean, max, conv.", "linear")]
OrderOption = Annotated[str | None, _axis("auto, project_first, compress_first.", "auto")]
ScopeOption = Annotated[
    str | None,
    _axis("layer (with its four projections), core (attention alone), encoder.", "layer"),
]
ModeOption = Annotated[str | None, _axis("forward, forward_backward.", "forward")]
DModelOption = Annotated[str | None, _axis("Model width.", "256")]
HeadsOption = Annotated[str | None, _axis("Attention heads h.", "4")]
LayersOption = Annotated[str | None, _axis("Layers, at scope encoder.", "1")]
BatchOption = Annotated[str | None, _axis("Sequences in a batch.", "1")]
TokensOption = Annotated[str | None, _axis("Tokens in a batch: batch = tokens / n.")]
DtypeOption = Annotated[str | None, _axis("float32, float64, float16, bfloat16.", "float32")]
TaskOption = Annotated[
    str | None,
    _axis(
        "efficiency (time, memory, energy of a call), max_batch (the largest batch that fits).",
        "efficiency",
    ),
]
MemoryLimitOption = Annotated[
    str | None,
    _axis("What the batch of task max_batch must fit: 16GB, 8GiB (both of 1024³ bytes).", "16GB"),
]
DeviceOption = Annotated[str | None, _how("auto, cpu, cuda.", "auto")]
CompileOption = Annotated[
    bool | None, typer.Option("--compile", help="Use torch.compile.", rich_help_panel=HOW)
]
RoundsOption = Annotated[int | None, _how("Most rounds of a case, each a fresh process.", "5")]
BudgetOption = Annotated[str | None, _how("Time for the whole sweep, or none.", "5m")]
CaseTimeoutOption = Annotated[str | None, _how("Limit of one round of one case.", "60s")]
PrecisionOption = Annotated[
    str | None,
    _how("From the 6th round on, end a case whose 95 % interval is this tight.", "3%"),
]
KeepPagesOption = Annotated[
    bool | None,
    typer.Option(
        "--keep-pages/--return-pages",
        help="Whether the C library keeps freed pages while timing. [default: keep-pages]",
        rich_help_panel=HOW,
    ),
]
SeedOption = Annotated[int | None, _how("Of weights, inputs and order.", "0")]

GRID_FLAGS = (
    "impl", "seq", "k", "sharing", "projection", "order", "scope", "mode", "d_model", "heads",
    "layers", "batch", "tokens", "dtype", "task", "memory_limit",
)  # fmt: skip
OTHER_FLAGS = (
    "device", "compile", "rounds", "budget", "case_timeout", "precision", "keep_pages", "seed",
)  # fmt: skip


def given(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings among the flags that were given; a verb need not have all of them."""
    settings = {
        name: params.get("compile_" if name == "compile" else name)
        for name in (*GRID_FLAGS, *OTHER_FLAGS)
    }
    settings["impl"] = settings["impl"] or None
    return {name: value for name, value in settings.items() if value is not None}


def choose(suite: str | None, settings: dict[str, Any]) -> "Suite":
    """Return the suite of that name with the flags in its place, or the flags alone.

    Without either it is the suite 'scaling'.

    Raises:
        UsageError: no such suite, or a setting that is not valid.
    """
    from linbench import suite as suites

    if suite is None and not any(name in settings for name in GRID_FLAGS):
        suite = "scaling"
    return suites.read(settings) if suite is None else suites.load(suite, settings)


def device_of(suite: "Suite") -> str:
    """Return what a suite's device comes to on this machine: `cpu` or `cuda`.

    Raises:
        UsageError: CUDA is asked for and not there.
    """
    from linbench.errors import UsageError
    from linbench.probes import machine

    if suite.device == "cpu":
        return "cpu"
    reason = machine.no_cuda_reason()
    if suite.device == "cuda" and reason:
        raise UsageError(f"--device cuda is not there: {reason}; use --device cpu")
    return "cpu" if reason else "cuda"
