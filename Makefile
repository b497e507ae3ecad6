# lob_pipeline: every target works from a fresh clone with Python 3.11+ and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY = 1
export DO_NOT_TRACK = 1
export DBT_SEND_ANONYMOUS_USAGE_STATS = false
export GX_ANALYTICS_ENABLED = false
EDGE ?= 0

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || { echo "making $(VENV) with $$($(PYTHON) --version)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the pinned dependencies (about two minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@$(BIN)/python -m lob_pipeline.warm
	@touch $(STAMP)

.PHONY: install demo test lint ui bench soak gen gen-check clean help
install: $(STAMP) ## make .venv and install the pinned dependencies

demo: $(STAMP) ## simulate a market, run every stage, print certificates and the first page (EDGE=bps plants an edge)
	@$(BIN)/python -m lob_pipeline.demo --edge-bps $(EDGE)

test: $(STAMP) lint gen-check ## lint and the whole test suite
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(STAMP) ## ruff, types, import contracts
	@$(BIN)/ruff check lob_pipeline lob_pipeline_tests
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || { cat .lint-imports.log; exit 1; }; rm -f .lint-imports.log

gen: $(STAMP) ## write the derived files (docs, dbt schemas) from the registries
	@$(BIN)/python -m lob_pipeline.gen

gen-check: $(STAMP) ## fail when a derived file is stale
	@$(BIN)/python -m lob_pipeline.gen --check

ui: $(STAMP) ## the Dagster webserver and daemon on loopback
	@$(BIN)/python -m lob_pipeline.ui

bench: $(STAMP) ## every speed figure as a ratio against a peer, in one run; writes bench/results.json
	@$(BIN)/python -m lob_pipeline_tests.bench

soak: $(STAMP) ## the recorder against the local exchange for 30 minutes, everything going wrong (SOAK_SECONDS, SOAK_RATE, SOAK_KILLS, SOAK_SEED)
	@$(BIN)/python -m lob_pipeline_tests.soak

clean: ## remove the environment and everything the demo made
	rm -rf $(VENV) data .dagster bench/.venv bench/results.json dbt_features/target

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
