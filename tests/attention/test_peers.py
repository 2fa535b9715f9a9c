import importlib

import pytest
import torch

import linbench.peers
from linbench.attention import AttentionConfig, build, load_plugin, peers, reference, registry
from linbench.attention.peers import lucidrains, mha, tatp22
from linbench.errors import UsageError

PACKAGES = {"lucidrains": "linformer", "tatp22": "linformer_pytorch"}


def config(sharing="headwise", **more):
    return AttentionConfig(8, 2, 16, num_layers=2, k=4, sharing=sharing, **more)


def attend(q, k, v, heads):
    """Written-out attention of `[n, d]` queries to `[m, d]` keys, heads side by side."""
    parts = []
    for i in range(heads):
        part = slice(i * q.shape[1] // heads, (i + 1) * q.shape[1] // heads)
        P = (q[:, part] @ k[:, part].T / (q.shape[1] // heads) ** 0.5).softmax(-1)
        parts.append(P @ v[:, part])
    return torch.cat(parts, 1)


@pytest.mark.parametrize("name", ["lucidrains", "tatp22", "mha"])
def test_peers_come_through_the_plugin_route(name, monkeypatch):
    """Each adapter builds a module per layer by its spec, and trains."""
    if name in PACKAGES:
        pytest.importorskip(PACKAGES[name])
    monkeypatch.setattr(registry, "_registered", {})
    load_plugin(f"{name}=linbench.peers:{name}")
    layers = build(name, config())
    x = torch.randn(3, 16, 8, requires_grad=True)
    y = layers[1](layers[0](x))
    assert y.shape == x.shape
    y.sum().backward()
    assert all(p.grad is not None for layer in layers for p in layer.parameters())


def test_lucidrains_computes_equation_7():
    """Its layer, with its own weights, is the paper's equation: a fair opponent."""
    pytest.importorskip("linformer")
    peer = lucidrains(config())[0].double()
    layer, x = peer.layer, torch.randn(1, 16, 8, dtype=torch.double)
    q, k, v = (x[0] @ to.weight.T for to in (layer.to_q, layer.to_k, layer.to_v))
    heads = attend(q, layer.proj_k.T @ k, layer.proj_v.T @ v, heads=2)
    torch.testing.assert_close(peer(x)[0], layer.to_out(heads))


@pytest.mark.parametrize(("sharing", "matrices"), [("headwise", 4), ("kv", 2), ("layerwise", 1)])
@pytest.mark.parametrize("name", ["lucidrains", "tatp22"])
def test_peers_share_as_asked_without_tying_keys_to_values(name, sharing, matrices):
    """Two layers hold 4, 2 or 1 distinct E and F, and W_K and W_V stay apart."""
    pytest.importorskip(PACKAGES[name])
    layers = {"lucidrains": lucidrains, "tatp22": tatp22}[name](config(sharing))
    large = {p for layer in layers for p in layer.parameters() if 16 in p.shape and p.dim() == 2}
    assert len(large) == matrices
    for layer in layers:
        keys, values = layer.layer.to_k, layer.layer.to_v
        assert keys is not values


def test_what_a_peer_cannot_do_is_refused():
    """Sharings, projections and masks that a package lacks are errors, not something else."""
    pytest.importorskip("linformer")
    pytest.importorskip("linformer_pytorch")
    with pytest.raises(UsageError, match="sharing='none' is not in lucidrains"):
        lucidrains(config("none"))
    with pytest.raises(UsageError, match="projection='mean' is not in tatp22"):
        tatp22(config(projection="mean"))
    with pytest.raises(UsageError, match="key_padding_mask was given, expected None"):
        lucidrains(config())[0](torch.randn(1, 16, 8), torch.zeros(1, 16, dtype=torch.bool))


@pytest.mark.parametrize("name", ["lucidrains", "tatp22"])
def test_a_peer_that_is_not_installed_says_what_to_install(name, monkeypatch):
    """The error names the package and the extra."""

    def missing(module):
        raise ModuleNotFoundError(f"No module named '{module}'")

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=r"pip install 'linbench\[peers\]'"):
        {"lucidrains": lucidrains, "tatp22": tatp22}[name](config())


def test_torch_attention_leaves_padding_out():
    """nn.MultiheadAttention gets the mask in its own sense: True is padding."""
    layer = mha(config())[0].eval()
    x, mask = torch.randn(1, 16, 8), torch.arange(16)[None] >= 9
    torch.testing.assert_close(layer(x, mask)[:, :9], layer(x[:, :9]))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_torch_attention_is_the_formula(padded, bias, training):
    """Outputs and the gradients of all parameters equal the float64 reference."""
    torch.manual_seed(0)
    layer = mha(config(bias=bias))[0].double().train(training)
    assert reference.mathematics_of(layer) == "exact"
    x = torch.randn(2, 9, 8, dtype=torch.double, requires_grad=True)
    mask = torch.arange(9) >= torch.tensor([[9], [5]]) if padded else None
    rows = torch.tensor([0, 3, 8])
    got, want = layer(x, mask)[:, rows], reference.layer_rows(layer, x, rows, mask)
    torch.testing.assert_close(got, want, rtol=1e-9, atol=1e-9)
    weight, leaves = torch.randn_like(got), [x, *layer.parameters()]
    assert len(leaves) == (5 if bias else 3)
    torch.testing.assert_close(
        torch.autograd.grad((got * weight).sum(), leaves),
        torch.autograd.grad((want * weight).sum(), leaves),
        rtol=1e-9,
        atol=1e-9,
    )
    with torch.no_grad():  # the inference path in eval mode
        torch.testing.assert_close(layer(x, mask)[:, rows], want, rtol=1e-9, atol=1e-9)


def test_torch_attention_holds_no_more_than_torchs_own():
    """The views add neither parameters nor entries of the state dict."""
    layer = mha(config())[0]
    own = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    assert [p.shape for p in layer.parameters()] == [p.shape for p in own.parameters()]
    assert list(layer.state_dict()) == [f"layer.{name}" for name in own.state_dict()]
    assert layer.k_proj.weight.data_ptr() == layer.layer.in_proj_weight[8:].data_ptr()


def test_the_public_name_leads_to_the_same_builders():
    """`linbench.peers` names what `linbench.attention.peers` holds."""
    for name in linbench.peers.__all__:
        assert getattr(linbench.peers, name) is getattr(peers, name)
