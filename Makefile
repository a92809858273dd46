# Two commands do everything on a machine with Python 3.11+, pip and make: `make quickstart` and `make test`.
PYTHON ?= python3
VENV ?= .venv
WORKSPACE ?= results
BIN := $(VENV)/bin
# Processes that run tests at the same time; `auto` is one per core.
WORKERS ?= auto
# Simulated sweeps of `make simulate`.
SEEDS ?= 1000
# Modules of `make mutate`; none: all of them.
MODULES ?=
INSTALLED := $(VENV)/.installed

.PHONY: help install quickstart test lint types layers unit test-slow test-gpu simulate mutate bench clean

help:
	@echo "make quickstart   install, run the quickstart sweep (about 5 minutes on two cores), write its report"
	@echo "make test         install, then lint, types, import layers and tests"
	@echo "make test-slow    the tests that take minutes"
	@echo "make test-gpu     the tests that need a CUDA device"
	@echo "make simulate     sweeps with faults on a fake clock: SEEDS=n of them"
	@echo "make mutate       small changes of the driver and the ledger: do the tests notice each one?"
	@echo "make bench        the benchmarks; each prints ratios measured in one run"
	@echo "make clean        remove $(VENV)"

# The constraints are the tested set, exactly; pyproject.toml keeps ranges. Installed again only when one of them changes.
# pip reads dependency groups from version 25.1 on; a new venv may have an older one.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt --group dev --editable .
	@touch $@

install: $(INSTALLED)

quickstart: $(INSTALLED)
	$(BIN)/sweeps run quickstart --workspace $(WORKSPACE)
	$(BIN)/sweeps report quickstart --workspace $(WORKSPACE)
	@echo
	@echo "Report:   $(abspath $(WORKSPACE))/reports/quickstart/report.html"
	@echo "MLflow:   $(BIN)/sweeps ui --workspace $(WORKSPACE)"

test: lint types layers unit

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/basedpyright

layers: $(INSTALLED)
	$(BIN)/lint-imports

unit: $(INSTALLED)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

test-gpu: $(INSTALLED)
	$(BIN)/pytest -m gpu

simulate: $(INSTALLED)
	$(BIN)/python -m tests.simulation --seeds $(SEEDS)

mutate: $(INSTALLED)
	$(BIN)/pip install --quiet --constraint constraints.txt --group mutate
	$(BIN)/python -m tests.mutation $(MODULES)

bench: $(INSTALLED)
	@for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean:
	rm -rf $(VENV)
