# The same commands by hand and in CI. Nothing but Python 3.11+ and make is needed.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
DEMO   := $(VENV)/.ready-demo
READY  := $(VENV)/.ready
# The releases that the tests ran on; CONSTRAINTS= takes the newest.
CONSTRAINTS ?= tests/constraints.txt
PIP_INSTALL = $(BIN)/python -m pip install --disable-pip-version-check $(addprefix --constraint ,$(CONSTRAINTS)) $(UPGRADE)
CHECKS = $(BIN)/ruff check . || failed="$$failed ruff"; \
	$(BIN)/ruff format --check . || failed="$$failed format"; \
	$(BIN)/mypy || failed="$$failed mypy"; \
	test -z "$$failed" || { echo "failed: $$failed"; exit 1; }

.PHONY: help setup demo test test-slow test-newest check constraints fresh
.PHONY: quality verdicts bench soak train clean
help:           ## this list
	@grep -hE '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

setup: $(READY) ## a virtual environment with everything in it

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cleanplate needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@$(PYTHON) tests/setup/system.py libraries
	$(PYTHON) -m venv $(VENV)

$(DEMO): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP_INSTALL) --editable .
	touch $@

$(READY): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP_INSTALL) --editable '.[dev]'
	touch $(DEMO) $@

demo: $(DEMO)   ## clean two photos and 12 drawn scenes, offline; results in demo/result and demo/photos
	$(BIN)/cleanplate demo demo/result

test: $(READY)  ## the tests, then ruff and mypy; fails at the end if any of them failed
	@$(PYTHON) tests/setup/system.py browser || echo "the tests in a browser will fail"
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist loadfile || failed=tests; \
	$(CHECKS)

test-slow: $(READY) ## the tests that take minutes
	@$(PYTHON) tests/setup/system.py browser || echo "the tests in a browser will fail"
	$(PIP_INSTALL) --quiet --editable ".[dev,ray]"
	$(BIN)/python -m pytest -m slow

test-newest:    ## the tests on the newest releases, without the constraints, in a separate environment
	rm -f .venv-newest/.ready
	$(MAKE) test VENV=.venv-newest CONSTRAINTS= UPGRADE="--upgrade --upgrade-strategy eager"

check: $(READY) ## ruff and mypy alone
	@$(CHECKS)

constraints: $(READY) ## resolve tests/constraints.txt again, for every Python and extra (NEWER=--upgrade: to the newest)
	$(PIP_INSTALL) --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --no-annotate --strip-extras \
	  --custom-compile-command "make constraints" --quiet $(NEWER) --output-file tests/constraints.txt

fresh:          ## both commands in an empty Debian 12 and 13, as for a new user; root only (FRESH="--help")
	@$(PYTHON) -m tests.setup.fresh $(FRESH)

quality: $(READY) ## the bundled models on 200 unseen scenes beside simple fills; sheets to look at in demo/quality
	$(BIN)/python -m tests.benchmarks.quality
	$(BIN)/python -m tests.benchmarks.quality_photos

verdicts: $(READY) ## how well failed removals are told from good ones, what --tries gains, and what a reviewer sees first
	$(BIN)/python -m tests.benchmarks.gate
	$(BIN)/python -m tests.benchmarks.gate_photos
	$(BIN)/python -m tests.benchmarks.ladder
	$(BIN)/python -m tests.benchmarks.planted

bench: $(READY) ## counts, equality, overlap, speed beside a plain diffusers loop, and a GPU's share (BENCH="--json FILE")
	$(BIN)/python -m tests.benchmarks.bench $(BENCH)

soak: $(READY)  ## thousands of pictures and a hundred random faults, without a model, and the account at the end
	$(BIN)/python -m tests.benchmarks.soak

train: $(READY) ## train the bundled checkpoints again, from a seed; hours without a GPU, resumes (QUICK=--quick: a minute)
	$(BIN)/python -m tests.training $(QUICK)

clean:          ## remove the virtual environment and the demo
	rm -rf $(VENV) .venv-newest demo
