PYTHON ?= python3
BIN := .venv/bin

.PHONY: sweep test

sweep: .venv/ready  ## run the main job and say where the report is
	$(BIN)/linbench sweep
	$(BIN)/linbench report latest

test: .venv/ready  ## lint, types, tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,peers]'
	touch $@
