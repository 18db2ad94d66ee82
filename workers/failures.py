"""The code that a job fails with, for the errors of every package that an attempt uses."""

from __future__ import annotations

from collections.abc import Mapping

from stemline.jobs.errors import JobFailed, SourceUnavailable, TargetUnavailable
from stemline.separation.errors import (
    BrokenNetwork,
    DecoderCrashed,
    DecodingTooExpensive,
    DeviceError,
    LimitExceeded,
    MediaError,
    OptionError,
    SeparationError,
    WeightsError,
)
from stemline.wire.errors import INTERNAL, code_of

SEPARATION_CODES: Mapping[type[SeparationError], str] = {
    MediaError: "InvalidContent",
    OptionError: "InvalidArgument",
    LimitExceeded: "InvalidArgument",
    DecodingTooExpensive: "DecodingTooExpensive",
    DecoderCrashed: "DecoderCrashed",
    WeightsError: "WeightsUnavailable",
    DeviceError: "DeviceUnavailable",
    BrokenNetwork: "ModelFailed",
}
"""``Code`` of a failed job by the kind of the separator's error (docs/errors.md)."""


def failure_code(error: JobFailed | SeparationError) -> str:
    """Return the ``Code`` of an attempt that ends with `error`; ``InternalError`` for kinds without one."""
    for kind in type(error).__mro__:
        if kind in SEPARATION_CODES:
            return SEPARATION_CODES[kind]
    return code_of(error)


def final_code(error: JobFailed | SeparationError) -> str:
    """Return the ``Code`` of a job that fails with `error`.

    It is the code of its attempts, except after an outage of a bucket, which is no fault of the job.
    """
    if isinstance(error, SourceUnavailable | TargetUnavailable) and not error.counts:
        return INTERNAL
    return failure_code(error)
