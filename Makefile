# Every target stands alone on a fresh clone: python3 and make are all it needs.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check
# Tests run in this many processes at most, each with one thread of linear algebra:
# threads of several processes on the same cores only get into each other's way.
WORKERS ?= 4
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Silences a notice of mkdocs-material about another project's future.
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check bench gpu fuzz docs format clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.cli ## Fit the handwritten digits and a planted softmax regression, write a report
	$(VENV)/bin/softunit demo

test: $(VENV)/.dev ## Run every test, with coverage
	$(ONE_THREAD) $(PY) -m pytest -n auto --maxprocesses $(WORKERS) --dist worksteal --cov $(ARGS)

check: $(VENV)/.dev ## Format, lint, types, import contract, documentation
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-logo
	$(PY) -m mkdocs build --strict --quiet

bench: $(VENV)/.bench ## Time softunit and its peers side by side
	$(VENV)/bin/softunit bench $(or $(ARGS),--suite full)

gpu: $(VENV)/.gpu ## Run GPU tests and benchmark; say so where there is none
	$(PY) -m pytest tests/gpu -n 0 -rs
	$(PY) -m benchmarks.gpu $(or $(ARGS),--json gpu.json)

fuzz: $(VENV)/.fuzz ## Fuzz the readers, ten minutes each
	$(PY) -m tests.fuzz.run $(or $(ARGS),--seconds 600)

docs: $(VENV)/.dev ## Serve the documentation on this machine
	$(PY) -m mkdocs serve

format: $(VENV)/.dev ## Put the code in the house format
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

clean: ## Remove what the other targets made
	rm -rf $(VENV) site dist .coverage .coverage.* .hypothesis .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "softunit needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make a virtual environment: install python3-venv" \
			"(Debian, Ubuntu: apt-get install python3-venv), or name another Python:" \
			"make PYTHON=/path/to/python3.11" >&2; \
		exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.bench: pyproject.toml $(VENV)/.made
	$(PIP) install --quiet --editable '.[bench]'
	@touch $@

$(VENV)/.gpu: pyproject.toml $(VENV)/.made
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(VENV)/.dev $(VENV)/.cli

$(VENV)/.fuzz: pyproject.toml .ci/constraints.txt $(VENV)/.made
	$(PIP) install --quiet --constraint .ci/constraints.txt --editable '.[dev,fuzz]'
	@touch $@ $(VENV)/.dev $(VENV)/.cli

# Stamps: installed again only when pyproject.toml changes. The source is used where it lies.
# Checks and tests run with the PyTorch of .ci/constraints.txt; `make gpu` takes the newest, which
# brings its GPU libraries.
$(VENV)/.cli: pyproject.toml $(VENV)/.made
	$(PIP) install --quiet --editable '.[cli]'
	@touch $@

$(VENV)/.dev: pyproject.toml .ci/constraints.txt $(VENV)/.made
	$(PIP) install --quiet --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/.cli
