.PHONY: chaos failover recovery tracks powercut fulldisk simulate traces

chaos: $(VENV)/.dev ## Every fault one by one, then kill -9 at random: make chaos [TRIALS=100] [SEED=1]
	CHAOS=long pytest -q --timeout 1800 tests/chaos
	python -m tests.chaos --trials $(or $(TRIALS),100) $(if $(SEED),--seed $(SEED)) $(if $(TRIALS),--name chaos)

failover: $(VENV)/.dev ## Replace the primary behind Sentinels under load until there were 200 failovers; runs of one version add up: make failover [FAILOVERS=200] [PROCESS=50] [SEED=1]
	$(BIN)/python -m tests.chaos.failover --failovers $(or $(FAILOVERS),200) --process $(or $(PROCESS),50) \
		$(if $(SEED),--seed $(SEED)) --name failover

recovery: $(VENV)/.dev ## Measure recovery times with the default settings
	python -m tests.chaos.recovery

tracks: $(VENV)/.dev ## 300 tracks through `stemline submit FOLDER` with kill -9 of the command, workers, API: make tracks [TRACKS=300] [SEED=1]
	python -m tests.chaos.tracks --tracks $(or $(TRACKS),300) --seed $(or $(SEED),1)

powercut: $(VENV)/.dev ## Cut the power under Valkey 500 times and flip 500 bits of its files (needs cc): make powercut [CUTS=20] [SEED=1]
	$(BIN)/python -m tests.chaos.powercut $(if $(CUTS),--cuts $(CUTS) --process $(CUTS) --flips $(CUTS)) \
		$(if $(SEED),--seed $(SEED)) $(if $(CUTS),,--name powercut)

fulldisk: $(VENV)/.dev ## Fill the disk of Valkey under load, and free it (root): make fulldisk [SEED=1]
	$(BIN)/python -m tests.chaos.full_disk $(if $(SEED),--seed $(SEED))

simulate: $(VENV)/.dev ## Run the service in virtual time from many seeds: make simulate [SEED=1] [STEPS=1000000] [PROCESSES=2] [MISTAKES=5] [NAME=simulate]
	$(BIN)/python -m tests.simulation --seed $(or $(SEED),1) --steps $(or $(STEPS),1000000) \
		--processes $(or $(PROCESSES),1) --mistakes $(or $(MISTAKES),0) $(if $(NAME),--name $(NAME))

traces: $(VENV)/.dev ## Kill processes at random, and hold what each job's record showed against the model (needs Java): make traces [TRIALS=30]
	$(BIN)/python -m tests.chaos.traces --trials $(or $(TRIALS),30)
