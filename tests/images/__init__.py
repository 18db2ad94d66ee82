"""Build the images without a Docker engine, run them, and let them do a job: ``python -m tests.images``."""
