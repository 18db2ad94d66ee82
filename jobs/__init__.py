"""Jobs, queues, templates and callbacks: values, rules and the store that keeps them.

This package imports no other package of Stemline, and knows nothing of HTTP, Celery, buckets or audio.
"""
