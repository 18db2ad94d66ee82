"""Every error kind of the service, as one exception tree.

::

    StemlineError
    ├── RequestRefused
    │   ├── MissingContent
    │   ├── InvalidContent
    │   ├── InvalidHost
    │   ├── AsrBucketUnBinded
    │   ├── TemplateNotFound          a job names it
    │   │   └── NoSuchTemplate        it was to be changed or deleted
    │   ├── TemplateNameDuplicate
    │   ├── CreatedTemplateNumLimit
    │   ├── QueueNotFound             a job names it
    │   │   └── NoSuchQueue           it was to be changed
    │   ├── BindedBucketNumLimit
    │   ├── IdempotencyConflict
    │   ├── NoSuchResource
    │   │   └── NoSuchBatch
    │   ├── UploadSuperseded
    │   ├── NoSuchBucket
    │   └── MethodNotAllowed
    ├── Forbidden
    │   ├── BudgetSpent
    │   ├── RequestExpired
    │   ├── RequestReplayed
    │   ├── InvalidAccessKeyId
    │   ├── SignatureDoesNotMatch
    │   ├── RequestTimeTooSkewed
    │   └── ExpiredToken
    ├── TryAgain
    │   ├── QueueFull
    │   │   └── BucketFull
    │   ├── BatchesFull
    │   ├── BucketBusy
    │   ├── ChangedMeanwhile
    │   ├── RateLimited
    │   ├── NoncesFull
    │   ├── BodiesFull
    │   ├── TooManyListeners
    │   ├── StoreUnavailable
    │   │   └── NotConfirmed
    │   └── RecordTooNew
    ├── IllegalTransition
    │   └── RowRetried
    ├── LeaseLost                     raised in workers only
    ├── CancelAsked                   raised in workers only
    ├── EqualJobRuns                  raised in workers only
    └── JobFailed                     ends a job as Failed
        ├── SourceNotFound
        ├── SourceAccessDenied
        │   ├── SourceBucketUnknown   retryable: another worker may know the bucket
        │   └── SourceEntryRefused    retryable: the operator may correct the entry
        ├── SourceDownloadFailed
        │   └── SourceUnavailable     retryable: another attempt may succeed
        │       ├── SourceObjectUnavailable    counts as an attempt: the bucket itself responds
        │       └── SourceWorkerAtFault        the worker, not the bucket
        ├── SourceTooLarge
        ├── TargetDenied
        │   ├── TargetBucketUnknown   retryable: another worker may know the bucket
        │   └── TargetEntryRefused    retryable: the operator may correct the entry
        ├── TargetNotWritten          counts as an attempt
        ├── TargetUnavailable         retryable
        │   ├── TargetObjectUnavailable    counts as an attempt: the bucket itself responds
        │   └── TargetWorkerAtFault        the worker, not the bucket
        ├── JobTimeout
        └── TooManyAttempts

The docstring of a class is its default message. Codes and HTTP statuses are in ``wire/errors.py``.
"""

from __future__ import annotations

from typing import ClassVar


class StemlineError(Exception):
    """We encountered an internal error. Please try again."""

    usual_wait_s: ClassVar[float | None] = None
    """When a client should try again where nothing better is known; ``None`` for an error that stays."""

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        self.message = message or " ".join((type(self).__doc__ or "").split())
        self.retry_after_s = self.usual_wait_s if retry_after_s is None else retry_after_s
        super().__init__(self.message)


class RequestRefused(StemlineError):
    """A parameter of the request is not valid."""


class MissingContent(RequestRefused):
    """The request body is empty."""


class InvalidContent(RequestRefused):
    """The request body cannot be parsed."""


class InvalidHost(RequestRefused):
    """The Host header does not name a bucket of this service."""


class AsrBucketUnBinded(RequestRefused):
    """The speech service is not opened for this bucket."""


class TemplateNotFound(RequestRefused):
    """The template does not exist."""


class NoSuchTemplate(TemplateNotFound):
    """The template does not exist."""


class TemplateNameDuplicate(RequestRefused):
    """A template of this name exists already."""


class CreatedTemplateNumLimit(RequestRefused):
    """The bucket has reached its limit of templates."""


class QueueNotFound(RequestRefused):
    """The queue does not exist."""


class NoSuchQueue(QueueNotFound):
    """The queue does not exist."""


class BindedBucketNumLimit(RequestRefused):
    """The region has reached its limit of open buckets."""


class IdempotencyConflict(RequestRefused):
    """This Idempotency-Key was used with another request body."""


class NoSuchResource(RequestRefused):
    """The path does not exist."""


class NoSuchBatch(NoSuchResource):
    """The batch does not exist."""


class UploadSuperseded(RequestRefused):
    """Another request with this Idempotency-Key sends the same batch."""


class NoSuchBucket(RequestRefused):
    """The bucket does not exist."""


class MethodNotAllowed(RequestRefused):
    """The method is not allowed on this path."""


class Forbidden(StemlineError):
    """Access Denied."""


class BudgetSpent(Forbidden):
    """The budget of this credential for today is spent."""


