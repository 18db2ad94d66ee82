"""Fetch a model as `models pull` and a worker do, from a server here: ``python -m tests.weights``."""
