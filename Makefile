# Each target is one line that can be typed by hand.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
TEST_VENV ?= .venv-test
SHELL := /bin/bash

.PHONY: quickstart test test-slow check bench clean

quickstart: .venv/installed  ## the whole pipeline on this machine, on real text
	.venv/bin/xgen quickstart tiny

test: $(TEST_VENV)/installed  ## every test that is not slow, two at a time
	$(TEST_VENV)/bin/python -m pytest -q -n 2 --dist worksteal

test-slow: $(TEST_VENV)/installed  ## the rest
	$(TEST_VENV)/bin/python -m pytest -q -m slow

check: $(TEST_VENV)/installed  ## lint, types, import contracts, contract tests
	$(TEST_VENV)/bin/ruff format --check -q && $(TEST_VENV)/bin/ruff check -q && $(TEST_VENV)/bin/pyright --pythonpath $(TEST_VENV)/bin/python && $(TEST_VENV)/bin/lint-imports && $(TEST_VENV)/bin/python -m pytest -q tests/contracts

bench: $(TEST_VENV)/installed  ## every number that we claim, beside a peer, in one run
	GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $(TEST_VENV)/bin/python bench/train_step_cpu.py
	$(TEST_VENV)/bin/python bench/prepare.py

clean:  ## forget environments and caches, keep runs and data
	rm -rf .venv .venv-test .cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.venv/installed: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'xgen needs Python 3.11 or newer: make PYTHON=/path/to/python'; exit 2; }
	$(PYTHON) -m venv .venv && .venv/bin/python -m pip install -q --disable-pip-version-check -e . && touch $@

$(TEST_VENV)/installed: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'xgen needs Python 3.11 or newer: make PYTHON=/path/to/python'; exit 2; }
	$(PYTHON) -m venv $(TEST_VENV) && $(TEST_VENV)/bin/python -m pip install -q --disable-pip-version-check -e '.[dev,parity]' && touch $@
