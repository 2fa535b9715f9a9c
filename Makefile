PYTHON ?= python3
BIN := .venv/bin

.PHONY: sweep test gate

sweep: .venv/ready  ## run the main job and say where the report is
	$(BIN)/linbench sweep
	$(BIN)/linbench report latest

test: .venv/ready  ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest

# memory, operations and exponents carry over between machines, where kernels have as many threads
gate: .venv/ready  ## hold this version against the committed baseline
	OMP_NUM_THREADS=1 $(BIN)/linbench sweep ci --device cpu --rounds 1 --budget none
	$(BIN)/linbench gate latest --baseline ci --metric memory,operations,exponent

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,peers]'
	touch $@
