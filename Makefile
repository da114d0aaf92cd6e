# Everything a user types. Needs Python 3.11 and nothing else.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKSPACE ?= workspace/demo
PORT ?= 8000

# deterministic and not oversubscribed: implicit asks for it before it is imported
export OPENBLAS_NUM_THREADS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install demo test proof lint types bench lock clean

help:  ## What there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(INSTALLED)  ## Create .venv and install pinned dependencies and nextproduct

$(INSTALLED): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

demo: $(INSTALLED)  ## A synthetic bank from tables to a served suggestion; DATA=folder for your own tables
	$(BIN)/nextproduct demo $(WORKSPACE) --port $(PORT) $(if $(DATA),--data $(DATA))

test: $(INSTALLED)  ## The whole test suite
	$(BIN)/python -m pytest -n 2 --dist loadfile

proof: $(INSTALLED)  ## The tests that search, with large counts; most of an hour
	NEXTPRODUCT_PROOF=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m proof

lint: $(INSTALLED)  ## Style, formatting and the one-way import rule
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)  ## The type checker
	$(BIN)/mypy

bench: SHELL := /bin/bash
bench: $(INSTALLED)  ## The figures of tests/benchmarks beside their baselines, the JSON lines again at the end; most of an hour
	@set -o pipefail; figures=$$(mktemp); trap "rm -f $$figures" EXIT; \
	for file in tests/benchmarks/bench_*.py; do \
	    name=$$(basename $$file .py); echo "== $$name"; \
	    $(BIN)/python -m tests.benchmarks.$$name | tee -a $$figures || exit 1; \
	done; echo "== figures"; grep '^{' $$figures

lock: $(INSTALLED)  ## Write the versions installed now into requirements.lock
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip==' | sort -f > requirements.lock.part
	mv requirements.lock.part requirements.lock

clean:  ## Remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
