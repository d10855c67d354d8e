# Needs Python >= 3.11 with venv, and make. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
# Another Python than the one in .venv gets an environment of its own: make test PYTHON=python3.13
ifeq ($(origin PYTHON),command line)
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
VENV := .venv$(if $(wildcard .venv/lib),$(if $(wildcard .venv/lib/python$(VERSION)),,-$(VERSION)))
endif
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help demo compare dev test newest lint audit sbom snapshots dashboards lock secrets verify clean publish report screenshots
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Run the console and the service in both modes, with traffic (ARGS="--for 20 --json")
	@$(BIN)/python manage.py demo $(ARGS)

compare: $(VENV)/.installed-dev ## Measure off, collector, direct and others on this machine (ARGS="--quick" for eight minutes)
	@$(BIN)/python manage.py compare $(ARGS)

dev: $(VENV)/.installed-dev ## Prepare this checkout for work: everything that tests, lint and compare need
	@echo "Ready: make test, make lint, make compare; or . $(BIN)/activate"

# Only tests marked `timing` are run once more after a failure, and listed as RERUN (tests/support/timing.py).
test: $(VENV)/.installed-dev ## Pass every test (ARGS="-k metrics" for some)
	@$(BIN)/python -m pytest --numprocesses auto --dist worksteal $(ARGS)

# Not the locked releases: whoever installs the package gets these.
UV = $(or $(wildcard .venv/bin/uv),$(BIN)/uv)
newest: $(if $(wildcard .venv/bin/uv),,$(VENV)/.installed-dev) ## Count a demo on the newest releases in range (PYTHON=python3.13)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-newest
	$(UV) pip install --quiet --python .venv-newest/bin/python --overrides tests/newest.txt \
		--requirements pyproject.toml --extra console --extra contrib --group service
	@.venv-newest/bin/python -c 'import platform, importlib.metadata as m; print("Python", platform.python_version(), \
		*(f"{name} {m.version(name)}" for name in ("django", "opentelemetry-sdk", "gunicorn")))'
	.venv-newest/bin/python manage.py demo --for 20 --json --port-offset 10000 $(ARGS)

lint: $(VENV)/.installed-dev ## Check style (ruff), types (mypy) and imports (import-linter)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	DJANGO_DEBUG=true $(BIN)/mypy
	$(BIN)/lint-imports

# --strict: a package that the vulnerability service does not know is an error, not a pass.
audit: $(VENV)/.installed-dev ## Look the locked packages up among known vulnerabilities (needs PyPI's JSON API)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		--requirement requirements.txt --requirement requirements-dev.txt $(ARGS)

SBOM ?= sbom.cdx.json
sbom: $(VENV)/.installed-dev ## Write an SBOM (CycloneDX) of what the service is locked to into sbom.cdx.json
	@$(BIN)/cyclonedx-py requirements --pyproject deploy/service.toml --output-reproducible --output-file $(SBOM) \
		--of JSON $(ARGS) requirements.txt

snapshots: $(VENV)/.installed-dev ## Renew the contract of both modes and docs/signals.md, for review with git diff
	USERAPI_RENEW_SNAPSHOTS=1 $(BIN)/python -m pytest tests/contract/test_contract.py tests/contract/test_reference.py $(ARGS)

dashboards: $(VENV)/.installed-dev ## Write Grafana's dashboards from deploy/grafana/source, for review with git diff
	$(BIN)/python -m deploy.grafana.source

publish: $(VENV)/.installed-dev ## Measure and publish the comparison (an hour of an idle machine; ARGS="--alloy PATH")
	@$(BIN)/python -m tests.benchmarks.publish $(ARGS)

report: $(VENV)/.installed-dev ## Put the published comparison (docs/comparison) into the README
	@$(BIN)/python -m telemetry.tools.compare.report

screenshots: $(VENV)/.installed-dev ## Run a demo and take docs/images/console-*.png of its console (needs Chromium)
	@$(BIN)/python -m tests.screenshots $(ARGS)

# The service: telemetry, what its extras console and contrib add, and the group of the service's own.
LOCKED = --extra console --extra contrib --group service
lock: $(VENV)/.installed-dev ## Renew requirements*.txt from pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --custom-compile-command "make lock" \
		--output-file requirements.txt $(LOCKED) pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --custom-compile-command "make lock" \
		--output-file deploy/requirements-build.txt --group build
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --upgrade --custom-compile-command "make lock" \
		--constraints requirements.txt $(LOCKED) --group dev --output-file requirements-dev.txt pyproject.toml

secrets: ## Write .env for Docker Compose, with fresh secrets; never over one that is there
	@$(PYTHON) deploy/write_env.py

verify: ## Follow a request through every hop of the services that Docker Compose runs (ARGS="--json")
	@deploy/verify $(ARGS)

clean: ## Remove the environment and what runs left behind
	rm -rf .venv .venv-* sbom.cdx.json .demo db.sqlite3* staticfiles .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .cache

# pip comes last into a new environment. Without it a former try was cut short (Debian without python3-venv): begin anew.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv --clear $(VENV)

# Only a terminal is shown what the installation does.
QUIET = quiet=; [ -t 1 ] || quiet=--quiet;
INSTALL = $(QUIET) $(BIN)/python -m pip install $$quiet --disable-pip-version-check --require-hashes -r

$(VENV)/.installed: requirements.txt $(BIN)/pip
	@echo "Installing what the service needs into $(VENV): about 30 MB to download"
	@$(INSTALL) requirements.txt
	@touch $@

# uv takes a fraction of pip's time. Pip takes over where uv cannot, as with an index that only pip is configured for.
$(VENV)/.installed-dev: requirements-dev.txt $(BIN)/pip
	@echo "Installing what tests and the comparison need into $(VENV): about 300 MB to download"
	@sed -n '/^uv==/,/^ *#/p' $< >$(VENV)/uv.txt
	@$(INSTALL) $(VENV)/uv.txt
	@$(QUIET) $(BIN)/uv pip install $$quiet --python $(BIN)/python --compile-bytecode --link-mode copy --require-hashes -r $< || \
		{ $(INSTALL) $<; }
	@touch $@ $(VENV)/.installed
