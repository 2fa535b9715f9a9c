import importlib.metadata
import subprocess
import sys

import pytest
from torch import nn

from linbench.attention import (
    AttentionConfig,
    build,
    load_plugin,
    names,
    register,
    registry,
    resolve,
)
from linbench.errors import UsageError

CONFIG = AttentionConfig(8, 2, 16, num_layers=2, k=4)
PLUGIN = """
from torch import nn
def builder(config):
    return [nn.Identity() for _ in range(config.num_layers)]
def too_few(config):
    return []
not_callable = 3
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
    """Names, configurations, costs and availability are there without importing torch."""
    code = (
        "import sys, linbench.attention as a, linbench.attention.costs as c\n"
        "config = a.AttentionConfig(8, 2, 16, k=4)\n"
        "a.names(); c.count('linformer', config, 16); a.unavailable('linformer', 'cuda')\n"
        "a.unavailable('xformers', 'cpu')\n"
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


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
        resolve("lynformer")
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
    assert resolve("mine").__name__ == "builder"


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


def test_registered_builder():
    """A builder registered in code is known by its name."""
    register("mine", lambda config: [nn.Identity()] * config.num_layers)
    assert isinstance(build("mine", CONFIG)[1], nn.Identity)


def test_builtin_names_cannot_be_taken():
    """A plug-in cannot pass itself off as a built-in implementation."""
    with pytest.raises(UsageError, match="'vanilla' is built in"):
        register("vanilla", lambda _: [])


@pytest.mark.parametrize("spec", ["", "mine", "mine=", "=a:b", "mine=module", "mine=:b", "mine=a:"])
def test_malformed_spec(spec):
    """The error shows both spellings and an example."""
    with pytest.raises(UsageError, match="is malformed, expected NAME=module:builder") as caught:
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
        ("my_plugin.py:not_callable", "'not_callable' is not callable"),
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
    register("odd", lambda _: nn.Identity())
    with pytest.raises(UsageError, match="returned Identity, expected a list of 2"):
        build("odd", CONFIG)
