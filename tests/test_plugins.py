"""Others' code by name: found, loaded, and refused with a remedy."""

import sys

import pytest

from linbench.errors import UsageError
from linbench.plugins import attribute_of, source_of, split_spec


def load(target):
    return attribute_of("implementation 'mine'", target, "a builder", callable)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current folder, with a file and a module in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("def build(config):\n    return 1\nsize = 3\n")
    return tmp_path


@pytest.mark.parametrize("target", ["mine.py:build", "mine:build", "json:dumps"])
def test_files_and_modules(here, target):
    """Of the current folder, or installed."""
    try:
        assert callable(load(target))
    finally:
        sys.modules.pop("mine", None)
    assert str(here) not in sys.path


def test_two_files_of_one_name_do_not_replace_each_other(here):
    """Each is a module of its own."""
    (here / "sub").mkdir()
    (here / "sub" / "mine.py").write_text("def build(config):\n    return 2\n")
    assert [load(target)(None) for target in ("mine.py:build", "sub/mine.py:build")] == [1, 2]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("gone.py:build", "file 'gone.py' was not found, expected a Python file; correct the path"),
        ("gone.module:build", "module 'gone.module' was not found, expected an importable module"),
        ("mine.py:biuld", "implementation 'mine': 'biuld' does not exist in 'mine.py', expected a"),
        ("mine.py:biuld", "did you mean 'build'?"),
        ("mine.py:size", "'size' is something else in 'mine.py', expected a builder"),
        ("broken.py:build", "importing 'broken.py' raised ZeroDivisionError: division by zero"),
        ("needs.py:build", "importing 'needs.py' raised ModuleNotFoundError: No module named"),
        ("wrong.py:build", "importing 'wrong.py' raised SyntaxError: "),
    ],
)  # fmt: skip
def test_what_cannot_be_loaded(here, target, says):
    """One line: what it is for, what is wrong, what to do."""
    (here / "broken.py").write_text("1 / 0\n")
    (here / "needs.py").write_text("import no_such_module_anywhere\n")
    (here / "wrong.py").write_text("def build(:\n")
    with pytest.raises(UsageError) as caught:
        load(target)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_a_module_lacks_is_not_the_module(here, monkeypatch):
    """The message is about what is missing, not about the plug-in that is there."""
    (here / "half.py").write_text("import no_such_module_anywhere\n")
    with pytest.raises(UsageError, match="importing 'half' raised ModuleNotFoundError"):
        load("half:build")


def test_a_file_that_failed_leaves_no_half_module(here):
    """What was imported half is not there afterwards."""
    (here / "broken.py").write_text("1 / 0\n")
    before = set(sys.modules)
    with pytest.raises(UsageError):
        load("broken.py:build")
    assert not [name for name in set(sys.modules) - before if "broken" in name]


def test_specs_are_split_and_nothing_is_imported():
    """NAME=where:attribute; a path may hold colons."""
    assert split_spec("a=gone.py:b", "--impl", "x") == ("a", "gone.py:b")
    assert split_spec("a=/c:/d.py:b", "--impl", "x") == ("a", "/c:/d.py:b")


@pytest.mark.parametrize("spec", ["a", "a=", "a=b", "a=b:", "a=:b", "=b:c"])
def test_malformed_specs(spec):
    """With an example of one that is not."""
    with pytest.raises(UsageError, match="for example mine=x.py:y"):
        split_spec(spec, "--impl", "mine=x.py:y")


def test_sources_are_found_without_running_them(here):
    """A digest and a check need the file, not what it does."""
    (here / "exits.py").write_text("raise SystemExit(3)\n")
    (here / "package").mkdir()
    (here / "package" / "__init__.py").write_text("raise SystemExit(3)\n")
    assert source_of("exits.py:build").name == "exits.py"
    assert source_of("exits:build").name == "exits.py"
    assert source_of("package:build").name == "__init__.py"
    assert source_of("linbench.peers:mha").name == "peers.py"
    assert source_of("gone.py:build") is None
    assert source_of("gone.module:build") is None


def test_a_file_that_ends_the_program_does_not(here, capsys):
    """`sys.exit(0)` at import would end a gate as passed; what is printed is no answer."""
    (here / "ends.py").write_text("import sys\nprint('HELLO')\nsys.exit(0)\n")
    with pytest.raises(UsageError, match=r"importing 'ends\.py' raised SystemExit"):
        load("ends.py:build")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "HELLO\n")
