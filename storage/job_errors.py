"""Translates errors of a bucket's store into errors of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import (
    JobFailed,
    SourceAccessDenied,
    SourceBucketUnknown,
    SourceDownloadFailed,
    SourceEntryRefused,
    SourceNotFound,
    SourceObjectUnavailable,
    SourceUnavailable,
    SourceWorkerAtFault,
    TargetBucketUnknown,
    TargetDenied,
    TargetEntryRefused,
    TargetObjectUnavailable,
    TargetUnavailable,
    TargetWorkerAtFault,
)
from stemline.jobs.text import shorten
from stemline.storage.clients import BucketClient, BucketNotConfigured, NoBucketName
from stemline.storage.download import ObjectChanged
from stemline.storage.faults import REMEDIES, Fault, fault_of
from stemline.storage.retry import BudgetExhausted
from stemline.storage.s3_errors import REQUEST_ERRORS, error_code, spoken_code, status_of

log = structlog.get_logger(__name__)

_OF_SOURCE: Final[Mapping[Fault, type[JobFailed]]] = {
    Fault.STORE: SourceUnavailable,
    Fault.WORKER: SourceWorkerAtFault,
    Fault.ENTRY: SourceEntryRefused,
    Fault.DENIED: SourceAccessDenied,
    Fault.MISSING: SourceNotFound,
    Fault.REQUEST: SourceDownloadFailed,
}
_OF_TARGET: Final[Mapping[Fault, type[JobFailed]]] = {
    Fault.STORE: TargetUnavailable,
    Fault.WORKER: TargetWorkerAtFault,
    Fault.ENTRY: TargetEntryRefused,
    Fault.DENIED: TargetDenied,
    Fault.MISSING: TargetDenied,
    Fault.REQUEST: TargetDenied,
}


@contextmanager
def source_errors(bucket: str, client: BucketClient | None = None) -> Iterator[None]:
    """Raise the job error that an error of the source's store means.

    Args:
        bucket: Its name, for the log.
        client: By which a lasting error of one object is distinguished from an outage of the store.
    """
    try:
        yield
    except NoBucketName:
        raise SourceAccessDenied from None
    except BucketNotConfigured:
        raise SourceBucketUnknown from None
    except ObjectChanged as error:
        raise SourceDownloadFailed(error.message) from error
    except BudgetExhausted as error:
        down = SourceObjectUnavailable if _is_object_alone(error, client) else SourceUnavailable
        raise down(_message(down, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        raise _job_error("storage.source_refused", error, _OF_SOURCE, bucket) from error


@contextmanager
def target_errors(bucket: str, client: BucketClient | None = None) -> Iterator[None]:
    """Raise the job error that an error of the destination's store means; likewise."""
    try:
        yield
    except NoBucketName:
        raise TargetDenied from None
    except BucketNotConfigured:
        raise TargetBucketUnknown from None
    except BudgetExhausted as error:
        down = TargetObjectUnavailable if _is_object_alone(error, client) else TargetUnavailable
        raise down(_message(down, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        raise _job_error("storage.target_refused", error, _OF_TARGET, bucket) from error


def _job_error(
    event: str, error: Exception, kinds: Mapping[Fault, type[JobFailed]], bucket: str
) -> JobFailed:
    """Return the job error, and log as `event` what the operator can do."""
    fault = fault_of(error)
    remedy = {"remedy": REMEDIES[fault]} if fault in REMEDIES else {}
    log.warning(event, bucket=bucket, error=error_code(error), message=shorten(error), **remedy)
    return kinds[fault](_message(kinds[fault], spoken_code(error)))


def _is_object_alone(error: BudgetExhausted, client: BucketClient | None) -> bool:
    """Return whether an object's request ended with 5xx while the store responds for its bucket."""
    if client is None or error.__cause__ is None or status_of(error.__cause__) < 500:
        return False
    try:
        client.s3.head_bucket(Bucket=client.name)
    except REQUEST_ERRORS as answer:
        # Credentials that may not ask about the bucket still show that the store responds.
        return fault_of(answer) in {Fault.DENIED, Fault.MISSING, Fault.REQUEST}
    return True


def _message(kind: type[Exception], reason: str) -> str:
    return f"{' '.join((kind.__doc__ or '').split())} ({reason})"
