# `make help` lists the targets.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help setup test lint lock

help: ## list the targets
	@sed -n "s/^\\([a-z-]*\\):.*## \\(.*\\)/  \\1\\t\\2/p" Makefile | expand -t 14

setup: ## make .venv with everything pinned
	@$(PYTHON) tools/setup.py

test: setup ## lint, types, imports and all tests, with one summary (ARGS="tests/engine -k name" for some)
	@.venv/bin/python tools/test.py $(ARGS)

lint: setup ## lint and format check only
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

lock: ## resolve requirements/dev.in again (needs uv; CONSTRAINTS=path of Airflow's constraints file)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -c $(CONSTRAINTS) requirements/dev.in -o requirements/lock.txt
