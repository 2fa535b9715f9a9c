"""The GitHub action, the workflow and the pages about CI: they parse, and the scripts run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import synthetic
import yaml
from typer.testing import CliRunner

from linbench.cli import app

ACTION = yaml.safe_load(Path("action.yml").read_text())
STEPS = ACTION["runs"]["steps"]
SCRIPTS = {step["name"]: step for step in STEPS if "run" in step}
SNIPPETS = re.findall(r"```(\w*)\n(.*?)```", Path("docs/ci.md").read_text(), re.DOTALL)
WORKFLOWS = sorted(Path(".github/workflows").glob("*.yml"))


def expressions(text):
    return re.findall(r"\$\{\{(.*?)\}\}", text)


def test_every_input_is_used_and_every_used_one_is_declared():
    """Inputs have a description and a default, and no step asks for another."""
    used = set(re.findall(r"inputs\.([\w-]+)", json.dumps(STEPS)))
    assert used == set(ACTION["inputs"])
    assert all(one["description"] and "default" in one for one in ACTION["inputs"].values())


def test_outputs_are_those_of_a_step():
    """Each output is written by the script of the step that it names."""
    for name, output in ACTION["outputs"].items():
        step, written = re.search(r"steps\.(\w+)\.outputs\.([\w-]+)", output["value"]).groups()
        (script,) = (one["run"] for one in STEPS if one.get("id") == step)
        assert name == written
        assert f"{written}=" in script


def test_no_expression_is_pasted_into_a_script():
    """A branch may be called `$(evil)`: scripts get values from the environment alone."""
    scripts = [step["run"] for step in STEPS if "run" in step]
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            scripts += [step["run"] for step in job["steps"] if "run" in step]
    for language, snippet in SNIPPETS:
        if language == "yaml":
            scripts += re.findall(r"run: (.*)", snippet)
    assert len(scripts) >= 4
    assert not [script for script in scripts if expressions(script)]


def test_every_variable_of_a_script_is_given():
    """What a script reads is in its `env`, set by GitHub, or made in the script."""
    for step in SCRIPTS.values():
        read = set(re.findall(r"\$\{?([A-Z_]+)\b", step["run"]))
        assert {name for name in read if not name.startswith("GITHUB_")} == set(step["env"])


def test_the_page_documents_every_input_and_output():
    """docs/ci.md names them, and no other."""
    page = Path("docs/ci.md").read_text()
    table = re.search(r"\| input \|.*?\n\n", page, re.DOTALL)[0]
    named = [
        name
        for row in table.strip().splitlines()[2:]
        for name in re.findall(r"`([\w-]+)`", row.split("|")[1])
    ]
    assert sorted(named) == sorted(ACTION["inputs"])
    assert all(f"`{name}`" in page for name in ACTION["outputs"])


@pytest.mark.parametrize("path", [Path("action.yml"), *WORKFLOWS], ids=str)
def test_yaml_files_parse(path):
    """Each is a mapping with steps that use an action or run a script, not both."""
    content = yaml.safe_load(path.read_text())
    jobs = content.get("jobs", {"action": {"steps": STEPS}})
    for job in jobs.values():
        assert all(("uses" in step) != ("run" in step) for step in job["steps"])


def test_snippets_of_the_page_parse():
    """YAML loads and uses only inputs that exist; shell passes `bash -n`."""
    assert len([language for language, _ in SNIPPETS if language == "yaml"]) == 2
    for language, snippet in SNIPPETS:
        if language != "yaml":
            bash_n(snippet)
            continue
        content = yaml.safe_load(snippet)
        for job in content.get("jobs", {}).values():
            given = [s.get("with", {}) for s in job["steps"] if "linbench@" in s.get("uses", "")]
            assert set(given[0]) <= set(ACTION["inputs"])
            for step in job["steps"]:
                bash_n(step.get("run", ""))
        for line in content.get("linbench", {}).get("script", ()):
            bash_n(line)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_of_the_action_parse(name):
    """`bash -n` finds no fault."""
    bash_n(SCRIPTS[name]["run"])


def test_flags_of_the_action_are_those_of_the_gate():
    """Every flag that its script gives is in the help of `linbench gate`."""
    flags = set(re.findall(r"(?<!\S)--[a-z-]+", SCRIPTS["Gate"]["run"].replace("(", " ")))
    shown = CliRunner().invoke(app, ["gate", "--help"], env={"COLUMNS": "200"}).output
    assert {"--summary", "--junit", "--baseline", "--against"} <= flags
    assert [flag for flag in flags if flag not in shown] == []


def bash_n(script):
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert done.returncode == 0, (script, done.stderr)


@pytest.fixture
def run_step(tmp_path):
    """Run a script of the action in a folder as GitHub's runner does, with inputs in `env`."""

    def run(name, *, tools=Path(sys.executable).parent, base_ref="", **given):
        inputs = {key: one["default"] for key, one in ACTION["inputs"].items()} | given
        env = {}
        for key, value in SCRIPTS[name]["env"].items():
            found = re.search(r"inputs\.([\w-]+)", value)
            env[key] = inputs[found[1]] if found else "the/action"
        if "AGAINST" in env and not env["AGAINST"] and base_ref:
            env["AGAINST"] = f"origin/{base_ref}"
        env |= {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "GITHUB_OUTPUT": str(tmp_path / "output"),
            "GITHUB_STEP_SUMMARY": str(tmp_path / "step_summary"),
        }
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPTS[name]["run"]],
            cwd=tmp_path, capture_output=True, text=True, timeout=200, env=env,
        )  # fmt: skip

    return run


