"""Who is at fault for a failed request to a store: one table for every status and error code."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from botocore.exceptions import (
    AwsChunkedWrapperError,
    BaseEndpointResolverError,
    BotoCoreError,
    ChecksumError,
    ClientError,
    EndpointProviderError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    InvalidDNSNameError,
    InvalidRegionError,
    ParamValidationError,
    ResponseStreamingError,
    UnsupportedS3AccesspointConfigurationError,
    UnsupportedS3ArnError,
    UnsupportedS3ConfigurationError,
    ValidationError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from stemline.storage.s3_errors import UnusableResponse, code_of_store, status_of


class Fault(Enum):
    """Whose fault an error is, which decides what becomes of the job."""

    STORE = "the store, or what stands before it: the request is repeated, then the job is put off"
    WORKER = "this worker's keys, clock or proxy: the job is put off, and another worker may do it"
    ENTRY = "the operator's entry for the bucket: the job is put off until the entry is corrected"
    DENIED = "the policy of the bucket: final"
    MISSING = "there is no such object, bucket or upload: final"
    REQUEST = "what the job asks for: final"


CODES: Final[Mapping[str, Fault]] = {
    **dict.fromkeys(
        (
            "BadDigest",
            "IncompleteBody",
            "InternalError",
            "OperationAborted",
            "RequestTimeout",
            "ServiceUnavailable",
            "SlowDown",
            "TemporaryRedirect",
        ),
        Fault.STORE,
    ),
    # Only keys that expire have a token, and an entry has none: they are the machine's own.
    **dict.fromkeys(
        (
            "ExpiredToken",
            "ExpiredTokenException",
            "InvalidToken",
            "RequestExpired",
            "RequestTimeTooSkewed",
            "TokenRefreshRequired",
        ),
        Fault.WORKER,
    ),
    # The keys, their region or the address. Clients choose none of these.
    **dict.fromkeys(
        (
            "AuthorizationHeaderMalformed",
            "InvalidAccessKeyId",
            "InvalidSecurity",
            "MissingSecurityHeader",
            "PermanentRedirect",
            "SignatureDoesNotMatch",
        ),
        Fault.ENTRY,
    ),
}
"""By the error code of the store; it takes precedence over the status."""

STATUSES: Final[Mapping[int, Fault]] = {
    301: Fault.ENTRY,
    308: Fault.ENTRY,
    401: Fault.ENTRY,
    403: Fault.DENIED,
    404: Fault.MISSING,
    407: Fault.WORKER,
    408: Fault.STORE,
    421: Fault.STORE,
    429: Fault.STORE,
    511: Fault.WORKER,
}
"""By the HTTP status. Others are `REQUEST` from 400 to 499, and `STORE` below and above."""

_WITHOUT_BODY: Final = frozenset(
    {"HeadObject", "HeadBucket", "AbortMultipartUpload", "DeleteObject", "delete_object"}
)
"""Operations that a store may refuse without naming a code."""
_PAGES: Final = frozenset({400, 401, 403, 404, 405})
"""Statuses that proxies and other servers answer with too, without a code of S3."""
_FOR_KEYS: Final = frozenset(
    {"AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "CreateToken", "GetRoleCredentials"}
)
"""Operations of other services, by which botocore fetches the machine's own keys."""

_OF_STORE: Final = (
    UnusableResponse,
    BotoConnectionError,
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
    AwsChunkedWrapperError,
    ChecksumError,
    FlexibleChecksumError,
    InvalidRegionError,  # as a redirect names it
    ConnectionError,
    TimeoutError,
)
_OF_REQUEST: Final = (
    BaseEndpointResolverError,
    EndpointProviderError,
    InvalidDNSNameError,
    ParamValidationError,
    UnsupportedS3AccesspointConfigurationError,
    UnsupportedS3ArnError,
    UnsupportedS3ConfigurationError,
    ValidationError,
)

REMEDIES: Final[Mapping[Fault, str]] = {
    Fault.WORKER: "Check this machine's keys or role, its clock and its proxy.",
    Fault.ENTRY: "Check access_key, secret_key, region and endpoint_url of the bucket in STEMLINE_BUCKETS.",
}
"""What the operator does; it stands in the log."""


def fault_of(error: BaseException) -> Fault:
    """Return whose fault an error is that a request to a store raised."""
    if isinstance(error, ClientError):
        return _fault_of_answer(status_of(error), code_of_store(error), error.operation_name)
    if isinstance(error, _OF_STORE):
        return Fault.STORE
    if isinstance(error, BotoCoreError) and not isinstance(error, _OF_REQUEST):
        return Fault.WORKER  # before any request: a profile, a file or a role that gives no keys
    return Fault.REQUEST


def _fault_of_answer(status: int, code: str, operation: str) -> Fault:
    if code in CODES:
        return CODES[code]
    if operation in _FOR_KEYS and status < 500:
        return Fault.WORKER
    if operation == "HeadObject" and status == 400:
        return Fault.WORKER  # how AWS answers HEAD where it answers ExpiredToken to GET
    known = STATUSES.get(status)
    if status in _PAGES and code in {"", str(status)} and operation not in _WITHOUT_BODY:
        return Fault.STORE  # no store's own answer: it would name the error
    return known or (Fault.REQUEST if 400 <= status < 500 else Fault.STORE)
