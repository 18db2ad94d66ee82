# The images, built with buildah and run without a Docker engine; needs root, and mmdebstrap for the base.
.PHONY: images
images: $(VENV)/.dev ## Build the images, run them read-only as their user, and do one job with them: make images [GPU=1]
	$(BIN)/python -m tests.images $(if $(GPU),--gpu)

# The documented steps of an installation without containers, on a machine whose first process is systemd.
.PHONY: systemd
systemd: $(VENV)/.dev ## Install on a Debian machine in namespaces as documented, start the units, do jobs, kill and stop (root)
	$(BIN)/python -m tests.systemd

# Seeded weights stand for those of the 4-stem model; all that fetches, checks and loads them is the product's own.
.PHONY: weights
weights: $(VENV)/.dev ## Fetch the 4-stem model from a server here by `models pull` and by a worker, both killed in between
	$(BIN)/python -m tests.weights
