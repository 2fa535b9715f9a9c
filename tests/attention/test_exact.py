import pytest
import torch
import torch.nn.functional as F

from linbench.attention import AttentionConfig, build, reference, unavailable
from linbench.errors import UsageError

CONFIG = AttentionConfig(d_model=8, num_heads=2, max_seq_len=12, num_layers=2)


@pytest.fixture
def xformers_on_cpu(monkeypatch):
    """Stand in for xformers' CUDA kernel with its documented mathematics, layouts checked."""
    ops = pytest.importorskip("xformers.ops")

    def memory_efficient_attention(q, k, v, attn_bias=None, p=0.0):
        assert q.shape[2:] == (2, 4)  # [batch, n, heads, head_dim]
        if attn_bias is not None:
            assert attn_bias.shape == (q.shape[0], 2, q.shape[1], k.shape[1])
            aligned = attn_bias.untyped_storage().nbytes() // attn_bias.element_size()
            assert aligned % 8 == 0
        scores = torch.einsum("bnhd,bmhd->bhnm", q, k) / q.shape[-1] ** 0.5
        P = (scores if attn_bias is None else scores + attn_bias).softmax(-1)
        return torch.einsum("bhnm,bmhd->bnhd", F.dropout(P, p), v)

    monkeypatch.setattr(ops, "memory_efficient_attention", memory_efficient_attention)


def padding(n):
    mask = torch.zeros(3, n, dtype=torch.bool)
    mask[1, ::2] = True
    mask[2] = True
    return mask


@pytest.mark.usefixtures("xformers_on_cpu")
@pytest.mark.parametrize("n", [12, 7])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["vanilla", "sdpa", "xformers"])
def test_exact_attention_is_the_formula(name, padded, n):
    """Outputs and gradients of every layer equal the float64 reference, for forward and core."""
    mask = padding(n) if padded else None
    rows = torch.arange(n)
    for layer in build(name, CONFIG):
        layer.double()
        x = torch.randn(3, n, 8, dtype=torch.double, requires_grad=True)
        got, want = layer(x, mask), reference.layer_rows(layer, x, rows, mask)
        torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
        weight = torch.randn_like(got)
        leaves = [x, *layer.parameters()]
        torch.testing.assert_close(
            torch.autograd.grad((got * weight).sum(), leaves),
            torch.autograd.grad((want * weight).sum(), leaves),
            rtol=1e-9,
            atol=1e-9,
        )
        qkv = torch.randn(3, 3, 2, n, 4, dtype=torch.double).unbind()
        torch.testing.assert_close(
            layer.core(*qkv, mask),
            reference.core_rows(layer, *qkv, rows, mask),
            rtol=1e-9,
            atol=1e-9,
        )


@pytest.mark.usefixtures("xformers_on_cpu")
@pytest.mark.parametrize("name", ["vanilla", "sdpa", "xformers"])
def test_all_padding_gives_out_proj_of_zero(name):
    """A sequence of padding only gives the output projection's bias, with finite gradients."""
    layer = build(name, CONFIG)[0]
    x = torch.randn(3, 7, 8, requires_grad=True)
    y = layer(x, padding(7))
    torch.testing.assert_close(y[2], layer.out_proj.bias.expand(7, -1))
    y.sum().backward()
    assert torch.isfinite(x.grad).all()


def test_reference_agrees_with_torch():
    """The float64 reference equals torch.nn.MultiheadAttention with the same weights and mask."""
    layer = build("vanilla", CONFIG)[0].double()
    mha = torch.nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.double)
    with torch.no_grad():
        for i, proj in enumerate((layer.q_proj, layer.k_proj, layer.v_proj)):
            mha.in_proj_weight[8 * i : 8 * i + 8] = proj.weight
            mha.in_proj_bias[8 * i : 8 * i + 8] = proj.bias
        mha.out_proj.load_state_dict(layer.out_proj.state_dict())
    x, mask = torch.randn(2, 9, 8, dtype=torch.double), padding(9)[:2]
    rows = torch.tensor([8, 1, 1])
    want = mha(x, x, x, key_padding_mask=mask, need_weights=False)[0][:, rows]
    torch.testing.assert_close(reference.layer_rows(layer, x, rows, mask), want)


