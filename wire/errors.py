"""Error kinds on the wire: the code and HTTP status of each (docs/wire/wire.md, 9.2)."""

from __future__ import annotations

from collections.abc import Mapping

from stemline.jobs import errors as kinds

INTERNAL = "InternalError"

ANSWERS: Mapping[type[kinds.StemlineError], tuple[str, int]] = {
    kinds.StemlineError: (INTERNAL, 500),
    kinds.RequestRefused: ("InvalidArgument", 400),
    kinds.MissingContent: ("MissingContent", 400),
    kinds.InvalidContent: ("InvalidContent", 400),
    kinds.InvalidHost: ("InvalidHost", 400),
    kinds.AsrBucketUnBinded: ("AsrBucketUnBinded", 400),
    kinds.TemplateNotFound: ("TemplateNotFound", 400),
    kinds.NoSuchTemplate: ("TemplateNotFound", 404),
    kinds.TemplateNameDuplicate: ("TemplateNameDuplicate", 400),
    kinds.CreatedTemplateNumLimit: ("CreatedTemplateNumLimit", 400),
    kinds.QueueNotFound: ("QueueNotFound", 400),
    kinds.NoSuchQueue: ("QueueNotFound", 404),
    kinds.BindedBucketNumLimit: ("BindedBucketNumLimit", 400),
    kinds.IdempotencyConflict: ("InvalidArgument", 409),
    kinds.UploadSuperseded: ("InvalidArgument", 409),
    kinds.NoSuchResource: ("NoSuchResource", 404),
    kinds.NoSuchBucket: ("NoSuchBucket", 404),
    kinds.MethodNotAllowed: ("MethodNotAllowed", 405),
    kinds.IllegalTransition: ("InvalidArgument", 400),
    kinds.Forbidden: ("AccessDenied", 403),
    kinds.BudgetSpent: ("BudgetExceeded", 403),
    kinds.InvalidAccessKeyId: ("InvalidAccessKeyId", 403),
    kinds.SignatureDoesNotMatch: ("SignatureDoesNotMatch", 403),
    kinds.RequestTimeTooSkewed: ("RequestTimeTooSkewed", 403),
    kinds.ExpiredToken: ("ExpiredToken", 403),
    kinds.TryAgain: ("SlowDown", 503),
}
"""Code and status of the error response of each kind; a kind that is missing has those of its base class."""

FAILURES: Mapping[type[kinds.JobFailed], str] = {
    kinds.SourceNotFound: "ResourceNotFound",
    kinds.SourceAccessDenied: "ResourceAccessDenied",
    kinds.SourceDownloadFailed: "ResourceDownloadFailed",
    kinds.SourceWorkerAtFault: INTERNAL,
    kinds.SourceTooLarge: "InvalidArgument",
    kinds.TargetDenied: "WriteTargetBucketDenied",
    kinds.TargetNotWritten: "WriteTargetObjectFailed",
    kinds.TargetUnavailable: "WriteTargetObjectFailed",
    kinds.TargetWorkerAtFault: INTERNAL,
    kinds.JobTimeout: "JobTimeout",
}
"""``Code`` of a failed job by the kind of its failure; ``INTERNAL`` for all others."""


def code_of(error: BaseException) -> str:
    """Return the ``Code`` of an error, for an error response or a failed job."""
    for kind in type(error).__mro__:
        if kind in FAILURES:
            return FAILURES[kind]
        if kind in ANSWERS:
            return ANSWERS[kind][0]
    return INTERNAL


def status_of(error: kinds.StemlineError) -> int:
    """Return the HTTP status of the response to an error."""
    return next(ANSWERS[kind][1] for kind in type(error).__mro__ if kind in ANSWERS)
