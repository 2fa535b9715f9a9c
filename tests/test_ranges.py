"""The grid grammar."""

import pytest

from linbench import ranges
from linbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("512", [512]),
        ("512..4096", [512, 1024, 2048, 4096]),
        ("512..3000", [512, 1024, 2048]),
        ("256..65536*16", [256, 4096, 65536]),
        ("1000..3000+1000", [1000, 2000, 3000]),
        ("512..1024,10000, 512", [512, 1024, 10000]),
    ],
)
def test_sizes(text, values):
    """A..B doubles, *F multiplies, +S adds, commas join, and each value comes once."""
    assert ranges.integers(text, "--seq") == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("4096..512", "write it as 512..4096"),
        ("", "is empty"),
        ("512,,1024", "empty item"),
        ("512...1024", "not a size"),
        ("0", "at least 1"),
        ("0..8", "would never end"),
        ("1..8*1", "would never end"),
        ("1..8+0", "would never end"),
        ("-5", "not a size"),
        ("1e3", "not a size"),
        ("1..99999999999+1", "more than 10000 values"),
    ],
)
def test_sizes_that_are_none(text, says):
    """An error names the flag, the value and the remedy, in one line."""
    with pytest.raises(UsageError) as caught:
        ranges.integers(text, "--seq")
    assert says in str(caught.value)
    assert f"--seq '{text}'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_for_k():
    """K also takes fractions of n and a value per layer; ranges are expanded."""
    assert ranges.k_values("64..256,n/4,256/128/64,256:64") == [
        "64", "128", "256", "n/4", "256/128/64", "256:64",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["n", "n/0", "k", "128/", "64:", "n*2", ""])
def test_rules_for_k_that_are_none(text):
    """What is no rule is refused."""
    with pytest.raises(UsageError):
        ranges.k_values(text)


def test_resolving_k():
    """A fraction of n keeps its rule; a rule per layer gives one k for each."""
    assert ranges.resolve_k("128", 512, 1) == (128, None)
    assert ranges.resolve_k("n/4", 512, 1) == (128, "n/4")
    assert ranges.resolve_k("256/128", 512, 2) == ((256, 128), None)
    assert ranges.resolve_k("256:64", 512, 4) == ((256, 192, 128, 64), None)


@pytest.mark.parametrize(("rule", "layers"), [("256/128", 3), ("256:64", 1)])
def test_k_per_layer_needs_its_layers(rule, layers):
    """A rule for other layers than there are says what to add."""
    with pytest.raises(UsageError, match="add --layers"):
        ranges.resolve_k(rule, 512, layers)


def test_durations():
    """Durations are written 90s, 5m, 1h30m, plain seconds, or none."""
    read = [ranges.seconds(text, "--budget") for text in ("90s", "5m", "1h30m", "12.5", "none")]
    assert read == [90, 300, 5400, 12.5, None]


@pytest.mark.parametrize("text", ["", "0", "5x", "m5", "-3s"])
def test_durations_that_are_none(text):
    """What is no duration is refused with an example."""
    with pytest.raises(UsageError, match="expected for instance 90s"):
        ranges.seconds(text, "--budget")


def test_memory():
    """Memory is written 16GB or 16GiB, both as memory is sold, or in plain bytes."""
    texts = ("16GB", "16GiB", "16 gb", "2097152", "2097152B", "1.5MiB")
    read = [ranges.size(text, "--memory-limit") for text in texts]
    assert read == [16 * 2**30, 16 * 2**30, 16 * 2**30, 2**21, 2**21, 3 * 2**19]


@pytest.mark.parametrize(
    "text", ["", "GB", "16", "1.5G", "0.5MB", "-1GB", "0GB", "16 apples", "1e3GB", "16GBs"]
)
def test_memory_that_is_none(text):
    """What is no size, or too little to mean memory, is refused with an example."""
    with pytest.raises(UsageError, match="expected for instance 16GB or 8GiB"):
        ranges.size(text, "--memory-limit")


def test_fractions():
    """A fraction may be written in per cent; others than (0, 1) are refused."""
    assert ranges.fraction("3%", "--precision") == pytest.approx(0.03)
    assert ranges.fraction("0.2", "--precision") == pytest.approx(0.2)
    for text in ("0", "100%", "x", "-1%"):
        with pytest.raises(UsageError):
            ranges.fraction(text, "--precision")
