# `make demo` runs the main job, `make test` the tests (`make test-all` the slow ones too), `make check` lint,
# types and the import contract.
# Each makes its own virtual environment in .venv; a second call installs nothing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO ?= demo

.PHONY: demo test test-all check docs bench clean

demo: $(VENV)/.installed
	$(BIN)/subgrid demo --output $(DEMO)

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

test-all: $(VENV)/.installed-test
	XLA_FLAGS= $(BIN)/python -m pytest -m ""

check: $(VENV)/.installed-check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports
	$(BIN)/mkdocs build --strict --site-dir $(VENV)/site

docs: $(VENV)/.installed-check
	$(BIN)/mkdocs build --strict

bench: $(VENV)/.installed-test
	$(BIN)/python -m benchmarks

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Subgrid needs Python 3.11 or newer; set PYTHON=python3.12, say.")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) --editable '.[test]'
	touch $@

$(VENV)/.installed-check: $(VENV)/.installed-test
	$(PIP) --editable '.[test,check,docs]'
	touch $@

clean:
	rm -rf $(VENV) .cache site # not demo and runs: they may hold hours of training
