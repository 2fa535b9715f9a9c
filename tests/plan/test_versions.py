"""A commit checked out beside the working tree, and what keeps the two apart."""

import signal
import subprocess
from pathlib import Path

import pytest

from linbench.errors import UsageError
from linbench.executors.local import Local
from linbench.plan import provenance
from linbench.plan.measure import measure
from linbench.plan.suite import read
from linbench.plan.versions import check, checkout
from linbench.run.case import Case

PLUGIN = """
import torch
from linbench.attention import build as built


def build(config):
    layers = built("sdpa", config)
    layers[0].told = {told}
    return layers
"""


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


def commit(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "a change")


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one plug-in with two commits, and the current folder in it."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q")
    commit(folder, mine=PLUGIN.format(told=1))
    commit(folder, mine=PLUGIN.format(told=2))
    monkeypatch.chdir(folder)
    return folder


def suite(**settings):
    return read({"impl": "mine=mine.py:build", "seq": "64", **settings})


def test_the_reference_is_checked_out_and_removed(repository):
    """The files are those of the commit; afterwards neither folder nor worktree is left."""
    (repository / "mine.py").write_text(PLUGIN.format(told=3))
    with checkout("HEAD~1") as (reference, candidate):
        assert "told = 1" in (reference.folder / "mine.py").read_text()
        assert "told = 3" in (candidate.folder / "mine.py").read_text()
        assert reference.label.startswith("HEAD~1 (")
    assert not reference.root.exists()
    trees = subprocess.run(["git", "worktree", "list"], capture_output=True, text=True).stdout
    assert len(trees.splitlines()) == 1


def test_it_is_removed_after_an_error_too(repository):
    """What goes wrong while measuring leaves nothing behind."""
    with pytest.raises(KeyboardInterrupt), checkout("HEAD") as (reference, _):
        raise KeyboardInterrupt
    assert not reference.root.exists()


def test_a_folder_within_the_repository_is_kept(repository, monkeypatch):
    """Paths are relative to the same folder in both versions."""
    (repository / "sub").mkdir()
    commit(repository / "sub", other=PLUGIN.format(told=1))
    monkeypatch.chdir(repository / "sub")
    with checkout("HEAD") as (reference, _):
        assert (reference.folder / "other.py").is_file()
        check(suite(impl="mine=other.py:build"), [reference])


@pytest.mark.parametrize("ref", ["nosuch", "--help", "HEAD~7", ""])
def test_a_commit_that_is_not_there_is_named(repository, ref):
    """The text says what was expected, and that CI may have to fetch it."""
    with pytest.raises(UsageError, match="names no commit of this repository"), checkout(ref):
        pass


def test_outside_a_repository(tmp_path, monkeypatch):
    """The remedy is a repository."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="needs a git repository"), checkout("HEAD"):
        pass


@pytest.mark.parametrize(
    ("impl", "said"),
    [
        ("sdpa", "nothing to measure comes from this repository"),
        ("mine=other.py:build", "'other.py' is not in HEAD~1"),
        ("mine=no.module:build", "'no.module' is not in HEAD~1"),
        ("mine=torch.nn:Linear", "'torch.nn' is not in HEAD~1"),
        ("mine=../out.py:build", "'../out.py' is not in HEAD~1"),
    ],
)
def test_code_that_both_versions_share_is_refused(repository, impl, said):
    """Two names for the same code would always pass."""
    (repository / "other.py").write_text("")
    (repository.parent / "out.py").write_text("")
    with checkout("HEAD~1") as versions, pytest.raises(UsageError, match=said):
        check(suite(impl=impl), versions)


def test_an_absolute_path_is_refused(repository):
    """It is one file, whatever the version."""
    with checkout("HEAD~1") as versions, pytest.raises(UsageError, match="one file for both"):
        check(suite(impl=f"mine={repository / 'mine.py'}:build"), versions)


def test_linbench_s_own_repository_measures_what_is_built_in():
    """A tree that holds linbench itself needs no plug-in."""
    with checkout("HEAD") as versions:
        check(suite(impl="sdpa,linformer"), versions)


TELLS = """
import torch
from helper import told
from linbench.attention import build as built


def build(config):
    raise RuntimeError(f"told {told}")
"""


def test_each_version_runs_its_own_code(repository):
    """File, and modules beside it, come from the version; this version's parent from neither."""
    commit(repository, mine=TELLS, helper="told = 'old'\n")
    commit(repository, helper="told = 'new'\n")
    with checkout("HEAD~1") as (reference, candidate):
        for version, said in ((reference, "told old"), (candidate, "told new")):
            with Local(suite(case_timeout="20s"), version=version) as pool:
                assert said in measure(pool, Case(impl="mine", seq=64), 0).reason


def test_a_module_from_the_other_version_is_an_error(repository):
    """A plug-in that reaches into the working tree from its checkout measures the wrong code."""
    reaches = "import sys\nsys.path.insert(0, {root!r})\n" + PLUGIN.replace(
        "import torch", "import helper"
    )
    text = reaches.replace("{root!r}", repr(str(repository))).format(told=1)
    (repository / "later.py").write_text("x = 1\n")
    commit(repository, mine=text.replace("import helper", "import later"))
    git(repository, "rm", "-q", "--cached", "later.py")
    git(repository, "commit", "-qm", "only in the working tree")
    with (
        checkout("HEAD") as (reference, candidate),
        Local(suite(case_timeout="20s"), version=reference, forbidden_root=candidate.root) as pool,
    ):
        record = measure(pool, Case(impl="mine", seq=64), 0)
    assert record.status == "error"
    assert record.reason.startswith("later came from")
    assert Path(repository).name in record.reason


def test_a_hook_s_environment_does_not_reach_git(repository, monkeypatch):
    """Within a hook git points to the index of the commit that is being made; it stays as it is."""
    index = repository / ".git" / "index"
    before = index.read_bytes()
    monkeypatch.setenv("GIT_INDEX_FILE", str(index))
    monkeypatch.setenv("GIT_DIR", str(repository / ".git"))
    with checkout("HEAD~1") as (reference, _):
        commit_there = provenance.commit_of(reference.root).commit
    assert index.read_bytes() == before
    assert commit_there != provenance.commit_of(repository).commit


def test_hooks_do_not_run(repository):
    """A checkout that nobody works in needs no hook, and a hook that fails does not end it."""
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with checkout("HEAD") as (reference, _):
        assert reference.folder.is_dir()


def test_sigterm_leaves_nothing_behind(repository):
    """It ends things as Ctrl-C does."""
    with pytest.raises(KeyboardInterrupt), checkout("HEAD") as (reference, _):
        signal.raise_signal(signal.SIGTERM)
    assert not reference.root.exists()


def test_a_folder_that_the_reference_lacks_is_named(repository, monkeypatch):
    """The message names commit and folder."""
    (repository / "new").mkdir()
    monkeypatch.chdir(repository / "new")
    with pytest.raises(UsageError, match="has no folder 'new'"), checkout("HEAD"):
        pass
