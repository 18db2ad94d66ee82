"""The domain: jobs, queues, templates, their states and the store that keeps the truth about them.

Nothing in here knows HTTP, Celery or audio, and nothing of ours is imported.
"""
