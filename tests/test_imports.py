"""What importing a module must do without; who may import whom is import-linter's (pyproject)."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "without"),
    [
        ("linbench.cli", {"torch", "pandas", "numpy", "scipy", "matplotlib", "pydantic"}),
        ("linbench.attention", {"torch", "pydantic"}),
        ("linbench.tasks", {"torch", "pandas", "numpy"}),
        ("linbench.tasks.efficiency", {"torch", "pandas", "numpy"}),
        ("linbench.tasks.max_batch", {"torch", "pandas", "numpy"}),
        ("linbench.plan.suite", {"torch", "pandas", "numpy"}),
        ("linbench.plan.schedule", {"torch", "pandas"}),
        ("linbench.record", {"torch", "pandas"}),
        ("linbench.run.runs", {"torch", "pandas"}),
        ("linbench.studies", {"torch", "pandas", "matplotlib"}),
        ("linbench.report.figures", {"torch", "pandas", "matplotlib.pyplot"}),
    ],
)
def test_light_modules_stay_light(module, without):
    """Importing a module does not load what it must do without."""
    code = f"import sys, {module}; print(sorted({without!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
