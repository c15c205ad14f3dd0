# `make help` lists the targets.
PYTHON ?= python3
.DEFAULT_GOAL := help
.PHONY: help setup demo demo-down demo-psql mwaa screenshots bench test lint lock

help: ## list the targets
	@sed -n "s/^\\([a-z-]*\\):.*## \\(.*\\)/  \\1\\t\\2/p" Makefile | expand -t 14

setup: ## make .venv with everything pinned
	@$(PYTHON) -E -s tools/setup.py

demo: setup ## PostgreSQL, a stand-in for AWS and Airflow on this machine: one night, proved (DEMO_EXIT=1 ends by itself)
	@.venv/bin/python -E -s -m local_aws.demo up

demo-down: ## end a demo that runs, or what a killed one left
	@.venv/bin/python -E -s -m local_aws.demo down

demo-psql: ## open the demo's database (ARGS="-c 'select 1'")
	@.venv/bin/python -E -s -m local_aws.demo psql -- $(ARGS)

mwaa: ## dist/mwaa: plugins.zip, dags and requirements.txt for Amazon MWAA
	@$(PYTHON) -E -s tools/mwaa.py

screenshots: setup ## the README's pictures, of the demo that runs now (needs Chromium)
	@.venv/bin/python tools/screenshots.py

bench: setup ## measure against peers, into benchmarks/RESULTS.md (some ten minutes)
	@test -x .venv-bench/bin/python || { $(PYTHON) -m venv .venv-bench && .venv-bench/bin/pip install -q -r benchmarks/peers.txt; }
	@.venv/bin/python benchmarks/run.py

test: setup ## lint, types, imports and all tests, with one summary (ARGS="tests/engine -k name" for some)
	@.venv/bin/python tools/test.py $(ARGS)

lint: setup ## lint and format check only
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .

lock: ## resolve requirements/dev.in again (needs uv; CONSTRAINTS=path of Airflow's constraints file)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -c $(CONSTRAINTS) requirements/dev.in -o requirements/lock.txt
