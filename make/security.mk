# Attacks on the API's connections, against a process of its own; deadlines are short, limits are the real ones.
.PHONY: security audit

# B104, addresses that stand for all, is ruff's S104, with the reason beside each.
audit: $(VENV)/.dev ## Dangerous calls in the code (bandit), known vulnerabilities in pinned packages (pip-audit): make audit [AUDIT=strict]
	bandit --quiet --recursive -ll --skip B104 api callbacks cli client deploy jobs models runtime separation storage testing wire workers
	$(BIN)/python -m tests.security.audit

security: $(VENV)/.dev ## All attacks on connections, with a table of what they cost: make security [SEED=1]
	python -m tests.security $(if $(SEED),--seed $(SEED)) $(ARGS)
