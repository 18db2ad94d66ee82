# The reference: Spleeter 2.4.2 on TensorFlow 2.12.1 with museval, in an environment of its own (2.5 GB; Python 3.11).
REFERENCE := .venv-reference

.PHONY: reference
reference: $(VENV)/.dev $(REFERENCE)/.done ## Create .venv-reference with Spleeter itself, the reference of the golden tests and benchmarks

$(REFERENCE)/.done: $(BIN)/uv constraints/reference.txt
	@echo "Installing Spleeter and TensorFlow into $(REFERENCE) ..."
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(REFERENCE)
	@$(BIN)/uv pip install --quiet --python $(REFERENCE)/bin/python --require-hashes -r constraints/reference.txt
	@touch $@

.PHONY: golden
golden: reference ## Record Spleeter's own output again (tests/golden/data)
	stemline models pull 2stems
	$(BIN)/python -c 'from stemline.testing.song import demo_song; open("$(REFERENCE)/demo.wav", "wb").write(demo_song().mix)'
	$(REFERENCE)/bin/python -m tests.golden.record "$$($(BIN)/stemline models where)" $(REFERENCE)/demo.wav

.PHONY: parity
parity: reference ## Run Spleeter again and compare Stemline on ONNX Runtime and on TensorFlow with it
	rm -rf $(REFERENCE)/golden && mkdir -p $(REFERENCE)/golden
	GOLDEN_DATA=$(abspath $(REFERENCE))/golden $(MAKE) golden
	GOLDEN_DATA=$(abspath $(REFERENCE))/golden pytest -q tests/integration/separation/test_golden.py
	$(MAKE) test-tensorflow

.PHONY: test-tensorflow
test-tensorflow: reference ## The engine contract tests on TensorFlow, in Spleeter's environment
	PYTHONPATH=src $(REFERENCE)/bin/python -m pytest --noconftest -q tests/integration/separation/test_engines.py -W ignore

# Demucs, Open-Unmix and UVR's MDX-Net loop with PyTorch, in an environment of their own (1 GB with PyTorch's build for
# CPUs, which TORCH may name; several with the usual one; Python 3.11).
NETWORKS := .venv-networks
TORCH ?= torch==2.13.0

$(NETWORKS)/.done: $(BIN)/uv constraints/networks.txt
	@echo "Installing PyTorch, Demucs, Open-Unmix and audio-separator into $(NETWORKS) ..."
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(NETWORKS)
	@$(BIN)/uv pip install --quiet --python $(NETWORKS)/bin/python $(TORCH)
	@$(BIN)/uv pip install --quiet --python $(NETWORKS)/bin/python --no-deps --require-hashes -r constraints/networks.txt
	@touch $@

.PHONY: golden-networks
golden-networks: $(NETWORKS)/.done ## Record what Demucs, MDX-Net's loop and Open-Unmix give (tests/golden/data/networks)
	$(NETWORKS)/bin/python -W ignore -m tests.golden.record_networks $(or $(NETWORKS_DATA),tests/golden/data/networks)
	$(NETWORKS)/bin/python -W ignore -m tests.golden.record_roformers $(or $(NETWORKS_DATA),tests/golden/data/networks)

.PHONY: parity-networks
parity-networks: $(VENV)/.dev $(NETWORKS)/.done ## Ask Demucs, MDX-Net's loop and Open-Unmix again and compare with them
	rm -rf $(NETWORKS)/golden
	NETWORKS_DATA=$(abspath $(NETWORKS))/golden $(MAKE) golden-networks
	NETWORKS_DATA=$(abspath $(NETWORKS))/golden pytest -q tests/unit/separation/test_network_parity.py

# sherpa-onnx, which runs Spleeter's networks on ONNX Runtime too, in an environment of its own (100 MB).
SHERPA := .venv-sherpa

$(SHERPA)/.done: $(BIN)/uv constraints/sherpa.txt
	@echo "Installing sherpa-onnx into $(SHERPA) ..."
	@$(BIN)/uv venv --quiet --clear --python $(PYTHON) $(SHERPA)
	@$(BIN)/uv pip install --quiet --python $(SHERPA)/bin/python --require-hashes -r constraints/sherpa.txt
	@touch $@

.PHONY: bench-sherpa
bench-sherpa: $(VENV)/.dev $(SHERPA)/.done ## Time and memory for songs of 10 s and 4 minutes, Stemline and sherpa-onnx (three minutes): make bench-sherpa [KERNELS=avx2]
	$(BIN)/python -m benchmarks.sherpa $(if $(KERNELS),--kernels $(KERNELS))
