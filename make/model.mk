.PHONY: model
model: $(VENV)/.dev ## Check the model of a job in docs/models, and that it finds each planted mistake (needs Java; NAME=model keeps the results)
	$(BIN)/python -m tools.model $(if $(NAME),--name $(NAME))
	$(BIN)/python -m tools.traces
