"""A client of the service for Python programs, with and without asyncio; see docs/client.md."""

from stemline.client.aio import AsyncClient
from stemline.client.client import Client
from stemline.client.errors import (
    AccessDenied,
    ApiError,
    ClientError,
    ConnectionFailed,
    JobEnded,
    NotConfigured,
    NotFound,
    SlowDown,
    TransferFailed,
    WaitTimedOut,
)
from stemline.client.retry import Retry
from stemline.client.submission import Submission
from stemline.client.target import S3Access, Target, find
from stemline.client.values import Attempt, Callback, Execution, Job, Page, Queue, Stem, Template

__all__ = [
    "AccessDenied",
    "ApiError",
    "AsyncClient",
    "Attempt",
    "Callback",
    "Client",
    "ClientError",
    "ConnectionFailed",
    "Execution",
    "Job",
    "JobEnded",
    "NotConfigured",
    "NotFound",
    "Page",
    "Queue",
    "Retry",
    "S3Access",
    "SlowDown",
    "Stem",
    "Submission",
    "Target",
    "Template",
    "TransferFailed",
    "WaitTimedOut",
    "find",
]
