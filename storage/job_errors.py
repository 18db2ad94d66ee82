"""The job error that an error of a bucket's store means."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from botocore.exceptions import BotoCoreError, ClientError

from stemline.jobs.errors import (
    SourceAccessDenied,
    SourceBucketUnknown,
    SourceDownloadFailed,
    SourceNotFound,
    SourceObjectUnavailable,
    SourceUnavailable,
    SourceWorkerAtFault,
    TargetBucketUnknown,
    TargetDenied,
    TargetObjectUnavailable,
    TargetUnavailable,
    TargetWorkerAtFault,
)
from stemline.jobs.text import shorten
from stemline.storage.clients import BucketClient, BucketNotConfigured, NoBucketName
from stemline.storage.download import ObjectChanged
from stemline.storage.retry import BudgetExhausted
from stemline.storage.s3_errors import (
    REQUEST_ERRORS,
    error_code,
    is_denied,
    is_missing,
    is_transient,
    is_worker_fault,
    status_of,
)

log = structlog.get_logger(__name__)


@contextmanager
def source_errors(bucket: BucketClient | None = None) -> Iterator[None]:
    """Raise the job error that an error of the source's store means.

    With the bucket, a lasting error of one object is distinguished from an outage of the store.
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
        down = SourceObjectUnavailable if _is_object_alone(error, bucket) else SourceUnavailable
        raise down(_message(down, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        if is_worker_fault(error):
            log.warning("storage.worker_at_fault", error=error_code(error), message=shorten(error))
            raise SourceWorkerAtFault(_message(SourceWorkerAtFault, error_code(error))) from error
        kind: type[SourceNotFound | SourceAccessDenied | SourceDownloadFailed]
        kind = SourceNotFound if is_missing(error) else SourceDownloadFailed
        kind = SourceAccessDenied if is_denied(error) else kind
        log.warning("storage.source_refused", error=error_code(error), message=shorten(error))
        raise kind(_message(kind, error_code(error))) from error


@contextmanager
def target_errors(bucket: BucketClient | None = None) -> Iterator[None]:
    """Raise the job error that an error of the destination's store means; likewise."""
    try:
        yield
    except NoBucketName:
        raise TargetDenied from None
    except BucketNotConfigured:
        raise TargetBucketUnknown from None
    except BudgetExhausted as error:
        down = TargetObjectUnavailable if _is_object_alone(error, bucket) else TargetUnavailable
        raise down(_message(down, error.reason)) from error
    except (ClientError, BotoCoreError) as error:
        if is_worker_fault(error):
            log.warning("storage.worker_at_fault", error=error_code(error), message=shorten(error))
            raise TargetWorkerAtFault(_message(TargetWorkerAtFault, error_code(error))) from error
        log.warning("storage.target_refused", error=error_code(error), message=shorten(error))
        raise TargetDenied(_message(TargetDenied, error_code(error))) from error


def _is_object_alone(error: BudgetExhausted, bucket: BucketClient | None) -> bool:
    """Return whether an object's request ended with 5xx while the store responds for its bucket."""
    if bucket is None or error.__cause__ is None or status_of(error.__cause__) < 500:
        return False
    try:
        bucket.s3.head_bucket(Bucket=bucket.name)
    except REQUEST_ERRORS as answer:
        # Credentials that may not ask about the bucket still show that the store responds.
        return 400 <= status_of(answer) < 500 and not is_transient(answer)
    return True


def _message(kind: type[Exception], reason: str) -> str:
    return f"{' '.join((kind.__doc__ or '').split())} ({reason})"
