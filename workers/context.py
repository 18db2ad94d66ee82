"""What a worker process holds: made at first use, so never before a fork."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from jobs.settings import Settings
from jobs.store import Store
from storage import Buckets
from workers.app import ring

if TYPE_CHECKING:
    from separation.engine import Engine

_loading = Lock()


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


def engine(model: str) -> Engine:
    """The warm engine of a model; loaded by the first job that needs it.

    Raises:
        SeparationError: the weights or the device are not there; the next call tries again.
    """
    with _loading:
        return _engine(model)


@cache
def _engine(model: str) -> Engine:
    from separation.engine import load_engine  # noqa: PLC0415 - the callback worker never needs it

    now = settings()
    return load_engine(
        model, engine=now.engine, device=now.device, directory=now.models_dir, threads=now.threads or None
    )
