# make demo: protect eight photographs.  make test: everything that is checked.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# The exact version keeps a CPU build of torch, where one is offered, from being passed over.
TORCH := torch==2.13.0
# One thread a worker: two workers with two threads each would fight for two cores.
THREADS := OMP_NUM_THREADS=1

.PHONY: help demo test clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   protect eight photographs into demo-output/ and draw what changed"
	@echo "make test   lint, types and the test suite"
	@echo "make clean  remove the environment, caches and demo-output/"

.venv/.created:
	$(PYTHON) -m venv .venv
	touch $@

# Two stamps: the demo needs less than the tests, and either is redone only when the
# dependencies change.
.venv/.demo: .venv/.created pyproject.toml constraints.txt
	@echo "Installing unseg and torch into .venv, which takes some minutes ..."
	$(PIP) install --quiet -c constraints.txt $(TORCH) -e ".[demo]"
	touch $@

.venv/.dev: .venv/.created pyproject.toml constraints.txt
	@echo "Installing unseg, torch and what the tests need into .venv, which takes some minutes ..."
	$(PIP) install --quiet -c constraints.txt $(TORCH) -e ".[dev]"
	touch $@ .venv/.demo

demo: .venv/.demo
	$(BIN)/unseg demo -o demo-output

test: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(THREADS) $(BIN)/pytest -n 2 --durations=15

clean:
	rm -rf .venv build dist src/*.egg-info demo-output .pytest_cache .ruff_cache .mypy_cache
