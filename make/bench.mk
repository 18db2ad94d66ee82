# Measurements. They compare side by side in one run, on whatever machine this is; none of them is a test.
.PHONY: bench-overhead
bench-overhead: $(VENV)/.dev ## How long a job waits for an idle worker
	$(BIN)/python benchmarks/overhead.py

.PHONY: bench-codecs
bench-codecs: $(VENV)/.dev ## CPU seconds of reading and writing a song in each codec
	$(BIN)/python -m benchmarks.codecs
