import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from linbench.attention import (
    AXES,
    WRITTEN_OUT,
    AttentionConfig,
    Implementation,
    build,
    costs,
    counted,
    implementation,
    known,
    load_plugin,
    names,
    parse_spec,
    register,
    registry,
    unavailable,
)
from linbench.attention.peers import mha
from linbench.attention.vanilla import vanilla
from linbench.errors import UsageError

CONFIG = AttentionConfig(8, 2, 16, num_layers=2, k=4)
PLUGIN = """
from torch import nn
def builder(config):
    return [nn.Identity() for _ in range(config.num_layers)]
def too_few(config):
    return []
not_callable = 3

from linbench.attention import Implementation, costs
def says_why(device):
    return f"not on {device}"
row = Implementation("other", builder, "exact", ("k",), costs.fused, says_why)
"""


@pytest.fixture(autouse=True)
def _forget_plugins(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_plugin.py").write_text(PLUGIN)
    yield tmp_path / "my_plugin.py"
    sys.modules.pop("my_plugin", None)


def one_line(caught):
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_importing_the_library_leaves_torch_out():
    """Names, rows, configurations, costs and availability are there without importing torch."""
    code = (
        "import sys, linbench.attention as a\n"
        "config = a.AttentionConfig(8, 2, 16, k=4)\n"
        "a.names(); a.counted('linformer', config, 16); a.unavailable('linformer', 'cuda')\n"
        "a.register(a.Implementation('mine', 'torch.nn:Identity')); a.implementation('mine')\n"
        "a.unavailable('xformers', 'cpu')\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_library_needs_nothing_of_linbench_but_errors_and_plugins():
    """No file of it imports another part of linbench."""
    for file in Path(registry.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            found = [alias.name for alias in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                found = [f"{node.module}.{name}" for name in found]
            for name in found if isinstance(node, ast.Import | ast.ImportFrom) else ():
                words = name.split(".")
                assert words[0] != "linbench" or words[1] in ("attention", "errors", "plugins"), (
                    name
                )


def test_builtin_names_build_a_module_per_layer():
    """The four names are there, and those that run here give one module per layer."""
    assert names()[:4] == ["vanilla", "sdpa", "xformers", "linformer"]
    for name in ("vanilla", "sdpa", "linformer"):
        layers = build(name, CONFIG)
        assert len(layers) == 2
        for proj in ("q_proj", "k_proj", "v_proj", "out_proj"):
            assert isinstance(getattr(layers[0], proj), nn.Linear)


def test_unknown_name_suggests_the_nearest():
    """The error lists what is known and the nearest of it."""
    with pytest.raises(UsageError, match="did you mean 'linformer'") as caught:
        implementation("lynformer")
    assert "'lynformer' is unknown, expected one of vanilla, sdpa" in one_line(caught)


@pytest.mark.parametrize("target", ["my_plugin:builder", "my_plugin.py:builder"])
def test_plugin_by_module_and_by_file(plugin, target):
    """Both spellings register the builder under the given name, read from the working directory."""
    assert load_plugin(f"mine={target}") == "mine"
    assert "mine" in names()
    assert len(build("mine", CONFIG)) == 2
    assert str(plugin.parent) not in sys.path


def test_plugin_by_absolute_path(plugin):
    """A file may be given by its full path."""
    load_plugin(f"mine={plugin}:builder")
    assert implementation("mine").build.__name__ == "builder"


def test_plugin_by_entry_point(monkeypatch):
    """An installed package's entry point is found by its name, when it is asked for."""
    point = importlib.metadata.EntryPoint("theirs", "linbench.peers:mha", "linbench.attention")
    monkeypatch.setattr(
        importlib.metadata,
        "entry_points",
        lambda group: [point] if group == "linbench.attention" else [],
    )
    assert "theirs" in names()
    assert len(build("theirs", CONFIG)) == 2
    assert implementation("theirs") == Implementation("theirs", mha)


def test_entry_point_that_is_a_row_or_broken(plugin, monkeypatch):
    """A row keeps what it knows; code that is missing is an error, and its costs are unknown."""
    points = [
        importlib.metadata.EntryPoint(name, value, "linbench.attention")
        for name, value in (("theirs", "my_plugin:row"), ("broken", "no_such:builder"))
    ]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    assert known("theirs") is counted("theirs", CONFIG, 16) is None  # nothing is imported for it
    assert implementation("theirs").name == "theirs"
    assert known("theirs") is implementation("theirs")
    assert counted("theirs", CONFIG, 16) == counted("sdpa", CONFIG, 16)
    for ask in (implementation, lambda name: unavailable(name, "cpu"), lambda n: build(n, CONFIG)):
        with pytest.raises(UsageError, match="module 'no_such' was not found"):
            ask("broken")
    assert counted("broken", CONFIG, 16) is None


def test_registered_builder():
    """A builder registered in code is known by its name, as a function or by where it is."""
    register(Implementation("mine", lambda config: [nn.Identity()] * config.num_layers))
    assert isinstance(build("mine", CONFIG)[1], nn.Identity)
    register(Implementation("mine", "linbench.attention.vanilla:vanilla"))
    assert build("mine", CONFIG)[0].reference == "exact"


def test_where_a_builder_is_comes_to_light_when_it_is_built():
    """A row whose builder is missing registers, and says so when it is built."""
    register(Implementation("mine", "linbench.attention.vanilla:vanila"))
    with pytest.raises(UsageError, match="did you mean 'vanilla'"):
        build("mine", CONFIG)
    register(Implementation("mine", "linbench.attention.registry:GROUP"))
    with pytest.raises(UsageError, match="'GROUP' is something else"):
        build("mine", CONFIG)


def test_builtin_rows():
    """Each row says what it computes, which axes it takes, and what it costs."""
    rows = {name: implementation(name) for name in names()[:4]}
    assert list(rows) == list(registry.BUILTIN)
    mathematics = {name: row.mathematics for name, row in rows.items()}
    assert mathematics == dict.fromkeys(rows, "exact") | {"linformer": "linformer"}
    assert [name for name, row in rows.items() if row.axes] == ["linformer"]
    assert rows["linformer"].axes == AXES
    assert all(row.costs for row in rows.values())
    assert rows[WRITTEN_OUT].costs is costs.written_out
    for name, row in rows.items():
        assert row.name == name
        if name != "xformers":
            assert build(name, CONFIG)[0].reference == row.mathematics


def test_a_row_of_ones_own_is_as_good_as_a_builtin_one():
    """Its modules get its mathematics, its costs are counted, and it says where it cannot run."""
    register(
        Implementation(
            "mine",
            lambda config: [nn.Linear(8, 8) for _ in range(config.num_layers)],
            mathematics="exact",
            axes=("k",),
            costs=costs.written_out,
            unavailable=lambda device: None if device == "cpu" else f"mine has no {device}",
        )
    )
    assert [layer.reference for layer in build("mine", CONFIG)] == ["exact", "exact"]
    assert counted("mine", CONFIG, 16, mode="forward_backward", batch=2) == counted(
        WRITTEN_OUT, CONFIG, 16, mode="forward_backward", batch=2
    )
    assert unavailable("mine", "cpu") is None
    assert unavailable("mine", "cuda:0") == "mine has no cuda:0"


def test_a_module_knows_its_mathematics_better_than_its_row():
    """A `reference` that is there stays, None too; without mathematics nothing is written."""

    def builder(config):
        layers = [nn.Identity(), nn.Identity()]
        layers[0].reference = None
        return layers

    register(Implementation("mine", builder, mathematics="exact"))
    assert [layer.reference for layer in build("mine", CONFIG)] == [None, "exact"]
    register(Implementation("mine", builder))
    assert not hasattr(build("mine", CONFIG)[1], "reference")
    assert counted("mine", CONFIG, 16) is None
    assert unavailable("mine", "cpu") is None
    register(Implementation("mine", vanilla, mathematics="linformer"))
    assert build("mine", CONFIG)[0].reference == "exact"


def test_unknown_axes_are_refused():
    """An axis that no configuration has is named, with the nearest that it has."""
    with pytest.raises(
        UsageError, match=r"'mine': axis 'sharin' is unknown.*did you mean 'sharing'"
    ):
        Implementation("mine", vanilla, axes=("k", "sharin"))


def test_plugin_that_is_a_row(plugin):
    """The target of a spec may be a row, which keeps what it knows under the spec's name."""
    load_plugin(f"mine={plugin}:row")
    row = implementation("mine")
    assert (row.name, row.mathematics, row.axes, row.costs) == (
        "mine",
        "exact",
        ("k",),
        costs.fused,
    )
    assert unavailable("mine", "mps") == "not on mps"
    assert build("mine", CONFIG)[0].reference == "exact"
    assert "other" not in names()


def test_axes_of_a_spec(plugin):
    """`@` says which axes a builder takes, and goes before those of a row."""
    for target, axes in (
        ("builder", ()),
        ("builder@k+sharing", ("k", "sharing")),
        ("row", ("k",)),
        ("row@order", ("order",)),
        ("row@", ()),
    ):
        assert load_plugin(f"mine={plugin}:{target}") == "mine"
        assert implementation("mine").axes == axes


def test_a_spec_is_split_without_loading_it():
    """Name, target and axes are told apart, also where a path has the signs between them."""
    assert parse_spec("mine=no.such:builder") == ("mine", "no.such:builder", None)
    assert parse_spec("mine=no.such:builder@k+order") == ("mine", "no.such:builder", ("k", "order"))
    assert parse_spec("a=b@c=d/e.py:f@k") == ("a", "b@c=d/e.py:f", ("k",))
    with pytest.raises(UsageError, match="axis 'kk' is unknown"):
        parse_spec("mine=no.such:builder@kk")


def test_builtin_names_cannot_be_taken():
    """A plug-in cannot pass itself off as a built-in implementation."""
    with pytest.raises(UsageError, match="'vanilla' is built in"):
        register(Implementation("vanilla", lambda _: []))
    with pytest.raises(UsageError, match="'vanilla' is built in"):
        load_plugin("vanilla=linbench.peers:mha")


@pytest.mark.parametrize(
    "spec", ["", "mine", "mine=", "=a:b", "mine=module", "mine=:b", "mine=a:", "mine=a:@k"]
)
def test_malformed_spec(spec):
    """The error shows both spellings and an example."""
    with pytest.raises(UsageError, match="is malformed, expected NAME=module:attribute") as caught:
        load_plugin(spec)
    assert f"'{spec}'" in one_line(caught)


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("no_such_module:builder", "module 'no_such_module' was not found"),
        ("linbench.no_such:builder", "module 'linbench.no_such' was not found"),
        ("no_such.py:builder", "file 'no_such.py' was not found"),
        ("my_plugin:bilder", "'bilder' does not exist in 'my_plugin'"),
        ("my_plugin:bilder", "did you mean 'builder'"),
        ("my_plugin.py:not_callable", "'not_callable' is something else in 'my_plugin.py'"),
    ],
)
def test_missing_code(target, text):
    """A missing module, file or attribute is named, with the nearest attribute."""
    with pytest.raises(UsageError) as caught:
        load_plugin(f"mine={target}")
    assert text in one_line(caught)
    assert "mine" not in names()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise RuntimeError('no\\nluck')", "RuntimeError: no luck"),
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("def broken(:", "SyntaxError"),
    ],
)
@pytest.mark.parametrize("target", ["bad_plugin", "bad_plugin.py"])
def test_plugin_that_raises_on_import(tmp_path, monkeypatch, source, text, target):
    """What a plug-in raises while it is imported is shown with its class and text, in one line."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad_plugin.py").write_text(source)
    with pytest.raises(UsageError) as caught:
        load_plugin(f"mine={target}:builder")
    assert text in one_line(caught)


def test_builder_must_return_a_module_per_layer(plugin):
    """A builder that returns too few modules, or no list, is told what was expected."""
    load_plugin(f"mine={plugin}:too_few")
    with pytest.raises(UsageError, match="returned 0 modules, expected a list of 2"):
        build("mine", CONFIG)
    register(Implementation("odd", lambda _: nn.Identity()))
    with pytest.raises(UsageError, match="returned Identity, expected a list of 2"):
        build("odd", CONFIG)
