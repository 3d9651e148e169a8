# make serve       installs what is missing, then runs the site
# make test        runs the linters, the type checks and every test but the slow ones
# make test-all    runs the slow tests, too: browsers, real networks, a running site
# make lock        renews constraints.txt with the newest versions that pyproject.toml allows

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt
PORT ?= 8000
HOST ?= 127.0.0.1

.PHONY: serve install test test-all check lock clean
.DELETE_ON_ERROR:

serve: install
	@exec $(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

install: $(VENV)/installed node_modules/.installed
	@$(BIN)/python manage.py setup

test: check
	npm run --silent --if-present test
	$(BIN)/pytest

test-all: check
	npm run --silent --if-present test
	$(BIN)/pytest -m 'not long'

check: $(VENV)/installed-test node_modules/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run
	npm run --silent check

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "Python was not found. Install Python 3.11 or newer."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$$($(PYTHON) --version) is too old. Install Python 3.11 or newer, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "Python cannot make virtual environments. On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Making the virtual environment $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing Python packages (some minutes the first time) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "Installing the test tools ..."
	@$(PIP) --editable '.[test]'
	@touch $@

node_modules/.installed: package-lock.json
	@command -v npm >/dev/null || { echo "npm was not found. Install Node.js 20 or newer; it brings npm."; exit 1; }
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
	  || { echo "Node.js $$(node --version) is too old. Install version 20 or newer."; exit 1; }
	@echo "Installing JavaScript packages ..."
	@npm ci --silent --no-audit --no-fund
	@touch $@

# ONNX Runtime is two packages of one version, of which pyproject.toml and the Dockerfile choose one.
lock: $(VENV)/bin/python
	rm -rf build/lock
	$(BIN)/python -m venv build/lock
	build/lock/bin/pip install --quiet --disable-pip-version-check --editable '.[postgres,redis,s3,test]'
	grep '^#' constraints.txt > build/lock/constraints.txt
	build/lock/bin/pip freeze --exclude-editable \
	  | sed '/^onnxruntime/{s/^onnxruntime-gpu/onnxruntime/;p;s/^onnxruntime/onnxruntime-gpu/;}' >> build/lock/constraints.txt
	mv build/lock/constraints.txt constraints.txt
	rm -rf build/lock

clean:
	rm -rf $(VENV) node_modules build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
