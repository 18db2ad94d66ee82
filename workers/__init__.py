"""The Celery application and its tasks: separate, deliver, sweep.

A message is a hint. What is to be done, and by whom, the job store says.
"""