@pytest.mark.parametrize("name", ["vanilla", "linformer"])
def test_reference_in_chunks_is_the_same(name, monkeypatch):
    """Splitting the tokens into chunks changes nothing, also where windows straddle them."""
    for projection in ("linear", "conv", "mean", "max"):
        cfg = AttentionConfig(8, 2, 24, k=8, projection=projection)
        layer = build(name, cfg)[0].double()
        x, rows = torch.randn(2, 20, 8, dtype=torch.double), torch.tensor([0, 19])
        mask = torch.arange(20) >= torch.tensor([[20], [11]])
        whole = reference.layer_rows(layer, x, rows, mask)
        with monkeypatch.context() as patch:
            patch.setattr(reference, "CHUNK", 7)
            torch.testing.assert_close(reference.layer_rows(layer, x, rows, mask), whole)


def test_reference_is_known_by_the_modules_own_word():
    """Built-in modules have a reference, unknown ones none, and a plug-in may name one."""
    exact = build("sdpa", CONFIG)[0]
    assert reference.mathematics_of(exact) == "exact"
    assert reference.name_of(exact) == "exact attention, float64"
    linformer = build("linformer", AttentionConfig(8, 2, 12, k=4))[0]
    assert reference.mathematics_of(linformer) == "linformer"
    assert reference.name_of(linformer) == "Linformer equation (7), float64"
    for word in (None, "mine", torch.nn.Linear(8, 8), ["exact"]):
        mine = torch.nn.Module()
        assert reference.mathematics_of(mine) is None
        mine.reference = word
        assert reference.mathematics_of(mine) is None
        assert reference.name_of(mine) is None
    mine = torch.nn.Module()
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        setattr(mine, name, torch.nn.Linear(8, 8))
    mine.num_heads, mine.reference = 2, "exact"
    assert reference.mathematics_of(mine) == "exact"


def test_a_claim_without_what_it_needs_is_refused_in_one_line():
    """The error says what `reference` needs and what is missing, whatever asks for it."""
    mine, x, rows = torch.nn.Linear(8, 8), torch.randn(1, 3, 8), torch.arange(3)
    q = torch.randn(1, 2, 3, 4)
    with pytest.raises(UsageError, match="Linear has no reference, expected an attribute"):
        reference.layer_rows(mine, x, rows)
    mine.reference, mine.q_proj = "exact", torch.nn.Linear(8, 8)
    for ask in (
        lambda: reference.mathematics_of(mine),
        lambda: reference.name_of(mine),
        lambda: reference.layer_rows(mine, x, rows),
        lambda: reference.core_rows(mine, q, q, q, rows),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        message = str(caught.value)
        assert "needs q_proj, k_proj, v_proj, out_proj, num_heads, but k_proj, v_proj" in message
        assert "\n" not in message


@pytest.mark.parametrize("name", ["vanilla", "sdpa"])
def test_dropout_in_training_only(name):
    """Weights are dropped in training, with their expectation kept, and never in eval mode."""
    layer = build(name, AttentionConfig(4, 1, 64, dropout=0.25))[0]
    q, v = torch.zeros(1, 1, 64, 4), torch.ones(1, 1, 64, 4)
    torch.manual_seed(0)
    kept = torch.stack([layer.core(q, q, v)[..., 0] for _ in range(50)]) * 0.75
    assert kept.mean().item() == pytest.approx(0.75, abs=0.01)
    assert kept.std().item() == pytest.approx((0.75 * 0.25 / 64) ** 0.5, rel=0.1)
    torch.testing.assert_close(layer.eval().core(q, q, v), v)


@pytest.mark.parametrize("name", ["vanilla", "sdpa"])
def test_compiles_without_graph_breaks(name):
    """`torch.compile(fullgraph=True)` takes exact attention with a mask and without."""
    layer = build(name, CONFIG)[0]
    compiled = torch.compile(layer, fullgraph=True, backend="eager")
    x = torch.randn(3, 7, 8)
    for mask in (None, padding(7)):
        torch.testing.assert_close(compiled(x, mask), layer(x, mask))
    torch.compiler.reset()


def test_xformers_says_why_it_cannot_run_here():
    """The CUDA-only xformers is refused off CUDA with the reason; the others run anywhere."""
    assert unavailable("xformers", "cpu") == "xformers runs on CUDA only, not on cpu"
    for name in ("vanilla", "sdpa", "linformer"):
        assert unavailable(name, "cpu") is None
        assert unavailable(name, "cuda:1") is None
