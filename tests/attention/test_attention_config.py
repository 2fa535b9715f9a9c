import pytest

from linbench.attention import AttentionConfig
from linbench.errors import UsageError


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"d_model": 10, "num_heads": 4}, "d_model=10 cannot be split over 4 heads"),
        ({"num_heads": 0}, "num_heads=0, expected a whole number of at least 1"),
        ({"k": 65}, "k=65 is longer than the sequence, expected k <= max_seq_len=64"),
        ({"k": 0}, "k=0, expected a whole number"),
        ({"k": (8, 8, 8)}, "has 3 entries, expected one for each of 2 layers"),
        ({"k": (8, 4), "sharing": "layerwise"}, "shares one matrix over all layers"),
        ({"k": 24, "projection": "mean"}, "k=24 does not divide max_seq_len=64"),
        ({"k": 24, "projection": "conv"}, "k=24 does not divide max_seq_len=64"),
        ({"sharing": "headwize"}, "did you mean 'headwise'"),
        ({"projection": "avg"}, "expected one of linear, jl, mean, max, conv"),
        ({"order": "compres_first"}, "did you mean 'compress_first'"),
        ({"init": "xavir"}, "did you mean 'xavier'"),
        ({"projection": "max", "order": "compress_first"}, "use order='project_first'"),
        ({"dropout": 1.0}, "dropout=1.0 is no probability"),
        ({"causal": True}, "causal=True is not supported"),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_a_remedy(change, text):
    """One line names the value, what was expected, and what to do."""
    with pytest.raises(UsageError) as caught:
        AttentionConfig(
            **{"d_model": 8, "num_heads": 2, "max_seq_len": 64, "num_layers": 2} | change
        )
    message = str(caught.value)
    assert text in message
    assert "\n" not in message
    assert ";" in message


def test_k_of_a_layer():
    """One k serves all layers; a tuple, or a list as JSON has it, gives each its own."""
    assert AttentionConfig(8, 2, 64, num_layers=2, k=8).k_of(1) == 8
    listed = AttentionConfig(8, 2, 64, num_layers=2, k=[8, 4])
    assert (listed.k_of(0), listed.k_of(1)) == (8, 4)
    assert listed == AttentionConfig(8, 2, 64, num_layers=2, k=(8, 4))
    assert hash(listed) == hash(AttentionConfig(8, 2, 64, num_layers=2, k=(8, 4)))


def test_head_dim():
    """The width of a head is d_model / num_heads."""
    assert AttentionConfig(96, 8, 64).head_dim == 12