class RequestExpired(Forbidden):
    """Request has expired"""  # noqa: D415 - Node compares this text byte for byte


class RequestReplayed(Forbidden):
    """A request with this nonce was received before."""


class InvalidAccessKeyId(Forbidden):
    """The access key Id you provided does not exist in our records."""


class SignatureDoesNotMatch(Forbidden):
    """The signature does not match the request."""


class RequestTimeTooSkewed(Forbidden):
    """The difference between the request time and the server's time is too large."""


class ExpiredToken(Forbidden):
    """The temporary credential has expired."""


class TryAgain(StemlineError):
    """Please reduce your request rate."""

    usual_wait_s = 1.0


class QueueFull(TryAgain):
    """The queue has reached its limit of waiting jobs."""

    usual_wait_s = 5.0


class BucketFull(QueueFull):
    """The records of the bucket's jobs that have not ended have reached their limit of memory."""


class BatchesFull(TryAgain):
    """The bucket's batches have reached their limit of rows that are not jobs yet."""

    usual_wait_s = 30.0


class BucketBusy(TryAgain):
    """Too many requests of this bucket wait for its store, or change many records."""

    usual_wait_s = 5.0


class ChangedMeanwhile(TryAgain):
    """Another request changed it at the same time; send this one again."""


class RateLimited(TryAgain):
    """Too many requests with this credential."""


class NoncesFull(TryAgain):
    """Too many nonces of this credential are remembered; sign for a shorter time."""

    usual_wait_s = 60.0


class BodiesFull(TryAgain):
    """Too many request bodies are in memory."""


class TooManyListeners(TryAgain):
    """Too many requests listen to events or wait for a job."""


class StoreUnavailable(TryAgain):
    """The job store is not available. Please try again, changes with their Idempotency-Key."""

    def __init__(
        self,
        message: str = "",
        *,
        retry_after_s: float | None = None,
        reason: str = "",
        answered: bool = False,
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.reason = reason
        """What the server replied, for the log; clients do not see it."""
        self.answered = answered
        """Whether it replied at all; if not, the next call would wait as long in vain."""


class NotConfirmed(StoreUnavailable):
    """The change was made, but is not confirmed to be durable; send it again, with its Idempotency-Key."""


class RecordTooNew(TryAgain):
    """The job's record was written by a newer release. Update this process."""


class IllegalTransition(StemlineError):
    """The job's state does not allow this."""


class RowRetried(IllegalTransition):
    """The row of a batch is retried already: retry the job that does so."""


class LeaseLost(StemlineError):
    """The lease was lost: another attempt holds the job."""


class CancelAsked(StemlineError):
    """Cancellation was requested while the job was running."""


class EqualJobRuns(StemlineError):
    """An equal job runs; this one waits for its end."""


class JobFailed(StemlineError):
    """The job failed."""

    retryable: ClassVar[bool] = False
    """Whether a later attempt may succeed."""
    counts: ClassVar[bool] = False
    """Whether a retryable failure is the job's own, so that the attempt counts towards the maximum."""


class SourceNotFound(JobFailed):
    """The input object does not exist."""


class SourceAccessDenied(JobFailed):
    """The input object may not be read."""


class SourceBucketUnknown(SourceAccessDenied):
    """The worker has no entry for the bucket of the input object."""

    retryable = True


class SourceEntryRefused(SourceAccessDenied):
    """The store refuses the keys, region or address of the worker's entry for the input object's bucket."""

    retryable = True


class SourceDownloadFailed(JobFailed):
    """The input object could not be fetched."""


class SourceUnavailable(SourceDownloadFailed):
    """The store of the input object did not respond in time."""

    retryable = True


class SourceObjectUnavailable(SourceUnavailable):
    """The store responds for the bucket, but not for the input object."""

    counts = True


class SourceWorkerAtFault(SourceUnavailable):
    """The worker cannot use its credentials, clock or proxy to read; another attempt may succeed."""


class SourceTooLarge(JobFailed):
    """The input object is larger than the service accepts."""


class TargetDenied(JobFailed):
    """The destination bucket cannot be written."""


class TargetBucketUnknown(TargetDenied):
    """The worker has no entry for the destination bucket."""

    retryable = True


class TargetEntryRefused(TargetDenied):
    """The store refuses the keys, region or address of the worker's entry for the destination bucket."""

    retryable = True


class TargetUnavailable(JobFailed):
    """The store of the destination bucket did not respond in time."""

    retryable = True


class TargetObjectUnavailable(TargetUnavailable):
    """The store responds for the destination bucket, but not for the output object."""

    counts = True


class TargetWorkerAtFault(TargetUnavailable):
    """The worker cannot use its credentials, clock or proxy to write; another attempt may succeed."""


class TargetNotWritten(JobFailed):
    """The destination bucket does not hold the stem that was written."""

    retryable = True
    counts = True


class JobTimeout(JobFailed):
    """The job ran longer than its Timeout."""


class TooManyAttempts(JobFailed):
    """The worker died on every attempt."""
