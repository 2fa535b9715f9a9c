import pytest
import torch
from torch import nn

import linbench.encoder
from linbench.attention import AttentionConfig, build
from linbench.attention.encoder import Encoder, MaskedLanguageModel

CONFIG = AttentionConfig(d_model=8, num_heads=2, max_seq_len=12, num_layers=3, k=4)


def encoder(name="linformer"):
    torch.manual_seed(0)
    return Encoder(build(name, CONFIG), 8).double()


def test_roberta_base_has_its_parameters():
    """RoBERTa-base's masked language model, 124,697,433 parameters, but for its one token type."""
    with torch.device("meta"):
        layers = build("vanilla", AttentionConfig(768, 12, 514, num_layers=12))
        model = MaskedLanguageModel(Encoder(layers, 768), vocab_size=50265, max_seq_len=514)
    assert sum(p.numel() for p in model.parameters()) == 124_697_433 - 768


def test_a_layer_is_torchs_post_ln_gelu_layer():
    """With the same weights it computes what torch.nn.TransformerEncoderLayer does."""
    ours = encoder("vanilla").layers[0]
    theirs = nn.TransformerEncoderLayer(
        8, 2, 32, dropout=0, activation="gelu", batch_first=True, dtype=torch.double
    )
    attention = ours.attention
    with torch.no_grad():
        projs = (attention.q_proj, attention.k_proj, attention.v_proj)
        theirs.self_attn.in_proj_weight.copy_(torch.cat([p.weight for p in projs]))
        theirs.self_attn.in_proj_bias.copy_(torch.cat([p.bias for p in projs]))
    for mine, other in (
        (attention.out_proj, theirs.self_attn.out_proj),
        (ours.attention_norm, theirs.norm1),
        (ours.ffn_in, theirs.linear1),
        (ours.ffn_out, theirs.linear2),
        (ours.ffn_norm, theirs.norm2),
    ):
        other.load_state_dict(mine.state_dict())
    x = torch.randn(2, 5, 8, dtype=torch.double)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("name", ["vanilla", "sdpa", "linformer"])
def test_padding_stays_out_in_every_layer(name):
    """What stands at padding reaches no token, though each layer gives it a new value."""
    model = encoder(name)
    x = torch.randn(2, 12, 8, dtype=torch.double)
    mask = torch.arange(12) >= torch.tensor([[12], [7]])
    other = x.clone()
    other[1, 7:] = 100.0
    torch.testing.assert_close(model(x, mask)[1, :7], model(other, mask)[1, :7])
    torch.testing.assert_close(model(x, mask)[1:, :7], model(x[1:, :7]))
    torch.testing.assert_close(model(x, mask)[0], model(x)[0])


def test_an_attention_without_a_mask_argument_will_do():
    """A plug-in whose forward takes x alone works where nothing is padded."""
    model = Encoder([nn.Identity()], 8)
    assert model(torch.randn(1, 5, 8)).shape == (1, 5, 8)


def test_masked_language_model_predicts_the_vocabulary():
    """Tokens give logits over the vocabulary, from a decoder tied to the embedding, by position."""
    model = MaskedLanguageModel(
        Encoder(build("linformer", CONFIG), 8), vocab_size=50, max_seq_len=12
    )
    logits = model(torch.full((2, 7), 3))
    assert logits.shape == (2, 7, 50)
    assert not torch.allclose(logits[0, 0], logits[0, 1])
    assert model.decoder.weight is model.token_embedding.weight
    logits.sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def test_masked_language_model_keeps_padding_out():
    """Another token at padding changes no other token's logits."""
    model = MaskedLanguageModel(Encoder(build("linformer", CONFIG), 8), 50, 12).double()
    tokens = torch.arange(12)[None]
    other = tokens.clone()
    other[0, 9:] = 40
    mask = torch.arange(12)[None] >= 9
    torch.testing.assert_close(model(tokens, mask)[:, :9], model(other, mask)[:, :9])


def test_dropout_in_training_only():
    """Dropout changes outputs in training and leaves eval mode alone."""
    model = Encoder(build("vanilla", CONFIG), 8, dropout=0.5)
    x = torch.randn(1, 12, 8)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


def test_the_public_name_leads_to_the_same_classes():
    """`linbench.encoder` names what `linbench.attention.encoder` holds."""
    assert linbench.encoder.Encoder is Encoder
    assert linbench.encoder.MaskedLanguageModel is MaskedLanguageModel
