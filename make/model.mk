.PHONY: model
model: $(VENV)/.dev ## Check the model of a job in docs/models, and that it finds each planted mistake (needs Java)
	$(BIN)/python -m tools.model
	$(BIN)/python -m tools.traces
