# The same commands by hand and in CI. Nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help setup demo test test-slow check quality verdicts bench soak train clean
help:           ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

setup: $(READY) ## a virtual environment with everything in it

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cleanplate needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(READY)  ## draw sample scenes and clean them, offline; the result is in demo/result
	$(BIN)/cleanplate demo demo/result

test: $(READY)  ## the tests, and ruff and mypy
	$(BIN)/python -m tests.flows.browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile

test-slow: $(READY) ## the tests that take minutes
	$(BIN)/python -m tests.flows.browser
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,ray]"
	$(BIN)/python -m pytest -m slow

check: $(READY) ## ruff and mypy alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

quality: $(READY) ## the bundled models on 200 unseen scenes beside simple fills; sheets to look at in demo/quality
	$(BIN)/python -m tests.benchmarks.quality

verdicts: $(READY) ## whether failed removals are told from good ones, what --tries brings, and what a reviewer meets first
	$(BIN)/python -m tests.benchmarks.gate
	$(BIN)/python -m tests.benchmarks.ladder
	$(BIN)/python -m tests.benchmarks.planted

bench: $(READY) ## counts, equality, overlap, speed beside a plain diffusers loop, and a GPU's share (BENCH="--json FILE")
	$(BIN)/python -m tests.benchmarks.bench $(BENCH)

soak: $(READY)  ## thousands of pictures and a hundred random faults without a model, and the account at the end
	$(BIN)/python -m tests.benchmarks.soak

train: $(READY) ## train the bundled checkpoints again, from a seed; hours without a GPU, resumes (QUICK=--quick: a minute)
	$(BIN)/python -m removal.bundled.train $(QUICK)

clean:          ## remove the virtual environment and the demo
	rm -rf $(VENV) demo
