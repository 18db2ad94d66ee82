"""A client of the service for Python programs, with and without asyncio; see docs/client.md."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stemline.client.aio import AsyncClient
    from stemline.client.batches import Batch, Row
    from stemline.client.callbacks import Attempt, Callback
    from stemline.client.client import Client
    from stemline.client.errors import (
        AccessDenied,
        ApiError,
        ClientError,
        ConnectionFailed,
        InvalidTarget,
        JobEnded,
        NotConfigured,
        NotFound,
        ObjectMissing,
        SlowDown,
        StoreRefused,
        StoreUnreachable,
        TransferFailed,
        WaitTimedOut,
    )
    from stemline.client.events import Event
    from stemline.client.job import Execution, Job, Page, Stem
    from stemline.client.queues import Queue
    from stemline.client.retry import Retry
    from stemline.client.submission import Submission
    from stemline.client.target import S3Access, Target, find
    from stemline.client.templates import Template
    from stemline.client.usage import Usage

__all__ = [
    "AccessDenied",
    "ApiError",
    "AsyncClient",
    "Attempt",
    "Batch",
    "Callback",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Event",
    "Execution",
    "InvalidTarget",
    "Job",
    "JobEnded",
    "NotConfigured",
    "NotFound",
    "ObjectMissing",
    "Page",
    "Queue",
    "Retry",
    "Row",
    "S3Access",
    "SlowDown",
    "Stem",
    "StoreRefused",
    "StoreUnreachable",
    "Submission",
    "Target",
    "Template",
    "TransferFailed",
    "Usage",
    "WaitTimedOut",
    "find",
]
_MODULES = {
    "AccessDenied": "errors",
    "ApiError": "errors",
    "AsyncClient": "aio",
    "Attempt": "callbacks",
    "Batch": "batches",
    "Callback": "callbacks",
    "Client": "client",
    "ClientError": "errors",
    "ConnectionFailed": "errors",
    "Event": "events",
    "Execution": "job",
    "InvalidTarget": "errors",
    "Job": "job",
    "JobEnded": "errors",
    "NotConfigured": "errors",
    "NotFound": "errors",
    "ObjectMissing": "errors",
    "Page": "job",
    "Queue": "queues",
    "Retry": "retry",
    "Row": "batches",
    "S3Access": "target",
    "SlowDown": "errors",
    "Stem": "job",
    "StoreRefused": "errors",
    "StoreUnreachable": "errors",
    "Submission": "submission",
    "Target": "target",
    "Template": "templates",
    "TransferFailed": "errors",
    "Usage": "usage",
    "WaitTimedOut": "errors",
    "find": "target",
}
"""Modules of these names, which are imported when they are used: an address alone needs no HTTP library."""


def __getattr__(name: str) -> Any:
    """Import a name of the package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
