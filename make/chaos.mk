.PHONY: chaos recovery

chaos: $(VENV)/.dev ## Every fault one by one, then kill -9 at random: make chaos [TRIALS=100] [SEED=1]
	CHAOS=long MACHINE_EXAMPLES=300 RACES=10000 PAGED_JOBS=100000 pytest -q --timeout 1800 tests/chaos \
		tests/integration/jobs/test_store_machine.py tests/integration/jobs/test_store_races.py \
		tests/integration/api/test_jobs.py::test_paging_over_many_jobs
	python -m tests.chaos --trials $(or $(TRIALS),100) $(if $(SEED),--seed $(SEED)) $(if $(TRIALS),--name chaos)

recovery: $(VENV)/.dev ## Measure recovery times with the default settings
	python -m tests.chaos.recovery
