# make run | test | bench | prove | lint: each sets up what it needs and can be the first command in a fresh clone.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test bench prove lint chromium clean

run: $(VENV)/.run
	@$(BIN)/python app.py $(ARGS)

test: $(VENV)/.test chromium
	@$(BIN)/python -m pytest -m "" $(ARGS)

bench: $(VENV)/.test
	@$(BIN)/python -m bench $(ARGS)

prove: $(VENV)/.test
	@$(BIN)/python -m kb.prove $(ARGS)

lint: $(VENV)/.test
	@$(BIN)/ruff check .
	@$(BIN)/mypy

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3-venv is missing; install it: apt-get install python3-venv" >&2; exit 1; }

# The stamps are renewed only after pip has succeeded, so an interrupted installation is taken up again.
$(VENV)/.run: requirements.txt | $(BIN)/python
	@echo "Installing requirements.txt into $(VENV) (the first time takes a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test: requirements-dev.txt requirements.txt | $(BIN)/python
	@echo "Installing requirements-dev.txt into $(VENV) (the first time takes a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run

# For the browser tests: an installed Chromium, or Debian's package when we may install one. Nothing else is downloaded.
chromium:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null 2>&1 && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "Installing Debian's chromium for the browser tests ..."; \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get install -qq -y --no-install-recommends chromium >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium >/dev/null; } && exit 0; \
	fi; \
	echo "NO CHROMIUM: the browser tests will be SKIPPED. Install it: sudo apt-get install chromium" >&2

clean:
	rm -rf $(VENV) index .pytest_cache .mypy_cache .ruff_cache .hypothesis
