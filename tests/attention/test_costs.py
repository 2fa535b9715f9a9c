import itertools

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from linbench.attention import AttentionConfig, build, costs, counted, implementation
from linbench.attention.config import COMPRESSIBLE_FIRST, PROJECTIONS, SHARINGS
from linbench.attention.encoder import Encoder
from linbench.errors import UsageError
from linbench.probes.memory import allocation_peak

aten = torch.ops.aten
# the counter does not know the CPU's fused kernel; its own formulas for the others hold for it
FUSED_ON_CPU = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, **__: sdpa_flop_count(
        q, k, v
    ),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda g, q, k, v, *_, **__: sdpa_backward_flop_count(g, q, k, v)
    ),
}

LINFORMERS = [
    {"sharing": sharing, "projection": projection, "order": order}
    for sharing, projection, order in itertools.product(
        SHARINGS, PROJECTIONS, ("auto", "project_first", "compress_first")
    )
    if order != "compress_first" or projection in COMPRESSIBLE_FIRST
]
IMPLS = [("vanilla", {}), ("sdpa", {}), *(("linformer", each) for each in LINFORMERS)]


def subject(impl, config, seq, batch, scope, mode):
    """Return the module, its inputs, the parameters that take part, and the call to count."""
    layers = build(impl, config)
    module = Encoder(layers, config.d_model) if scope == "encoder" else layers[0]
    backward = mode == "forward_backward"
    shape = (batch, seq, config.d_model)
    if scope == "core":
        shape = (batch, config.num_heads, seq, config.head_dim)
    inputs = [
        torch.randn(shape, requires_grad=backward) for _ in range(3 if scope == "core" else 1)
    ]
    parameters = list(module.parameters())
    if scope == "core":
        parameters = list(module.projection.parameters()) if impl == "linformer" else []
    gradient = torch.randn(shape)

    def call(grad=torch.autograd.grad):
        with torch.set_grad_enabled(backward):
            output = (module.core if scope == "core" else module)(*inputs)
        if not backward:
            return output
        wanted = [*inputs, *parameters]
        return output.detach(), grad(output, wanted, gradient)

    return module, inputs, parameters, call


