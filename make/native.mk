# The C of separation/native, which hatch_build.py compiles when Stemline is installed or built.
.PHONY: native-sanitized
native-sanitized: $(VENV)/.dev ## Compile the kernels with AddressSanitizer and UndefinedBehaviorSanitizer into build/native-sanitized
	python -m tools.native sanitized build/native-sanitized
