"""Documents say what the program does: the run file's fields and schema, the README's promises."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from linbench.run import record
from linbench.run.case import Case
from linbench.run.metrics import Measurement, Metric

DOCS = Path("docs")


def field_table(model):
    """Write a model's fields as the table that docs/run-file.md must hold."""
    rows = ["| field | meaning |", "|---|---|"]
    for name, field in model.__pydantic_fields__.items():
        meaning = " ".join((field.description or "").split())
        rows.append(f"| `{field.serialization_alias or name}` | {meaning} |")
    return "\n".join(rows)


@pytest.mark.parametrize(
    "model", [record.Header, Metric, record.Machine, record.Git, record.Record, Case, Measurement,
              record.Detail, record.Memory, record.Check, record.Timing, record.Counts,
              record.Ceilings, record.Node],
    ids=lambda model: model.__name__,
)  # fmt: skip
def test_every_field_of_the_run_file_is_documented(model):
    """docs/run-file.md describes every field in the words of the model."""
    assert all(field.description for field in model.__pydantic_fields__.values())
    assert field_table(model) in (DOCS / "run-file.md").read_text()


def test_the_schema_file_is_that_of_the_models():
    """Remake it with: python -m linbench.run.record > docs/run-file.schema.json."""
    assert json.loads((DOCS / "run-file.schema.json").read_text()) == record.json_schema()


@pytest.mark.parametrize("path", sorted(Path("reports/example").glob("*.jsonl")), ids=str)
def test_committed_runs_match_the_schema(path):
    """Every line of every committed run, in the form of today, is valid by the published schema."""
    validator = jsonschema.Draft202012Validator(record.json_schema())
    header, records = record.read(path)
    for line in map(record.to_line, (header, *records)):
        validator.validate(json.loads(line))


def test_links_in_documents_lead_somewhere():
    """Every relative link of the documents names a file that is there."""
    for page in (*Path().glob("*.md"), *DOCS.glob("*.md")):
        prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", prose):
            assert (page.parent / target).exists(), (page, target)


def test_the_readme_s_python_runs():
    """The library's example does what its comments say."""
    import torch

    (code,) = re.findall(r"```python\n(.*?)```", Path("README.md").read_text(), re.DOTALL)
    names = {"x": torch.randn(2, 64, 256), "key_padding_mask": None}
    exec(code, names)  # our own README
    assert names["y"].shape == (2, 64, 256)
    assert len(names["layers"]) == 12
    assert len({id(layer.projection) for layer in names["layers"]}) == 1


def _verbs():
    from typer.main import get_command

    from linbench.cli import app

    return sorted(get_command(app).commands)


def _commands():
    """Every linbench command that the documents and the help of the verbs show as an example."""
    helps = "\n".join(path.read_text() for path in Path("linbench/cli").glob("*.py"))
    verbs = "|".join(_verbs())
    found = re.findall(rf"(?:^|`)(linbench (?:{verbs})\b[^`\n#]*)", helps, re.MULTILINE)
    for page in (Path("README.md"), *DOCS.glob("*.md")):
        blocks = "".join(re.findall(r"```.*?```", page.read_text(), re.DOTALL))
        found += re.findall(r"^ *[$-]? ?(linbench [^\n#]*)", blocks, re.MULTILINE)
    found += re.findall(r"Example: (linbench [^`\n]*)", helps)
    return sorted({command.strip() for command in found})


def _task_of_the_documents(folder):
    """Write the task that docs/tasks.md shows into a folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "tasks.md").read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 40
    (folder / "similarity.py").write_text(code)


@pytest.mark.parametrize("command", _commands())
def test_commands_in_documents_are_accepted(command, tmp_path, monkeypatch):
    """The verb exists and takes the flags that the documents show (nothing is measured here)."""
    import shlex
    import sys

    from typer.testing import CliRunner

    from linbench.cli import application

    words = shlex.split(command)[1:]
    assert words[0] in _verbs(), command
    flags = {word.partition("=")[0] for word in words if word.startswith("--")}
    _task_of_the_documents(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["linbench", *words])  # settings of its tasks are flags too
    shown = CliRunner().invoke(application(), [words[0], "--help"], env={"COLUMNS": "200"}).output
    assert all(flag in shown for flag in flags), command


def test_the_task_of_the_documents_runs(tmp_path):
    """What docs/tasks.md shows measures what it says: exact attention is like itself."""
    import subprocess
    import sys

    _task_of_the_documents(tmp_path)
    words = "sweep --task similarity=similarity.py:TASK --impl sdpa,linformer --projection mean"
    words += " --k 16 --seq 64,128 --scope core --spread 0.5 --rounds 2 --name s"
    linbench = Path(sys.executable).with_name("linbench")
    done = subprocess.run([linbench, *words.split()], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    _, records = record.read(tmp_path / "results" / "s.jsonl")
    similar = {(r.case.impl, r.case.seq, r.round): r.value("similarity") for r in records}
    assert len(similar) == 8
    assert all(value == pytest.approx(1) for (impl, *_), value in similar.items() if impl == "sdpa")
    assert all(value < 0.999 for (impl, *_), value in similar.items() if impl == "linformer")
    assert len(set(similar.values())) > 4, "rounds draw anew"
