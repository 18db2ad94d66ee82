"""Every error that can reach a client, with its wire code and HTTP status.

::

    StemlineError                     InternalError 500
    ├── RequestRefused                InvalidArgument 400
    │   ├── MissingContent            400
    │   ├── InvalidContent            400
    │   ├── InvalidHost               400
    │   ├── AsrBucketUnBinded         400
    │   ├── TemplateNotFound          400 in a body, 404 in a path
    │   ├── TemplateNameDuplicate     400
    │   ├── CreatedTemplateNumLimit   400
    │   ├── QueueNotFound             400 in a body, 404 in a path
    │   ├── BindedBucketNumLimit      400
    │   ├── IdempotencyConflict       409
    │   ├── NoSuchResource            404
    │   ├── NoSuchBucket              404
    │   └── MethodNotAllowed          405
    ├── Forbidden                     AccessDenied 403
    │   ├── RequestExpired            AccessDenied 403, "Request has expired"
    │   ├── InvalidAccessKeyId        403
    │   ├── SignatureDoesNotMatch     403
    │   ├── RequestTimeTooSkewed      403
    │   └── ExpiredToken              403
    ├── TryAgain                      SlowDown 503
    │   ├── QueueFull                 503
    │   ├── RateLimited               503
    │   └── StoreUnavailable          503
    ├── IllegalTransition             InvalidArgument 400
    ├── LeaseLost                     InternalError 500 (seen by workers only)
    ├── CancelAsked                   InternalError 500 (seen by workers only)
    └── JobFailed                     the Code of a job that ended Failed
        ├── SourceNotFound            ResourceNotFound
        ├── SourceAccessDenied        ResourceAccessDenied
        ├── SourceDownloadFailed      ResourceDownloadFailed
        │   └── SourceUnavailable     retryable: another attempt may succeed
        ├── SourceTooLarge            InvalidArgument
        ├── TargetDenied              WriteTargetBucketDenied
        ├── TargetUnavailable         InternalError, retryable
        └── TooManyAttempts           InternalError

The class docstring is the default message, so an error cannot exist without an explanation.
"""

from __future__ import annotations

from typing import ClassVar


class StemlineError(Exception):
    """We encountered an internal error. Please try again."""

    code: ClassVar[str] = "InternalError"
    status: ClassVar[int] = 500

    def __init__(self, message: str = "", *, retry_after_s: float | None = None) -> None:
        self.message = message or " ".join((type(self).__doc__ or self.code).split())
        self.retry_after_s = retry_after_s
        super().__init__(self.message)


class RequestRefused(StemlineError):
    """A parameter of the request is not valid."""

    code = "InvalidArgument"
    status = 400


class MissingContent(RequestRefused):
    """The request body is empty."""

    code = "MissingContent"


class InvalidContent(RequestRefused):
    """The request body cannot be parsed."""

    code = "InvalidContent"


class InvalidHost(RequestRefused):
    """The Host header does not name a bucket of this service."""

    code = "InvalidHost"


class AsrBucketUnBinded(RequestRefused):
    """The speech service is not opened for this bucket."""

    code = "AsrBucketUnBinded"


class TemplateNotFound(RequestRefused):
    """The template does not exist."""

    code = "TemplateNotFound"


class TemplatePathNotFound(TemplateNotFound):
    """The template does not exist."""

    status = 404


class TemplateNameDuplicate(RequestRefused):
    """A template of this name exists already."""

    code = "TemplateNameDuplicate"


class CreatedTemplateNumLimit(RequestRefused):
    """The bucket holds as many templates as it may."""

    code = "CreatedTemplateNumLimit"


class QueueNotFound(RequestRefused):
    """The queue does not exist."""

    code = "QueueNotFound"


class QueuePathNotFound(QueueNotFound):
    """The queue does not exist."""

    status = 404


class BindedBucketNumLimit(RequestRefused):
    """As many buckets are opened as may be."""

    code = "BindedBucketNumLimit"


class IdempotencyConflict(RequestRefused):
    """This Idempotency-Key was used with another request body."""

    status = 409


class NoSuchResource(RequestRefused):
    """The path does not exist."""

    code = "NoSuchResource"
    status = 404


class NoSuchBucket(RequestRefused):
    """The bucket does not exist."""

    code = "NoSuchBucket"
    status = 404


class MethodNotAllowed(RequestRefused):
    """The method is not allowed on this path."""

    code = "MethodNotAllowed"
    status = 405


class Forbidden(StemlineError):
    """Access Denied."""

    code = "AccessDenied"
    status = 403


class RequestExpired(Forbidden):
    """Request has expired"""  # noqa: D415 - Node compares this text byte for byte


class InvalidAccessKeyId(Forbidden):
    """The access key Id you provided does not exist in our records."""

    code = "InvalidAccessKeyId"


class SignatureDoesNotMatch(Forbidden):
    """The signature does not match the request."""

    code = "SignatureDoesNotMatch"


class RequestTimeTooSkewed(Forbidden):
    """The difference between the request time and the server's time is too large."""

    code = "RequestTimeTooSkewed"


class ExpiredToken(Forbidden):
    """The temporary credential has expired."""

    code = "ExpiredToken"


class TryAgain(StemlineError):
    """Please reduce your request rate."""

    code = "SlowDown"
    status = 503


class QueueFull(TryAgain):
    """The queue holds as many waiting jobs as it may."""


class RateLimited(TryAgain):
    """Too many requests with this credential."""


class StoreUnavailable(TryAgain):
    """The job store cannot be reached. Nothing was stored; please try again."""


class IllegalTransition(StemlineError):
    """The job's state does not allow this."""

    code = "InvalidArgument"
    status = 400


class LeaseLost(StemlineError):
    """The job was given to another attempt; this one may write nothing more."""


class CancelAsked(StemlineError):
    """A cancel was asked while the job ran."""


class JobFailed(StemlineError):
    """The job failed."""

    retryable: ClassVar[bool] = False
    """Whether the cause may pass, so that a later attempt can succeed."""


class SourceNotFound(JobFailed):
    """The input object does not exist."""

    code = "ResourceNotFound"


class SourceAccessDenied(JobFailed):
    """The input object may not be read."""

    code = "ResourceAccessDenied"


class SourceDownloadFailed(JobFailed):
    """The input object could not be fetched."""

    code = "ResourceDownloadFailed"


class SourceUnavailable(SourceDownloadFailed):
    """The store of the input object did not answer for too long."""

    retryable = True


class SourceTooLarge(JobFailed):
    """The input object is larger than the service accepts."""

    code = "InvalidArgument"


class TargetDenied(JobFailed):
    """The destination bucket cannot be written."""

    code = "WriteTargetBucketDenied"


class TargetUnavailable(JobFailed):
    """The store of the destination bucket did not answer for too long."""

    retryable = True


class TooManyAttempts(JobFailed):
    """The worker died on every attempt."""