def outputs(folder):
    path = folder / "output"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.partition("=")[::2] for line in lines)


def write_run(folder, name, *, slowdown=1.0, rounds=12):
    """Write a run whose times and memory follow a law, slower by a factor."""
    rng = np.random.default_rng(len(name))
    records = synthetic.measured(
        rng, lambda n: slowdown * 1e-6 * n, lambda n: 1024 * n, sizes=(512, 1024), rounds=rounds,
        impl="sdpa", drift=0.0, outliers=0.0,
    )  # fmt: skip
    return synthetic.write(folder / f"{name}.jsonl", records)


@pytest.mark.parametrize(
    ("slowdown", "rounds", "inconclusive", "verdict", "code"),
    [
        (1.0, 12, "fail", "pass", 0),
        (1.5, 12, "pass", "regression", 1),
        (1.0, 1, "fail", "inconclusive", 3),
        (1.0, 1, "pass", "inconclusive", 0),
    ],
)
def test_the_gate_step_says_its_verdict_and_fails_by_it(
    run_step, tmp_path, slowdown, rounds, inconclusive, verdict, code
):
    """Its exit code, outputs, the summary of the job and the artifact agree."""
    write_run(tmp_path, "before", rounds=rounds)
    write_run(tmp_path, "after", slowdown=slowdown, rounds=rounds)
    done = run_step(
        "Gate", candidate="after.jsonl", baseline="before.jsonl", inconclusive=inconclusive,
        flags="--max-slowdown 1.2",
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert outputs(tmp_path) == {"verdict": verdict, "summary": "linbench-gate/summary.md"}
    summary = (tmp_path / "linbench-gate" / "summary.md").read_text()
    assert verdict in summary.lower()
    assert (tmp_path / "step_summary").read_text() == summary
    assert (tmp_path / "linbench-gate" / "junit.xml").exists()


def test_the_gate_step_measures_a_pull_request_against_its_base(run_step, tmp_path):
    """Without inputs but what to measure, the base branch is measured beside the checkout."""
    git = ("git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main")
    (tmp_path / "attention.py").write_text(
        "from linbench.attention import build as build_any\n"
        "def build(config):\n    return build_any('sdpa', config)\n"
    )
    for words in (("init", "-q"), ("add", "attention.py"), ("commit", "-qm", "x"),
                  ("update-ref", "refs/remotes/origin/main", "HEAD")):  # fmt: skip
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    done = run_step(
        "Gate", base_ref="main",
        flags="--impl mine=attention.py:build --seq 32 --d-model 32 --rounds 2 --max-slowdown 9",
    )  # fmt: skip
    verdict = outputs(tmp_path)["verdict"]
    assert done.returncode == {"pass": 0, "regression": 1, "inconclusive": 3}[verdict], done.stderr
    assert len(list((tmp_path / "linbench-gate").glob("gate-*.jsonl"))) == 2


def test_flags_are_quoted_as_in_a_shell_and_nothing_is_run(run_step, tmp_path):
    """A claim with `<` stays one word; what looks like a command stays text."""
    write_run(tmp_path, "before")
    done = run_step(
        "Gate", candidate="before.jsonl", baseline="before.jsonl",
        flags="--max-slowdown 1.2 --assert 'sdpa:time<=9'",
    )  # fmt: skip
    assert "sdpa:time<=9 " in done.stdout, done.stderr
    for given in (
        {"baseline": "$(touch evil)"},
        {"baseline": "x", "flags": "`touch evil`; touch evil"},
    ):
        done = run_step("Gate", candidate="before.jsonl", **given)
        assert done.returncode == 2
        assert done.stderr.startswith(("linbench: ", "Usage: ")), done.stderr
    assert not (tmp_path / "evil").exists()


def test_a_gate_that_cannot_run_has_no_verdict(run_step, tmp_path):
    """Wrong input fails the job with the message of linbench, and is no regression."""
    write_run(tmp_path, "before")
    done = run_step("Gate", candidate="nothing.jsonl", baseline="before.jsonl")
    assert done.returncode == 2
    assert "no run 'nothing.jsonl'" in done.stderr
    assert outputs(tmp_path) == {}
    done = run_step("Gate")
    assert (done.returncode, outputs(tmp_path)) == (2, {})
    assert "not a pull request" in done.stdout


@pytest.mark.parametrize(
    ("given", "installs"),
    [
        ({}, ["--extra-index-url", "https://download.pytorch.org/whl/cpu", "the/action"]),
        ({"pip-options": "", "version": "1.2"}, ["linbench==1.2"]),
        ({"pip-options": "", "version": "1; touch evil"}, ["linbench==1; touch evil"]),
    ],
)
def test_the_install_step_takes_the_action_s_own_linbench_or_a_version(
    run_step, tmp_path, given, installs
):
    """pip is asked for the checkout of the action by default."""
    fake = tmp_path / "tools" / "python"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    done = run_step("Install linbench", tools=fake.parent, **given)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["-m", "pip", "install", "--quiet", *installs]
    assert not (tmp_path / "evil").exists()
