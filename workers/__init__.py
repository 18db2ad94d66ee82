"""The Celery application and its tasks: separate, deliver, sweep.

A message only says that there may be something to do; the job store decides what.
"""
