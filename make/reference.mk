# The oracle: Spleeter 2.4.2 on TensorFlow 2.12.1 with museval, in an environment of its own (2.5 GB; Python 3.11).
REFERENCE := .venv-reference

.PHONY: reference
reference: $(REFERENCE)/.done ## Create .venv-reference with Spleeter itself, the oracle of the golden tests and benchmarks

$(REFERENCE)/.done: $(BIN)/uv constraints/reference.txt
	@echo "Installing Spleeter and TensorFlow into $(REFERENCE) ..."
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(REFERENCE)
	@$(BIN)/uv pip install --quiet --python $(REFERENCE)/bin/python --require-hashes -r constraints/reference.txt
	@touch $@
