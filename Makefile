# Plain verbs; CI calls nothing else. `make` alone prints this list.

VENV := .venv
BIN := $(VENV)/bin
# One of these is used, the first that is new enough, unless you say PYTHON=...
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
FAULT_TRIALS ?= 50
TEST_PROCESSES ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test check deployment lint types format contracts docs lock bench faults-full

help: ## Print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/local.stamp ## Start everything on this machine, with demo data; Ctrl-C stops it
	@$(BIN)/tekana run

# Flows break processes and look at the clock: they have the machine to themselves.
test: $(VENV)/dev.stamp ## Run the whole test suite, on servers and ports of its own
	$(BIN)/python -m pytest --ignore=tests/flows --ignore=tests/deploy --numprocesses=$(TEST_PROCESSES)
	$(BIN)/python -m pytest tests/flows

deployment: $(VENV)/dev.stamp ## Check what is deployed with the tools that read it; needs Debian's package prometheus
	$(BIN)/python -m pytest tests/deploy

check: lint types contracts deployment test ## Everything that must pass before a commit

lint: $(VENV)/dev.stamp ## Look for mistakes and foreign formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/dev.stamp ## Check the types, strictly
	$(BIN)/mypy

format: $(VENV)/dev.stamp ## Format the code and fix what can be fixed safely
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

contracts: $(VENV)/dev.stamp ## Check which layer may import which
	$(BIN)/lint-imports

docs: $(VENV)/dev.stamp ## Write the generated parts of the documentation, after a change of what they tell
	$(BIN)/python -m api.openapi docs/openapi.json
	$(BIN)/python -m api.webhook_page docs/webhooks.md
	$(BIN)/python -m monitoring

bench: $(VENV)/dev.stamp ## Measure on this machine; writes bench/latest.json
	$(BIN)/python -m bench

faults-full: $(VENV)/dev.stamp ## Break the running system many more times than `test` does; writes docs/faults.md
	FAULT_TRIALS=$(FAULT_TRIALS) FAULTS_TABLE=docs/faults.md $(BIN)/python -m pytest tests/flows

lock: $(VENV)/dev.stamp ## Write the three locks anew, after a change of pyproject.toml
	$(PIP) install uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra local --output-file requirements-local.lock
	$(LOCK) --extra local --extra dev --output-file requirements-dev.lock

# A stamp is as old as the last installation of its lock: a changed lock is installed, once.
$(VENV)/%.stamp: requirements-%.lock pyproject.toml | $(VENV)/pip.stamp
	@echo "Installing $< into $(VENV); the first time takes a minute or two ..."
	$(PIP) install --require-hashes --requirement $<
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/pip.stamp:
	@set -eu; \
	if $(PIP) --version >/dev/null 2>&1; then touch $@; exit 0; fi; \
	for candidate in $(PYTHONS); do \
		"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		if ! "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then \
			echo "$$candidate has no venv module; on Debian and Ubuntu: apt-get install python3-venv" >&2; \
			exit 1; \
		fi; \
		echo "Creating $(VENV) with $$("$$candidate" --version)"; \
		"$$candidate" -m venv $(VENV); \
		touch $@; \
		exit 0; \
	done; \
	echo "Python 3.11 or newer is needed; tried: $(PYTHONS). Name another with PYTHON=/path/to/python3" >&2; \
	exit 1
