# Measurements. They compare side by side in one run, on whatever machine this is; none of them is a test.
.PHONY: bench-overhead
bench-overhead: $(VENV)/.dev ## How long a job waits for an idle worker
	$(BIN)/python benchmarks/overhead.py

.PHONY: bench-codecs
bench-codecs: $(VENV)/.dev ## CPU seconds of reading and writing a song in each codec
	$(BIN)/python -m benchmarks.codecs

.PHONY: bench-callbacks
bench-callbacks: $(VENV)/.dev ## How soon healthy receivers are told while a tenth of 1,000 hang
	$(BIN)/python -m benchmarks.callbacks

.PHONY: bench-separation
bench-separation: reference ## Time and memory of a song, Stemline beside Spleeter (half an hour)
	$(BIN)/python -m benchmarks.separation

.PHONY: bench-quality
bench-quality: reference ## How well voice and background are found, Stemline beside Spleeter
	$(BIN)/python -m benchmarks.quality

.PHONY: bench-scale
bench-scale: $(VENV)/.dev ## What 1, 2, 4 and 8 workers bring (10,000 jobs, half an hour), then the real engine on 1 and 2
	$(BIN)/python -m benchmarks.scale --name scale-stub
	stemline models pull 2stems
	$(BIN)/python -m benchmarks.scale --real 30 --workers 1,2 --jobs 40 --name scale-real

.PHONY: bench-submit
bench-submit: $(VENV)/.dev ## Signed submissions per second of one API process, and their latency at 100 per second
	$(BIN)/python -m benchmarks.submit

# One after the other, whatever -j says: they measure the whole machine.
.PHONY: bench
bench: ## Every figure of these: separation, submissions, waiting, recovery, scale (two hours, a quiet machine)
	$(MAKE) bench-separation
	$(MAKE) bench-submit
	$(MAKE) bench-overhead
	$(MAKE) recovery
	$(MAKE) bench-scale
