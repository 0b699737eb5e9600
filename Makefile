# Plain verbs; CI calls nothing else. `make` alone prints this list.

VENV := .venv
BIN := $(VENV)/bin
# One of these is used, the first that is new enough, unless you say PYTHON=...
PYTHON ?=
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
OPERATION_TRIALS ?= 10
EXAMPLES ?= 1000
FUZZ_SECONDS ?= 600
SEED ?= 1
TEST_PROCESSES ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Where Python may not keep what it compiled, each of some hundred processes of the tests compiles all of our code again.
unexport PYTHONDONTWRITEBYTECODE

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate pyproject.toml

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test shared alone check ready lint types format contracts secrets docs lock
.PHONY: bench bench-quick bench-full faults faults-full attacks attacks-full operations
.PHONY: up down logs deployment rollout migrations workflows audit sbom image scan publish smoke release rollback

help: ## Print this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

run: $(VENV)/local.stamp ## Start everything on this machine, with demo data; Ctrl-C stops it
	@$(BIN)/tekana run

test: $(VENV)/dev.stamp ## Run the whole test suite, on servers and ports of its own
	@$(MAKE) --no-print-directory shared
	@$(MAKE) --no-print-directory alone

shared: $(VENV)/dev.stamp
	$(BIN)/python -m pytest --ignore=tests/programs --ignore=tests/operations -m "not alone" --numprocesses=$(TEST_PROCESSES)

# Flows that break processes and look at the clock have the machine to themselves.
alone: $(VENV)/dev.stamp
	$(BIN)/python -m pytest tests/flows -m alone

# Tests wait half of their time, which is enough for all the other checks.
check: lint contracts ## Everything that must pass before a commit
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line shared types workflows secrets deployment
	@$(MAKE) --no-print-directory alone

ready: $(VENV)/dev.stamp $(BIN)/kustomize $(BIN)/actionlint $(BIN)/gitleaks ## Install all that `check` needs and this folder can hold

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

migrations: $(VENV)/dev.stamp ## Turn the schema up, down and up again, empty and filled, and look for drift
	$(BIN)/python -m pytest tests/db/test_schema.py

# Needs Go, which `make test` does not.
workflows: $(VENV)/dev.stamp $(BIN)/actionlint ## Check what CI does
	$(BIN)/actionlint
	$(BIN)/zizmor --offline --quiet .github
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml

secrets: $(VENV)/dev.stamp $(BIN)/gitleaks ## Look for secrets in all commits and in what may become one
	@GITLEAKS=$(BIN)/gitleaks sh deploy/leaks.sh
	$(BIN)/python -m pytest tests/programs/leaks

# Each lock was resolved by itself.
audit: $(VENV)/dev.stamp ## Ask for known vulnerabilities of everything in the locks; AUDIT_SERVICE=osv asks OSV instead of PyPI
	@PIP_AUDIT=$(BIN)/pip-audit sh deploy/audit.sh requirements-tracing.lock requirements-local.lock requirements-dev.lock

# A lock says what there is and not who needs it, of which the tool would warn.
SBOM ?= var/sbom.cdx.json
sbom: $(VENV)/dev.stamp ## List what the image is made of, as CycloneDX
	@mkdir -p $(dir $(SBOM))
	$(BIN)/python -W ignore::UserWarning -m cyclonedx_py requirements requirements-tracing.lock --pyproject pyproject.toml --output-reproducible \
		--output-format JSON --output-file $(SBOM)

docs: $(VENV)/dev.stamp ## Write the generated parts of the documentation, after a change of what they tell
	$(BIN)/python -m api.openapi docs/openapi.json
	$(BIN)/python -m api.webhook_page docs/webhooks.md
	$(BIN)/python -m monitoring
	$(BIN)/python -m bench.blocks
	$(BIN)/python -m tests.flows.figures docs/reliability.md

# Containers. PYTHON_DIGEST pins the image's base; docker reads it from the environment.
IMAGE ?= tekana:local
export IMAGE BASE_URL ENVIRONMENT AUDIT_SERVICE

image: ## Build IMAGE (tekana:local)
	docker build $(if $(PYTHON_DIGEST),--build-arg PYTHON_DIGEST) --tag "$$IMAGE" .

# What has no fix yet is no reason to wait: there is nothing that we could do.
scan: $(BIN)/grype ## Look for known vulnerabilities in IMAGE, the system's packages included
	$(BIN)/grype --fail-on high --only-fixed "$$IMAGE"

publish: ## Push IMAGE to its registry; print its name and digest
	@docker push --quiet "$$IMAGE" >&2
	@docker image inspect --format '{{index .RepoDigests 0}}' "$$IMAGE"

release: $(VENV)/local.stamp ## Roll ENVIRONMENT to IMAGE@sha256:..., test it at BASE_URL, roll it back if that fails
	sh deploy/kubernetes/release.sh

rollback: ## Take every deployment of ENVIRONMENT back to an earlier IMAGE@sha256:...
	sh deploy/kubernetes/release.sh back

smoke: $(VENV)/local.stamp ## Register, pay and read on a running system: BASE_URL=https://..., its API key in SMOKE_KEY
	@$(BIN)/tekana smoke $(if $(BASE_URL),--api-url "$$BASE_URL")

# Parts that fail are named; what was measured is written all the same.
measured = $(call needed,wrk,wrk); status=0; $(BIN)/python -m bench $(1) || status=$$?; \
	$(BIN)/python -m bench.plot && $(BIN)/python -m bench.blocks && exit $$status

bench: $(VENV)/dev.stamp ## Measure on this machine in 20 minutes; writes bench/latest.json, the plots, and what pages say
	$(call measured,)

