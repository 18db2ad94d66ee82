"""What a worker process holds: made at first use, so never before a fork."""

from __future__ import annotations

from functools import cache

from jobs.settings import Settings
from jobs.store import Store
from storage import Buckets
from workers.app import ring


@cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()


@cache
def store() -> Store:
    """The job store."""
    return Store.open(settings(), bell=ring)


@cache
def buckets() -> Buckets:
    """The buckets."""
    return Buckets(settings())
