# make serve: install what is missing, then run. make test: every check but the slow ones.
# Both are quick the second time. make test-all: the slow ones too.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
HOST ?= 127.0.0.1

.PHONY: serve install test test-all check clean
.DELETE_ON_ERROR:

serve: install
	@exec $(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

install: $(VENV)/installed node_modules/.installed
	@$(BIN)/python manage.py setup

test: check
	$(BIN)/pytest

test-all: check
	$(BIN)/pytest -m 'not long'

check: $(VENV)/installed-test node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	npm run --silent check

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python was not found. Install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$$($(PYTHON) --version) is too old. Install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	@echo "Installing Python packages (some minutes the first time) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing the test tools ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

node_modules/.installed: package-lock.json
	@command -v npm >/dev/null || { echo "npm was not found. Install Node.js 20 or newer; it brings npm."; exit 1; }
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
	  || { echo "Node.js $$(node --version) is too old. Install version 20 or newer."; exit 1; }
	@echo "Installing JavaScript packages ..."
	@npm ci --silent --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
