"""Asking git: of the repository at hand, and of no other."""

import subprocess

import pytest

from linbench import git
from linbench.errors import UsageError


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository, and the current folder in it."""
    subprocess.run(["git", "init", "-q", "-b", "trunk"], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_points_elsewhere_is_left_out(monkeypatch):
    """Hooks have it in their environment; all else stays."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "elsewhere")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "A")
    kept = git.environment()
    assert not [name for name, value in kept.items() if value == "elsewhere"]
    assert kept["GIT_AUTHOR_NAME"] == "A"


def test_a_hook_s_environment_leads_nowhere_else(repository, tmp_path_factory, monkeypatch):
    """The folder says which repository is asked."""
    other = tmp_path_factory.mktemp("other")
    subprocess.run(["git", "init", "-q"], cwd=other, check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert git.must("rev-parse", "--show-toplevel", why="") == str(repository.resolve())


def test_asking_is_none_where_there_is_no_answer(repository, tmp_path_factory, monkeypatch):
    """Outside a repository, for what git refuses, without git."""
    assert git.ask("branch", "--show-current") == "trunk"
    assert git.ask("rev-parse", "HEAD") is None
    assert git.ask("branch", "--show-current", folder=tmp_path_factory.mktemp("no")) is None
    monkeypatch.setenv("PATH", "")
    assert git.ask("--version") is None


def test_what_must_be_says_why_and_what_git_said(repository, monkeypatch):
    """One line: the reason, then git's own words."""
    with pytest.raises(UsageError) as caught:
        git.must("checkout", "nosuch", why="the reference cannot be had")
    assert str(caught.value).startswith("the reference cannot be had (git: error: pathspec")
    assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match=r"^no branch$"):
        git.must("rev-parse", "--verify", "--quiet", "nosuch", why="no branch")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"git cannot be run: No such file.*; install it\)"):
        git.must("--version", why="versions need git")
