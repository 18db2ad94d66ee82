"""Run the units of deploy/systemd under systemd itself: ``python -m tests.systemd``."""
