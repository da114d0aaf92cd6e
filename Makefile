# Everything a user types. Needs Python 3.11, 3.12 or 3.13 and nothing else.

PYTHON ?= $(shell for version in 3.11 3.12 3.13; do \
    python$$version -c '' 2>/dev/null && command -v python$$version && exit; done; command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
LOCK = requirements/$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])').lock
WORKSPACE ?= workspace/demo
PORT ?= 8000
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile

# deterministic and not oversubscribed: implicit asks for it before it is imported
export OPENBLAS_NUM_THREADS := 1
export MLFLOW_DISABLE_TELEMETRY := true

.PHONY: help install demo test test-fast proof coverage lint types versions docs notebooks bench lock clean

help:  ## What there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

install: $(INSTALLED)  ## Create .venv and install pinned dependencies and nextproduct

$(INSTALLED): pyproject.toml $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

requirements/%.lock:
	@echo "nextproduct runs on Python 3.11, 3.12 and 3.13, and $(PYTHON) is $*: name another, make PYTHON=path"; exit 1

demo: $(INSTALLED)  ## A synthetic bank from tables to a served suggestion; DATA=folder for your own tables
	$(BIN)/nextproduct demo $(WORKSPACE) --port $(PORT) $(if $(DATA),--data $(DATA))

test: $(INSTALLED)  ## The whole test suite
	$(PYTEST)

test-fast: $(INSTALLED)  ## Tests that need no trained workspace, no server and no long search: within a minute
	$(PYTEST) -m "not slow"

proof: $(INSTALLED)  ## The tests that search, with large counts; most of an hour
	NEXTPRODUCT_PROOF=1 $(PYTEST) -m proof

coverage: $(INSTALLED)  ## The whole test suite, and which lines of each file it never ran; compiled code is not seen
	$(PYTEST) --cov --cov-report term-missing:skip-covered

lint: $(INSTALLED)  ## Style, formatting and the one-way import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(INSTALLED)  ## The type checker
	$(BIN)/mypy

versions: $(INSTALLED)  ## The fast tests on every other supported version of Python that is found
	.ci/versions

docs: $(INSTALLED)  ## Write the parts of docs/ that the code knows: settings, columns, commands, routes, ...
	$(BIN)/python -m tests.documentation.pages

notebooks: $(INSTALLED)  ## Run the notebooks and save them with their outputs
	@folder=$$(mktemp -d); trap "rm -rf $$folder" EXIT; cd $$folder; \
	$(CURDIR)/$(BIN)/python $(CURDIR)/tests/notebooks/execute.py $(CURDIR)/notebooks/*.ipynb && mv *.ipynb $(CURDIR)/notebooks

bench: SHELL := /bin/bash
bench: $(INSTALLED)  ## The figures of tests/benchmarks beside their baselines; most of an hour, or ONLY=name for one
	@set -o pipefail; figures=$$(mktemp); trap "rm -f $$figures" EXIT; \
	for file in tests/benchmarks/bench_$(or $(ONLY),*).py; do \
	    name=$$(basename $$file .py); echo "== $$name"; \
	    $(BIN)/python -m tests.benchmarks.$$name | tee -a $$figures || exit 1; \
	done; echo "== figures"; grep '^{' $$figures

lock: $(INSTALLED)  ## Write the versions installed now into the lock of this version of Python
	$(BIN)/python -m pip freeze --all --exclude-editable | grep -v '^pip==' | sort -f > $(LOCK).part
	mv $(LOCK).part $(LOCK)

clean:  ## Remove virtual environments and caches
	rm -rf $(VENV) $(VENV)-* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
