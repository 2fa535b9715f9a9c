"""Where a run comes from: the code, the machine, the command, the repository."""

import subprocess
import sys
from pathlib import Path

import pytest

from linbench import __version__
from linbench.plan import provenance
from linbench.plan.suite import read
from linbench.plan.versions import Version
from linbench.run.record import SCHEMA


def git(folder, *words):
    subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with one commit of one plug-in, and the current folder in it."""
    git(tmp_path, "init", "-q", "-b", "trunk")
    (tmp_path / "mine.py").write_text("build = None\n")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_header_says_what_was_asked_and_of_what(repository, monkeypatch):
    """Suite, metrics, command, device, machine, commit: all that is needed to do it again."""
    monkeypatch.setattr(sys, "argv", ["/bin/linbench", "sweep", "--impl", "sdpa"])
    suite = read({"impl": "sdpa", "seq": "512", "task": "efficiency,max_batch"})
    header = provenance.header("r", suite, "cpu", busy="others are at work")
    assert (header.run_id, header.schema_, header.linbench) == ("r", SCHEMA, __version__)
    assert header.argv == ["linbench", "sweep", "--impl", "sdpa"]
    assert read(header.suite) == suite
    assert [metric.name for metric in header.metrics] == ["time", "memory", "energy", "max_batch"]
    assert header.device == "cpu"
    assert header.machine.fingerprint
    assert header.git.branch == "trunk"
    assert header.created.endswith("+00:00")
    assert header.warnings == ["others are at work"]


def test_what_is_not_committed_is_said(repository):
    """A commit alone does not say what was measured while files of it are changed."""
    clean = provenance.commit_of()
    assert (len(clean.commit), clean.dirty) == (40, False)
    (repository / "mine.py").write_text("build = 1\n")
    assert provenance.commit_of().dirty
    (repository / "mine.py").write_text("build = None\n")
    (repository / "new.py").write_text("")
    assert not provenance.commit_of().dirty, "files that git does not know are not its commit's"


def test_outside_a_repository_there_is_no_commit(tmp_path):
    """Nor is that of a folder around it made up."""
    assert provenance.commit_of(tmp_path) is None


def test_a_branch_that_has_no_name(repository):
    """In CI a commit is checked out, not a branch."""
    git(repository, "checkout", "-q", "--detach")
    assert provenance.commit_of().branch is None


def test_the_digest_follows_plugins_of_either_kind(repository):
    """Of an implementation and of a task: other code, other digest."""
    (repository / "task.py").write_text("TASK = None\n")
    without = provenance.code_digest([])
    assert without == provenance.code_digest([])
    for name in ("mine", "task"):
        spec = f"x={name}.py:y"
        before = provenance.code_digest([spec])
        assert before != without
        (repository / f"{name}.py").write_text("changed = 1\n")
        assert provenance.code_digest([spec]) != before


def test_a_version_has_the_digest_of_its_own_files(repository):
    """Not of the files that lie in the current folder."""
    elsewhere = repository / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine.py").write_text("build = 2\n")
    here, there = (Version("v", folder, folder) for folder in (repository, elsewhere))
    spec = ["x=mine.py:build"]
    assert provenance.code_digest(spec, here) == provenance.code_digest(spec)
    assert provenance.code_digest(spec, there) != provenance.code_digest(spec, here)


def test_differences_name_machine_and_code(repository):
    """None where both are the same: a run can go on."""
    suite = read({"impl": "mine=mine.py:build"})
    header = provenance.header("r", suite, "cpu")
    assert provenance.differences(header, suite) == []
    moved = header.machine.model_copy(update={"fingerprint": "elsewhere"})
    (repository / "mine.py").write_text("build = 3\n")
    machine, code = provenance.differences(header.model_copy(update={"machine": moved}), suite)
    assert machine.startswith("machine elsewhere is not this one (")
    assert code.startswith("the code has changed (")


def test_a_run_is_named_by_suite_and_time():
    """The default name can be a file's."""
    name = provenance.run_id("smoke")
    assert name.startswith("smoke-20")
    assert Path(name).name == name
