"""Who may import whom: imports go down only."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path("linbench")
FORBIDDEN = {
    "attention": {"case", "record", "probes", "runner", "suite", "cli", "tasks", "worker"},
    "encoder.py": {"case", "record", "probes", "runner", "suite", "cli", "tasks", "worker"},
    "analysis": {"runner", "cli", "report", "gate", "tasks", "worker", "executors", "probes"},
    "gate": {"runner", "cli", "report", "tasks", "worker", "executors", "probes"},
    "report": {"runner", "cli", "tasks", "worker", "executors", "probes"},
    "record.py": {"runner", "cli", "report", "tasks", "worker", "executors", "probes", "analysis"},
    "export.py": {"runner", "cli", "report", "tasks", "worker", "executors", "probes", "gate"},
    "pytest_benchmark.py": {"runner", "cli", "report", "tasks", "worker", "probes", "analysis"},
    "case.py": {"record", "runner", "cli", "report", "tasks", "worker", "executors", "suite"},
    "batch_search.py": {"case", "record", "suite", "runner", "cli", "tasks", "worker", "attention"},
    "probes": {"case", "record", "runner", "cli", "report", "tasks", "worker", "executors"},
    "tasks": {"cli", "report", "analysis", "runner", "executors", "worker"},
    "runner.py": {"cli", "report", "analysis", "tasks", "worker", "executors"},
}


def _imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_imports_go_down_only(part):
    """No file of a part imports from above it."""
    path = PACKAGE / part
    for file in [path] if path.is_file() else path.rglob("*.py"):
        for name in _imported(file):
            words = name.split(".")
            assert words[0] != "linbench" or not set(words[1:2]) & FORBIDDEN[part], (file, name)


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("linbench.cli", {"torch", "pandas", "numpy", "scipy", "matplotlib", "pydantic"}),
        ("linbench.attention", {"torch"}),
        ("linbench.suite", {"torch", "pandas"}),
        ("linbench.runner", {"torch", "pandas"}),
        ("linbench.record", {"torch", "pandas"}),
        ("linbench.analysis.scaling", {"torch"}),
        ("linbench.report.figures", {"torch", "matplotlib.pyplot"}),
    ],
)
def test_light_modules_stay_light(module, without):
    """Importing a module does not load what it must do without."""
    code = f"import sys, {module}; print(sorted({without!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