# Short runs say which way it goes; what the published figures are, `bench` says.
bench-quick: $(VENV)/dev.stamp ## The same with the headline, half load, idle and hot wallets, once, in two minutes
	$(call measured,--only quick --rounds 1 --seconds 8 --bare-seconds 3 --idle-transfers 100 --customers 2000)

bench-full: $(VENV)/dev.stamp ## The same with the parts that take long: growth, import, soak, overload
	$(call measured,--only long)

# SEED=... draws as an earlier run did, ONLY=... is `pytest -k`, FAULT_TRIALS=... of each row instead of the table's number.
trials = $(BIN)/python -m pytest tests/flows $(if $(ONLY),-k "$(ONLY)")

faults: $(VENV)/dev.stamp ## Break the running system in each way, a few times, in minutes; SEED=... draws the same again
	$(trials)

faults-full: $(VENV)/dev.stamp ## The same as often as it takes to be sure; ONLY=... tries some rows; writes docs/reliability.md
	$(call needed,faketime,faketime)
	$(call needed,nft,nftables)
	FAULTS=full FAULTS_KEPT=tests/flows/latest.json $(trials); status=$$?; \
		$(BIN)/python -m tests.flows.figures docs/reliability.md && exit $$status

attacks: $(VENV)/dev.stamp ## Attack the API, as every run of all tests does, in minutes
	$(BIN)/python -m pytest tests/attacks

# SEED repeats what a run said that it used.
attacks-full: $(VENV)/dev.stamp ## Attack the API for hours: EXAMPLES of each operation, FUZZ_SECONDS for each parser, SEED
	EXAMPLES=$(EXAMPLES) FUZZ_SECONDS=$(FUZZ_SECONDS) SEED=$(SEED) $(BIN)/python -m pytest tests/attacks

# Containers, for whoever has Docker with its Compose plugin. PROFILE=observability adds what watches them.
COMPOSE := docker compose $(if $(PROFILE),--profile $(PROFILE))

up: .env ## Start everything in containers; PROFILE=observability adds Prometheus, Grafana, Jaeger, Loki
	$(COMPOSE) up --build --detach --wait

down: ## Stop the containers; their data stays
	docker compose --profile '*' down

logs: ## Follow what the containers say
	docker compose --profile '*' logs --follow --tail 100

.env:
	@umask 077; sh deploy/environment.sh > $@
	@echo "Made .env with new secrets; keep a copy of it safe."

# These need programs that `make test` does not.
needed = @PATH="$$PATH:/usr/sbin"; command -v $(1) >/dev/null || \
	{ echo "$(1) is missing; on Debian and Ubuntu: apt-get install $(2)" >&2; exit 1; }

deployment: $(VENV)/dev.stamp $(BIN)/kustomize ## Check what is deployed: image, compose, nginx, manifests
	$(call needed,nginx,nginx-light)
	$(call needed,promtool,prometheus)
	$(call needed,wrk,wrk)
	$(BIN)/hadolint Dockerfile
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/compose.tls.yml
	@if docker compose version >/dev/null 2>&1; then \
		sh deploy/environment.sh >$(VENV)/made.env; docker compose --env-file $(VENV)/made.env config --quiet; fi
	$(BIN)/python -m pytest --ignore=tests/programs/rollout --ignore=tests/programs/leaks tests/programs

rollout: $(VENV)/dev.stamp ## Kill and roll two API processes behind a real nginx, under load; takes minutes
	$(call needed,nginx,nginx-light)
	$(BIN)/python -m pytest tests/programs/rollout

# Built from their sources, which Go checks against its checksum database: PyPI and Debian have no packages of them.
KUSTOMIZE_VERSION := v5.7.1
ACTIONLINT_VERSION := v1.7.12
GRYPE_VERSION := v0.121.2
GITLEAKS_VERSION := v8.30.1
GO_INSTALL = @command -v go >/dev/null || { echo "go is missing, which builds $(@F); on Debian 13 and Ubuntu: apt-get install golang-go" >&2; exit 1; }; \
	mkdir -p $(BIN); GOBIN=$(abspath $(BIN)) go install

$(BIN)/kustomize: | $(VENV)/pip.stamp
	$(GO_INSTALL) sigs.k8s.io/kustomize/kustomize/v5@$(KUSTOMIZE_VERSION)

$(BIN)/actionlint: | $(VENV)/pip.stamp
	$(GO_INSTALL) github.com/rhysd/actionlint/cmd/actionlint@$(ACTIONLINT_VERSION)

$(BIN)/grype: | $(VENV)/pip.stamp
	$(GO_INSTALL) github.com/anchore/grype/cmd/grype@$(GRYPE_VERSION)

$(BIN)/gitleaks: | $(VENV)/pip.stamp
	$(GO_INSTALL) github.com/zricethezav/gitleaks/v8@$(GITLEAKS_VERSION)

# Needs Debian's pgbouncer and rabbitmq-server, besides what everything needs.
operations: $(VENV)/dev.stamp ## Try poolers, brokers, backups and restores for real; writes docs/operations-figures.md
	OPERATION_TRIALS=$(OPERATION_TRIALS) OPERATIONS_TABLE=docs/operations-figures.md $(BIN)/python -m pytest tests/operations

lock: $(VENV)/dev.stamp ## Write the locks anew, after a change of pyproject.toml
	$(PIP) install uv
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra tracing --output-file requirements-tracing.lock
	$(LOCK) --extra local --output-file requirements-local.lock
	$(LOCK) --extra local --extra tracing --extra dev --output-file requirements-dev.lock

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
