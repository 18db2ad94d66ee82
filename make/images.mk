# The images, built with buildah and run without a Docker engine; needs root, and mmdebstrap for the base.
.PHONY: images
images: $(VENV)/.dev ## Build the images, run them read-only as their user, and do one job with them: make images [GPU=1]
	$(BIN)/python -m tests.images $(if $(GPU),--gpu)

# The documented steps of an installation without containers, on a machine whose first process is systemd.
.PHONY: systemd
systemd: $(VENV)/.dev ## Install on a Debian machine in namespaces as documented, start the units, do jobs, kill and stop (root)
	$(BIN)/python -m tests.systemd
