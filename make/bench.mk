# Measurements, side by side in one run on the same machine; none of them is a test.
.PHONY: bench-overhead
bench-overhead: $(VENV)/.dev ## Time from submission to start on an idle worker
	$(BIN)/python -m benchmarks.overhead

.PHONY: bench-memory
bench-memory: $(VENV)/.dev ## Peak memory for an hour beside a minute, through a stand-in for the networks; fails above 5 % more
	$(BIN)/python -m benchmarks.memory

.PHONY: bench-codecs
bench-codecs: $(VENV)/.dev ## CPU seconds of reading and writing a song in each codec
	$(BIN)/python -m benchmarks.codecs

.PHONY: bench-native
bench-native: $(VENV)/.dev ## Milliseconds and errors of Spleeter's networks in compiled code and in ONNX Runtime
	$(BIN)/stemline models pull 2stems
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.native

.PHONY: bench-decoding
bench-decoding: $(VENV)/.dev ## Processor seconds of decoding in a child process and in the worker
	stemline models pull 2stems
	$(BIN)/python -m benchmarks.decoding

.PHONY: bench-callbacks
bench-callbacks: $(VENV)/.dev ## Delay of callbacks to healthy receivers while a tenth of 1,000 receivers hang
	$(BIN)/python -m benchmarks.callbacks

.PHONY: bench-separation
bench-separation: reference ## Time and memory for a song, Stemline and Spleeter (ten minutes): make bench-separation [KERNELS=avx2]
	$(BIN)/python -m benchmarks.separation $(if $(KERNELS),--kernels $(KERNELS))

.PHONY: bench-gpu
bench-gpu: $(VENV)/.dev ## Everything about a GPU in eight minutes: make bench-gpu [DEVICE=cpu]
	stemline models pull 2stems
	$(BIN)/python -m benchmarks.gpu $(if $(DEVICE),--device $(DEVICE))

.PHONY: bench-quality
bench-quality: reference ## Quality of voice and background, Stemline and Spleeter
	$(BIN)/python -m benchmarks.quality

.PHONY: bench-networks
bench-networks: $(VENV)/.dev $(NETWORKS)/.done ## Memory and time of htdemucs and an MDX-Net at their real size, random weights, by length (15 minutes, 1 GB)
	rm -rf build/networks
	$(NETWORKS)/bin/python -W ignore -m benchmarks.full_size build/networks
	stemline models add build/networks/htdemucs.onnx --card build/networks/htdemucs.toml --directory build/networks/models
	stemline models add build/networks/mdx.onnx --card build/networks/mdx.toml --directory build/networks/models
	python -m benchmarks.networks build/networks/models

.PHONY: count-roformers
count-roformers: $(VENV)/.dev $(NETWORKS)/.done ## Operations of RoFormers of the published sizes, counted from their graphs (10 minutes, 5 GB of memory)
	$(NETWORKS)/bin/python -W ignore -m benchmarks.roformer_cost build/roformers
	$(BIN)/python -m benchmarks.roformer_cost --count build/roformers

.PHONY: bench-records
bench-records: $(VENV)/.dev ## Claim, list, prune and metrics with 10,000 tenants and a million records (6 minutes)
	$(BIN)/python -m benchmarks.records --name scale-records

.PHONY: bench-scale
bench-scale: $(VENV)/.dev ## Throughput of 1, 2, 4 and 8 workers (10,000 jobs, half an hour), the real engine on 1 and 2, then 10,000 tenants with a million records
	$(BIN)/python -m benchmarks.scale --name scale-stub
	stemline models pull 2stems
	$(BIN)/python -m benchmarks.scale --real 30 --workers 1,2 --jobs 40 --name scale-real
	$(MAKE) bench-records

.PHONY: bench-submit
bench-submit: $(VENV)/.dev ## Signed submissions per second of one API process, and their latency at 100 per second, with each durability
	$(BIN)/python -m benchmarks.submit --own-core

.PHONY: bench-live
bench-live: $(VENV)/.dev ## Events, bulk requests, batches, and the memory of a job
	$(BIN)/python -m benchmarks.live

# One after the other, also with -j: each measures the whole machine.
.PHONY: bench
bench: ## All of these: separation, submissions, waiting, recovery, scale (two hours on an idle machine)
	$(MAKE) bench-separation
	$(MAKE) bench-submit
	$(MAKE) bench-overhead
	$(MAKE) recovery
	$(MAKE) bench-scale

.PHONY: first-hour
first-hour: $(VENV)/.dev ## Go from a clone to a hundred tracks as a new user does, with the time of each step
	$(BIN)/python -m benchmarks.first_hour
