# Every command of the project; `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# without its bytecode kept, each start of Python compiles hundreds of modules anew: half of what `odh` then takes
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(READY) ## Make .venv from the hashed locks (a second time it does nothing)

$(READY): requirements-dev.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
		|| { echo "Python 3.11, 3.12 or 3.13 is needed; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	@if $(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-uv.lock; then \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps -r requirements-dev.lock && \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .; \
	else \
		echo "uv cannot be had here; installing with pip, which takes longer" && \
		$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-dev.lock && \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .; \
	fi
	@touch $@

.PHONY: demo
demo: setup ## The whole road on invented data, with no internet: portal, raw, bronze, tests, release, SQL
	@$(BIN)/python -m ingestion.sample.demo

.PHONY: airflow
airflow: setup ## Airflow on this machine, http://127.0.0.1:8080: everything in .airflow, the lake where ODH_LAKE says
	@airflow/laptop.sh

.PHONY: test
test: setup ## Unit, contract and integration tests that need no service
	@# in the order of the folders: the long modules have few tests, and xdist would leave them to the end
	$(BIN)/pytest -m "not services and not e2e_services" -n 2 --dist loadfile --no-loadscope-reorder -rs

.PHONY: test-integration
test-integration: setup ## The road on a real PostgreSQL and a real S3 server (installs Debian packages when root)
	INSTALL_SERVICES=1 $(BIN)/pytest -m services

.PHONY: test-e2e
test-e2e: setup ## A real scheduler on a real PostgreSQL, REST, mail and webhook (installs Debian packages when root)
	INSTALL_SERVICES=1 $(BIN)/pytest -m e2e_services -rs

.PHONY: bench-ingest
bench-ingest: setup .venv-bench/.ready ## CSV to parquet beside DuckDB, pandas and dlt: 10 minutes, 4 GB of disk (ARGS="--rows 100000")
	.venv-bench/bin/python -m benchmarks.ingest $(ARGS)

.PHONY: bench-warehouse
bench-warehouse: setup ## Write-back, released reads, 1,000 commits, an idle run: 4 minutes (ARGS="--rows 100000 --commits 50")
	$(BIN)/python -m benchmarks.warehouse $(ARGS)

.PHONY: bench-push
bench-push: setup ## Pushed records: durable and released, beside a request that does nothing: 3 minutes
	$(BIN)/python -m benchmarks.api_ingest $(ARGS)

.PHONY: bench-sql
bench-sql: setup ## What a statement costs through POST /sql, and what holds its memory: 1 minute (ARGS="--rows 100000")
	$(BIN)/python -m benchmarks.sql $(ARGS)

.PHONY: bench-read
bench-read: setup ## Pages beside a request that does nothing, exports beside a plain file: 5 minutes, 4 GB of disk
	$(BIN)/python -m benchmarks.api $(ARGS)

.PHONY: bench-api
bench-api: bench-read bench-push bench-sql ## All of the gateway: the three above, one after the other

.venv-bench/.ready: requirements-bench.lock
	$(PYTHON) -m venv --clear .venv-bench
	$(BIN)/uv pip install --quiet --python .venv-bench/bin/python --require-hashes --no-deps -r requirements-bench.lock
	@touch $@

.PHONY: lint
lint: setup ## Style, types, import contracts, SQL style
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint-python lint-sql

.PHONY: lint-python
lint-python: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: lint-sql
lint-sql: setup
	$(BIN)/sqlfluff lint --disable-progress-bar dbt_project/models dbt_project/tests

.PHONY: format
format: setup ## Rewrite the code in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: check
check: lint test ## Exactly what CI runs

.PHONY: dbt-docs
dbt-docs: setup ## Document silver and gold in one page, dbt_project/target/static_index.html
	cd dbt_project && DO_NOT_TRACK=1 ../$(BIN)/dbt --quiet docs generate --static --empty-catalog --profiles-dir . --target private
	@echo "Open dbt_project/target/static_index.html"

.PHONY: schema
schema: setup ## Write catalog/feed.schema.json anew from the feed model
	$(BIN)/python -m catalog.registry > catalog/feed.schema.json

.PHONY: lock
lock: setup ## Compile the locks anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --extra dev -c requirements.lock \
		-o requirements-dev.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --extra bench -c requirements.lock \
		-o requirements-bench.lock pyproject.toml
	echo uv | $(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate \
		-o requirements-uv.lock -

.PHONY: clean
clean: ## Remove the environment and caches, never the lake
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache dbt_project/target dbt_project/logs
