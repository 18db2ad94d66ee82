"""Stemline: a self-hosted voice separation job service.

The packages stand at the top of the repository; this folder holds one symbolic link to each of them.
"""

__version__ = "0.1.0"
