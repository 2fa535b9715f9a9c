import copy
import itertools

import pytest
import torch

from linbench.attention import AttentionConfig, build, reference
from linbench.attention.config import COMPRESSIBLE_FIRST, PROJECTIONS, SHARINGS
from linbench.errors import UsageError

N_MAX, D_MODEL, HEADS, K = 12, 8, 2, (6, 3)

CASES = [
    (sharing, projection, order)
    for sharing, projection, order in itertools.product(
        SHARINGS, PROJECTIONS, ("project_first", "compress_first")
    )
    if order == "project_first" or projection in COMPRESSIBLE_FIRST
]


def config(sharing="headwise", projection="linear", order="auto", **more):
    # nonuniform k wherever it is allowed, so that every test also covers it
    more.setdefault("k", 4 if sharing == "layerwise" else K)
    more.setdefault("num_layers", 2)
    return AttentionConfig(
        d_model=D_MODEL,
        num_heads=HEADS,
        max_seq_len=N_MAX,
        sharing=sharing,
        projection=projection,
        order=order,
        **more,
    )


def padding(batch, n):
    """Four items: no padding, some at the right, some within, nothing but padding."""
    mask = torch.zeros(batch, n, dtype=torch.bool)
    mask[1, n - n // 2 :] = True
    mask[2, ::2] = True
    mask[3] = True
    return mask


def gradients(output, leaves):
    weight = torch.linspace(-1, 1, output.numel(), dtype=output.dtype).view(output.shape)
    return torch.autograd.grad((output * weight).sum(), leaves, allow_unused=True)


def assert_same(got, want):
    assert (got is None) == (want is None)
    if got is not None:
        assert torch.isfinite(got).all()
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [N_MAX, 7])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("sharing", "projection", "order"), CASES)
def test_every_layer_is_equation_7(sharing, projection, order, padded, n):
    """Outputs and all gradients equal the float64 reference, for forward and for core."""
    torch.manual_seed(0)
    rows = torch.arange(n)
    for batch, layer in itertools.product(
        (1, 4), build("linformer", config(sharing, projection, order))
    ):
        if padded and batch == 1:
            mask = padding(4, n)[2:3]
        else:
            mask = padding(batch, n) if padded else None
        layer.double()
        x = torch.randn(batch, n, D_MODEL, dtype=torch.double, requires_grad=True)
        leaves = [x, *layer.parameters()]
        got, want = layer(x, mask), reference.layer_rows(layer, x, rows, mask)
        assert_same(got, want)
        for ours, theirs in zip(gradients(got, leaves), gradients(want, leaves), strict=True):
            assert_same(ours, theirs)

        qkv = torch.randn(3, batch, HEADS, n, D_MODEL // HEADS, dtype=torch.double).unbind()
        leaves = [*(each.requires_grad_() for each in qkv), *layer.projection.parameters()]
        got, want = layer.core(*qkv, mask), reference.core_rows(layer, *qkv, rows, mask)
        assert_same(got, want)
        for ours, theirs in zip(gradients(got, leaves), gradients(want, leaves), strict=True):
            assert_same(ours, theirs)


def test_reference_is_the_formula():
    """The reference agrees with equation (7) written out for one head, one token at a time."""
    layer = build("linformer", config("none", num_layers=1, k=3))[0].double()
    x = torch.randn(1, 5, D_MODEL, dtype=torch.double)
    E, F = layer.projection_matrices(5)
    heads = []
    for i in range(HEADS):
        part = slice(i * D_MODEL // HEADS, (i + 1) * D_MODEL // HEADS)
        q, k, v = (
            x[0] @ p.weight[part].T + p.bias[part]
            for p in (layer.q_proj, layer.k_proj, layer.v_proj)
        )
        scores = (q @ (E[i] @ k).T / (D_MODEL // HEADS) ** 0.5).exp()
        heads.append((scores / scores.sum(1, keepdim=True)) @ (F[i] @ v))
    want = layer.out_proj(torch.cat(heads, 1))
    got = reference.layer_rows(layer, x, torch.tensor([4, 0]))
    torch.testing.assert_close(got[0], want[[4, 0]], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("sharing", "projection", "order"), CASES)
def test_right_padding_equals_slicing(sharing, projection, order):
    """Tokens that are padding leave no trace in the others' outputs, in any layer."""
    for layer in build("linformer", config(sharing, projection, order)):
        layer.double()
        x = torch.randn(1, N_MAX, D_MODEL, dtype=torch.double)
        mask = torch.arange(N_MAX)[None] >= 7
        torch.testing.assert_close(layer(x, mask)[:, :7], layer(x[:, :7]), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("sharing", "projection", "order"), CASES)
def test_all_padding_gives_out_proj_of_zero(sharing, projection, order):
    """A sequence of padding only gives the output projection's bias, and no NaN in any gradient."""
    for layer in build("linformer", config(sharing, projection, order)):
        x = torch.randn(2, 7, D_MODEL, requires_grad=True)
        mask = torch.tensor([[True] * 7, [False] * 7])
        y = layer(x, mask)
        torch.testing.assert_close(y[0], layer.out_proj.bias.expand(7, -1))
        y.sum().backward()
        for leaf in (x, *layer.parameters()):
            assert leaf.grad is None or torch.isfinite(leaf.grad).all()


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_batch_items_do_not_attend_to_each_other(projection):
    """Changing one item changes no other."""
    layer = build("linformer", config(projection=projection))[0].double()
    x = torch.randn(3, N_MAX, D_MODEL, dtype=torch.double)
    other = x.clone()
    other[1] = torch.randn(N_MAX, D_MODEL)
    before, after = layer(x), layer(other)
    torch.testing.assert_close(before[[0, 2]], after[[0, 2]], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(before[1], after[1])


@pytest.mark.parametrize(
    ("sharing", "count"), [("none", 288), ("headwise", 24), ("kv", 12), ("layerwise", 1)]
)
@pytest.mark.parametrize("projection", ["linear", "jl"])
def test_sharing_holds_as_many_matrices_as_it_says(sharing, count, projection):
    """12 layers × 12 heads hold 288 / 24 / 12 / 1 distinct matrices, before and after loading."""
    cfg = AttentionConfig(12, 12, 8, num_layers=12, k=2, sharing=sharing, projection=projection)
    layers = torch.nn.ModuleList(build("linformer", cfg))

    def matrices():
        return [m for layer in layers for side in layer.projection_matrices(8) for m in side]

    assert len({m.data_ptr() for m in matrices()}) == count
    if projection == "linear":
        trained = {id(p): p for layer in layers for p in layer.projection.parameters()}
        assert sum(p.numel() for p in trained.values()) == count * 2 * 8
    other = torch.nn.ModuleList(build("linformer", cfg))
    other.load_state_dict(layers.state_dict())
    loaded = [m for layer in other for side in layer.projection_matrices(8) for m in side]
    assert len({m.data_ptr() for m in loaded}) == count
    assert all(torch.equal(a, b) for a, b in zip(matrices(), loaded, strict=True))
    layers.half()
    assert len({m.data_ptr() for m in matrices()}) == count
    assert all(m.dtype == torch.half for m in matrices())


def test_layerwise_layers_hold_one_object_that_trains_as_one():
    """With layerwise sharing every layer holds the same Parameter, also in a copy of the stack."""
    layers = torch.nn.ModuleList(build("linformer", config("layerwise")))
    for stack in (layers, copy.deepcopy(layers)):
        assert stack[0].projection.weight is stack[1].projection.weight
    with torch.no_grad():
        layers[0].projection.weight.zero_()
    assert not layers[1].projection_matrices(N_MAX)[0].any()


@pytest.mark.parametrize("sharing", SHARINGS)
def test_keys_and_values_have_their_own_input_projections(sharing):
    """Sharing ties E and F, never W_K and W_V, whose gradients differ."""
    layer = build("linformer", config(sharing))[0]
    assert layer.k_proj.weight is not layer.v_proj.weight
    layer(torch.randn(1, N_MAX, D_MODEL)).square().sum().backward()
    assert not torch.allclose(layer.k_proj.weight.grad, layer.v_proj.weight.grad)


def test_e_and_f_are_one_matrix_only_where_shared():
    """E = F with sharing kv and layerwise; they differ with headwise and none."""
    for sharing in SHARINGS:
        E, F = build("linformer", config(sharing))[0].projection_matrices(7)
        assert E.shape == F.shape == ((HEADS if sharing == "none" else 1), E.shape[1], 7)
        assert torch.equal(E, F) == (sharing in ("kv", "layerwise"))


def test_jl_is_a_fixed_gaussian():
    """The entries of jl are N(0, 1/k), in the state dict, and no parameter."""
    layer = build("linformer", AttentionConfig(4, 2, 4096, k=16, projection="jl"))[0]
    weight = layer.state_dict()["projection.weight"]
    assert not list(layer.projection.parameters())
    assert weight.std().item() == pytest.approx(16**-0.5, rel=0.02)
    assert abs(weight.mean().item()) < 0.003


@pytest.mark.parametrize(
    ("init", "std"),
    [("normal", 16**-0.5), ("uniform", 16**-0.5 / 3**0.5), ("xavier", (2 / (4096 + 16)) ** 0.5)],
)
def test_named_initialisations_have_their_spread(init, std):
    """Learned matrices start with the standard deviation that the name stands for."""
    layer = build("linformer", AttentionConfig(4, 2, 4096, k=16, init=init))[0]
    assert layer.projection.weight.std().item() == pytest.approx(std, rel=0.02)


def test_mean_initialisation_starts_as_mean_pooling():
    """init="mean" makes linear and conv compute what the mean projection computes."""
    x = torch.randn(2, N_MAX, D_MODEL)
    mean = build("linformer", config(projection="mean"))[0]
    for projection in ("linear", "conv"):
        layer = build("linformer", config(projection=projection, init="mean"))[0]
        layer.load_state_dict(mean.state_dict(), strict=False)
        torch.testing.assert_close(layer(x), mean(x))


@pytest.mark.parametrize("dtype", [torch.half, torch.bfloat16])
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_half_precision_stays_near_the_reference(projection, dtype):
    """Everything converts with `.to(dtype)`, E and F included, and computes near float64."""
    torch.manual_seed(0)
    layer = build("linformer", config(projection=projection))[0].to(dtype)
    x = torch.randn(4, N_MAX, D_MODEL).to(dtype)
    for mask in (None, padding(4, N_MAX)):
        y = layer(x, mask)
        assert y.dtype == dtype
        want = reference.layer_rows(layer, x, torch.arange(N_MAX), mask)
        torch.testing.assert_close(y.double(), want, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_autocast_stays_near_the_reference(projection):
    """Under autocast float32 weights give bfloat16 outputs near float64, and finite gradients."""
    torch.manual_seed(0)
    layer = build("linformer", config(projection=projection))[0]
    x = torch.randn(4, N_MAX, D_MODEL)
    for mask in (None, padding(4, N_MAX)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = layer(x, mask)
        assert y.dtype == torch.bfloat16
        want = reference.layer_rows(layer, x, torch.arange(N_MAX), mask)
        torch.testing.assert_close(y.double(), want, rtol=0.05, atol=0.05)
        y.sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize(("sharing", "projection"), [("headwise", "linear"), ("none", "max")])
def test_compiles_without_graph_breaks(sharing, projection):
    """`torch.compile(fullgraph=True)` takes forward and backward, with a mask and without."""
    layer = build("linformer", config(sharing, projection))[0]
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    x = torch.randn(4, N_MAX, D_MODEL, requires_grad=True)
    for mask in (None, padding(4, N_MAX)):
        y = compiled(x, mask)
        torch.testing.assert_close(y, layer(x, mask))
        torch.testing.assert_close(gradients(y, [x]), gradients(layer(x, mask), [x]))
    torch.compiler.reset()


def test_dropout_is_applied_once_and_in_training_only():
    """Attention weights are dropped with the probability asked for; eval mode drops nothing."""
    layer = build("linformer", AttentionConfig(4, 1, 64, k=64, dropout=0.25, sharing="kv"))[0]
    q, v = torch.zeros(1, 1, 64, 4), torch.ones(1, 1, 64, 4)
    with torch.no_grad():
        layer.projection.weight.copy_(torch.eye(64))
    torch.manual_seed(0)
    # equal scores: each output is the share of weights that are left, over 1 - p
    kept = torch.stack([layer.core(q, q, v)[..., 0] for _ in range(50)]) * 0.75
    assert kept.mean().item() == pytest.approx(0.75, abs=0.01)
    assert kept.std().item() == pytest.approx((0.75 * 0.25 / 64) ** 0.5, rel=0.1)
    torch.testing.assert_close(layer.eval().core(q, q, v), torch.ones(1, 1, 64, 4))


def test_too_long_inputs_and_odd_masks_are_refused():
    """The error names n and n_max, or what is wrong with the mask."""
    layer = build("linformer", config())[0]
    with pytest.raises(UsageError, match=r"n=13 tokens, expected at most max_seq_len=12"):
        layer(torch.randn(1, 13, D_MODEL))
    with pytest.raises(UsageError, match=r"torch\.float32, expected torch\.bool"):
        layer(torch.randn(1, 4, D_MODEL), torch.zeros(1, 4))
    with pytest.raises(UsageError, match=r"shape \(4, 1\), expected \[batch, n\] = \(1, 4\)"):
        layer(torch.randn(1, 4, D_MODEL), torch.zeros(4, 1, dtype=torch.bool))


def test_only_matrices_can_be_asked_for():
    """projection_matrices of a pooling layer, and of more tokens than n_max, is an error."""
    with pytest.raises(UsageError, match="projection='max' has no matrices"):
        build("linformer", config(projection="max"))[0].projection_matrices(4)
    with pytest.raises(UsageError, match="n=13"):
        build("linformer", config())[0].projection_matrices(13)


def test_linformer_needs_k():
    """Without k the error says what to give."""
    with pytest.raises(UsageError, match="k=None, expected the projected length"):
        build("linformer", AttentionConfig(8, 2, 16))


@pytest.mark.parametrize("copy_from", [1, 10**9])
@pytest.mark.parametrize("batch", [1, 3])
def test_one_product_over_heads_equals_one_for_each(monkeypatch, copy_from, batch):
    """Without gradients core gives the formula's values whichever way E and F are applied."""
    monkeypatch.setattr("linbench.attention.projection.COPY_FROM", copy_from)
    layer = build("linformer", config("headwise", num_layers=1, k=3))[0].double()
    q, k, v = torch.randn(3, batch, HEADS, 7, D_MODEL // HEADS, dtype=torch.double).unbind()
    with torch.no_grad():
        got = layer.core(q, k, v)
    assert_same(got, reference.core_rows(layer, q, k, v, torch.arange(7), None).detach())
