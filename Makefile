# One command each. Everything runs inside .venv, which is made on first use and brought up to date
# whenever pyproject.toml or requirements.lock changes; nothing is installed outside it except the
# Debian packages named on screen. Needs: python3 (3.11 or newer) and make.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory --no-builtin-rules
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
# Names this folder: an environment that was copied or moved with the checkout still points to the old place
STAMP := $(VENV)/.installed-$(shell pwd -P | cksum | cut -d ' ' -f 1)
# Empty means everything. Example: make test ARGS="tests/unit -x"
ARGS ?=
# Test files run side by side, each process with servers of its own; PARALLEL= runs one after the other
PARALLEL ?= -n 3 --dist loadfile

.PHONY: help demo dev test chaos situations mutations bench check requirements contract docs lock deploy-check release audit

help: ## List the commands (this is the default)
	@awk -F ':[^#]*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: $(STAMP) ## Tell the whole story on a private stack: connect, import, refresh, push, one failure and its replay
	@$(BIN)/python -m worker.demo $(ARGS)

dev: $(STAMP) ## Start RabbitMQ, Postgres, the local e-conomic and the worker, and keep them up until Ctrl-C
	@$(BIN)/python -m worker dev $(ARGS)

test: $(STAMP) ## Run every test; ARGS="tests/unit -x" narrows it
	@$(BIN)/python -m pytest $(PARALLEL) $(ARGS)

chaos: $(STAMP) ## Kill, restart and spoil everything for minutes, then count; ARGS="--events 300 --seconds 30" shortens it
	@$(BIN)/python -m tests.chaos $(ARGS)

situations: $(STAMP) ## Which tests play which situation; fails when one has none or a named test does not exist
	@$(BIN)/python -m tests.situations

mutations: $(STAMP) ## Remove each guard against loss and doubles in a copy; fails when no test notices
	@$(BIN)/python -m tests.mutations $(ARGS)

bench: $(STAMP) .venv-peers/.installed ## Measure the event path beside FastStream, Celery and bare aio-pika; SECTION=events ARGS="--rounds 1"
	@$(BIN)/python -m tests.benchmarks $(SECTION) $(ARGS)

.venv-peers/.installed: tests/benchmarks/peers.txt
	@$(BIN)/python -m venv --clear .venv-peers
	@.venv-peers/bin/pip install --quiet --disable-pip-version-check -r tests/benchmarks/peers.txt
	@touch $@

check: $(STAMP) ## Format, lint, types, import contracts, the event contract, and that reference pages and requirements.lock are current
	@echo "format"; $(BIN)/ruff format --check --quiet . || { echo "  to repair: $(BIN)/ruff format ."; exit 1; }
	@echo "lint"; $(BIN)/ruff check --quiet .
	@echo "types"; $(BIN)/mypy --no-error-summary
	@echo "import contracts"; $(BIN)/lint-imports > $(VENV)/lint-imports.log 2>&1 || { cat $(VENV)/lint-imports.log; exit 1; }
	@echo "contract"; $(BIN)/python -m events.contract --check
	@echo "reference pages"; $(BIN)/python -m deploy.docs.generate --check
	@echo "lock file"; $(BIN)/python deploy/lock.py --check
	@echo "all checks passed"

requirements: $(STAMP) ## Which tests prove which requirement; fails when a promised one has none
	@$(BIN)/python -m tests.requirements_table

contract: $(STAMP) ## Write the AsyncAPI document and the JSON Schemas in deploy/contract anew
	@$(BIN)/python -m events.contract

docs: $(STAMP) ## Write the reference pages in deploy/docs/reference anew
	@$(BIN)/python -m deploy.docs.generate

lock: $(STAMP) ## Write requirements.lock anew from pyproject.toml (needs a package index)
	@$(BIN)/python deploy/lock.py

deploy-check: $(STAMP) .venv-tools/.installed ## Check Dockerfile, compose file, Kubernetes and scripts, and run the image's steps without an engine
	@$(BIN)/python -m deploy.checks $(ARGS)

release: $(STAMP) .venv-tools/.installed ## Build the wheel twice, compare, try it in an empty environment; bill of materials and licences; all into dist/
	@$(BIN)/python -m deploy.release

audit: $(STAMP) .venv-tools/.installed ## Known vulnerabilities of what the worker runs on; fails when there is one, or nobody to ask
	@$(BIN)/python -m deploy.supply_chain $(ARGS)

.venv-tools/.installed: deploy/tools.lock
	@$(BIN)/python -m venv --clear .venv-tools
	@.venv-tools/bin/pip install --disable-pip-version-check -qq --require-hashes -r deploy/tools.lock
	@touch $@

$(STAMP): pyproject.toml requirements.lock deploy/venv.sh
	@sh deploy/venv.sh $(VENV)
	@rm -f $(VENV)/.installed*
	@touch $@
