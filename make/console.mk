# Everything that checks the console; needs Chromium, node and npm.
.PHONY: console-test
console-test: $(VENV)/.dev ## The console: types, lint, units, long browser tests, accessibility, 100,000 jobs, pictures (five minutes)
	CI=1 pytest -q tests/console
	CI=1 LONG=1 pytest -q -p no:randomly -s tests/browser
	CI=1 LONG=1 pytest -q -p no:randomly -s tests/browser/thorough.py tests/browser/truth.py

.PHONY: screenshots
screenshots: $(VENV)/.dev ## Take the pictures of the console in README and docs again; needs Chromium
	CI=1 pytest -q -p no:randomly --no-cov tests/browser/pictures.py