def total_bytes(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize("scope", costs.SCOPES)
@pytest.mark.parametrize(("impl", "options"), IMPLS)
def test_operations_and_sizes_are_those_of_the_module(impl, options, scope):
    """Operations equal torch's counter exactly; parameters and bytes equal the module's."""
    k = 8 if options.get("sharing") == "layerwise" else (8, 4)
    config = AttentionConfig(12, 3, 32, num_layers=2, k=k, bias=scope != "layer", **options)
    for mode, batch in itertools.product(costs.MODES, (1, 2)):
        seq = 29 if scope == "core" else 32
        module, inputs, parameters, call = subject(impl, config, seq, batch, scope, mode)
        with FlopCounterMode(display=False, custom_mapping=FUSED_ON_CPU) as counter:
            # the counter's hooks on modules do not stand autograd.grad
            call(lambda output, _, gradient: output.backward(gradient))
        got = counted(impl, config, seq, batch=batch, scope=scope, mode=mode)
        assert got.flops == counter.get_total_flops()
        assert got.parameters == sum(p.numel() for p in parameters)
        assert got.inputs_bytes == total_bytes(inputs)
        assert got.weights_bytes == total_bytes([*module.parameters(), *module.buffers()])


def test_auto_takes_the_order_of_fewer_operations():
    """For shared and per-head matrices, auto never counts more than either order."""
    chosen = set()
    for sharing, k, n in itertools.product(("none", "headwise", "kv"), (2, 8, 32), (32, 64, 1024)):
        flops = {
            order: counted(
                "linformer", AttentionConfig(64, 4, n, k=k, sharing=sharing, order=order), n
            ).flops
            for order in ("auto", "project_first", "compress_first")
        }
        assert flops["auto"] == min(flops.values())
        chosen.add((sharing, flops["auto"] == flops["compress_first"]))
    assert {("none", True), ("none", False), ("headwise", True)} <= chosen


def test_the_rule_for_per_head_matrices_at_long_n():
    """For long n, per-head E compresses first exactly where h k < d + k."""
    for d, h, k in itertools.product((64, 128), (2, 4, 8), (8, 16, 32, 64)):
        if h * k == d + k:
            continue
        config = AttentionConfig(d, h, 1 << 20, k=k, sharing="none")
        assert costs.compresses_first(config, 0, 1 << 20) == (h * k < d + k)


def test_core_counts_of_the_paper():
    """Core attention takes 2 n² d multiply-adds exactly, and 4 n k d through Linformer."""
    config = AttentionConfig(256, 4, 4096, k=128)
    assert counted("vanilla", config, 4096, scope="core").flops == 2 * 2 * 4096**2 * 256
    assert counted("linformer", config, 4096, scope="core").flops == 2 * 4 * 4096 * 128 * 256


def test_bytes_moved_of_core_attention():
    """The least traffic: q, k, v and the output once; written-out attention adds 4 n × n passes."""
    config = AttentionConfig(64, 4, 512, k=32)
    tokens, square = 512 * 64 * 4, 4 * 512 * 512 * 4
    moved = {
        (impl, mode): counted(impl, config, 512, scope="core", mode=mode).bytes_moved
        for impl in ("vanilla", "sdpa", "linformer")
        for mode in costs.MODES
    }
    assert moved["sdpa", "forward"] == 4 * tokens
    assert moved["vanilla", "forward"] == 4 * tokens + 4 * square
    assert moved["linformer", "forward"] == 4 * tokens + 2 * 32 * 512 * 4
    # backward: q, k, v and the output's gradient in, three gradients out
    assert moved["sdpa", "forward_backward"] == 11 * tokens
    assert moved["vanilla", "forward_backward"] == 11 * tokens + 11 * square
    assert moved["linformer", "forward_backward"] == 11 * tokens + 3 * 2 * 32 * 512 * 4


def test_sizes_scale_with_the_number_format():
    """Half the itemsize halves weights and inputs, and changes no count."""
    config = AttentionConfig(64, 4, 512, k=32)
    full, half = (counted("linformer", config, 512, itemsize=size) for size in (4, 2))
    assert (half.flops, half.parameters) == (full.flops, full.parameters)
    assert half.weights_bytes * 2 == full.weights_bytes
    assert half.inputs_bytes * 2 == full.inputs_bytes


def test_written_out_attention_holds_two_square_matrices():
    """Core attention at n = 4096 with 4 heads peaks at 512 MiB in float32."""
    config = AttentionConfig(256, 4, 4096)
    assert counted("vanilla", config, 4096, scope="core").peak_bytes == 512 * 2**20


@pytest.mark.parametrize("mode", costs.MODES)
@pytest.mark.parametrize("scope", costs.SCOPES)
@pytest.mark.parametrize(
    ("impl", "options"),
    [
        ("vanilla", {}),
        ("sdpa", {}),
        *(("linformer", {"sharing": s}) for s in ("none", "headwise", "kv")),
        *(("linformer", {"sharing": s, "order": "project_first"}) for s in ("none", "headwise")),
        *(("linformer", {"projection": p}) for p in ("jl", "mean", "max", "conv")),
    ],
)
def test_peak_memory_is_predicted(impl, options, scope, mode):
    """Never under by more than 10 % nor over by more than 25 %; written out within 5 %."""
    for n, batch, d, heads, k in ((2048, 1, 64, 2, 64), (512, 4, 128, 4, 64)):
        config = AttentionConfig(d, heads, n, k=k, num_layers=2, **options)
        *_, call = subject(impl, config, n, batch, scope, mode)
        threads = torch.get_num_threads()
        ratio = counted(impl, config, n, batch=batch, scope=scope, mode=mode).peak_bytes
        ratio /= allocation_peak(call)[1]
        assert ratio >= 0.9
        # scratch space is one block for each thread, which may be fewer than the machine's cores
        if threads == costs.os.cpu_count():
            assert ratio <= 1.25
        if impl == "vanilla" and n >= 2048:
            assert ratio == pytest.approx(1, abs=0.05)


def test_fused_kernels_cost_the_same():
    """xformers counts as sdpa does, by one function for both rows."""
    assert implementation("xformers").costs is implementation("sdpa").costs is costs.fused


def test_nothing_is_known_of_an_implementation_that_is_not_here():
    """A name in another's run file has no costs, rather than wrong ones or an error."""
    assert counted("mine", AttentionConfig(8, 2, 16), 16) is None


def test_unknown_scope_and_mode_are_refused():
    """The error suggests the nearest word."""
    config = AttentionConfig(8, 2, 16)
    with pytest.raises(UsageError, match=r"scope='cor' is unknown.*did you mean 'core'"):
        counted("vanilla", config, 16, scope="cor")
    with pytest.raises(UsageError, match="mode='backward' is unknown"):
        counted("vanilla", config, 16, mode="backward")


def test_unshared_projections_at_the_papers_longest_length():
    """At n = 65536 and k = 256, 12 × 12 heads hold 288, 24, 12 or 1 matrices of 16.8 million."""
    base = AttentionConfig(768, 12, 65536, num_layers=12, k=256)
    without = counted("sdpa", base, 65536, scope="encoder").parameters
    for sharing, matrices in (("none", 288), ("headwise", 24), ("kv", 12), ("layerwise", 1)):
        config = AttentionConfig(768, 12, 65536, num_layers=12, k=256, sharing=sharing)
        parameters = counted("linformer", config, 65536, scope="encoder").parameters
        assert parameters - without == matrices * 256 * 65536


def test_stands_for_real_modules_only():
    """The counted attention layer is the real one: a parameter more in it would be seen."""
    config = AttentionConfig(8, 2, 16, k=4)
    layer = build("linformer", config)[0]
    layer.extra = nn.Parameter(torch.zeros(1))
    real = sum(p.numel() for p in layer.parameters())
    assert counted("linformer", config, 16).parameters == real - 1
