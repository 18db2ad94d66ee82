# Attacks on the API's connections, against a process of its own; deadlines are short, limits are the real ones.
.PHONY: security

security: $(VENV)/.dev ## All attacks on connections, with a table of what they cost: make security [SEED=1]
	python -m tests.security $(if $(SEED),--seed $(SEED)) $(ARGS)
