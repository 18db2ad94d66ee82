.PHONY: chaos recovery

chaos: $(VENV)/.dev ## Every trouble one by one, then kill -9 at random: make chaos [TRIALS=100] [SEED=1]
	CHAOS=long MACHINE_EXAMPLES=300 pytest -q tests/chaos tests/integration/jobs/test_store_machine.py
	python -m tests.chaos --trials $(or $(TRIALS),100) $(if $(SEED),--seed $(SEED))

recovery: $(VENV)/.dev ## Measure how long recoveries take with the default settings
	python -m tests.chaos.recovery
