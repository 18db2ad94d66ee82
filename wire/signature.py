"""Request signatures: HMAC-SHA1 over method, path and the items that the client lists (docs/wire/wire.md, 2).

Pure functions, without sockets or settings: the time, the credentials and the request are arguments.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Protocol, TypeVar

from stemline.jobs.errors import (
    ExpiredToken,
    Forbidden,
    InvalidAccessKeyId,
    RequestExpired,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)
from stemline.wire.authorization import Authorization
from stemline.wire.http_string import http_strings
from stemline.wire.signed_request import SignedRequest
from stemline.wire.spelling import spelled_names

DIGEST = "x-stemline-content-sha256"
NONCE = "x-stemline-nonce"
"""Headers of wire/integrity.py, which are signed where a request has them."""
OBEYED = ("content-type", "idempotency-key", "last-event-id", "prefer", "x-stemline-additions")
"""Other headers that change what a request does or what its body means."""
TOKEN_NAMES = ("x-ci-security-token", "x-cos-security-token")
KEY_SPAN_S = 2 * 86_400
"""How long a key that is derived from a SecretKey may be valid, s: whoever has it can sign anything.
SDKs derive it for as long as temporary credentials last, 36 hours at most."""


class Key(Protocol):
    """The key of a SecretId."""

    @property
    def secret(self) -> str:
        """The SecretKey."""

    @property
    def session_token(self) -> str | None:
        """The token that a request with a temporary key must carry."""

    @property
    def expires_at(self) -> int | None:
        """End of a temporary key, Unix seconds."""


K = TypeVar("K", bound=Key)


def verify(
    request: SignedRequest,
    lookup: Callable[[str], K | None],
    *,
    now: float,
    tolerance_s: float = 900,
    require_host: bool = False,
    max_span_s: float | None = None,
) -> K | None:
    """Return the key that signed a request, or ``None`` for an unsigned one (docs/wire/wire.md, 2.4).

    Args:
        request: The request as received, nothing normalised.
        lookup: From a SecretId to its key.
        now: Unix seconds.
        tolerance_s: How far in the future the signature may begin.
        require_host: Whether the signature must cover ``Host``.
        max_span_s: Longest time between start and end of the signature, beyond ``tolerance_s``, by which SDKs
            may put the start into the past; of the key that is derived for it, if longer, ``KEY_SPAN_S``.

    Raises:
        Forbidden: The signature is not valid; the subclass says why.
    """
    carried = request.authorization
    if carried is None:
        return None
    key = lookup(carried.secret_id)
    if key is None:
        raise InvalidAccessKeyId
    _check_token(request, key, now)
    _check_times(carried, now, tolerance_s, max_span_s)
    if require_host and "host" not in carried.header_list:
        raise SignatureDoesNotMatch("The signature does not cover the Host header.")
    matches = False
    for text in http_strings(request, carried):
        matches |= hmac.compare_digest(carried.compute(key.secret, text), carried.signature)
    if not matches:
        raise SignatureDoesNotMatch
    return key


def sign(
    request: SignedRequest,
    *,
    secret_id: str,
    secret_key: str,
    start: int,
    end: int,
    headers: Iterable[str] = ("host", DIGEST, NONCE, *OBEYED),
    params: Iterable[str] | None = None,
) -> str:
    """Return the ``Authorization`` value of a request, as an SDK makes it.

    Args:
        request: The request that is going to be sent.
        secret_id: SecretId of the signer.
        secret_key: SecretKey of the signer.
        start: Unix seconds from which the signature is valid.
        end: Unix seconds until which it is valid.
        headers: Names of the headers to sign; those that the request lacks are left out.
        params: Names of the parameters to sign; all of them by default.
    """
    present = {name for name, _ in request.headers}
    chosen = [name for name, _ in request.params] if params is None else params
    times = f"{start};{end}"
    unsigned = Authorization(
        secret_id,
        times,
        times,
        spelled_names(name for name in headers if name.lower() in present),
        spelled_names(chosen),
    )
    text = next(http_strings(request, unsigned))
    return str(replace(unsigned, signature=unsigned.compute(secret_key, text)))


def _check_token(request: SignedRequest, key: Key, now: float) -> None:
    if key.session_token is not None:
        sent = next((t for name in TOKEN_NAMES if (t := request.header(name) or request.param(name))), "")
        if not sent:
            raise Forbidden("This credential needs its security token.")
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), key.session_token.encode()):
            raise Forbidden("The security token is wrong.")
    if key.expires_at is not None and now > key.expires_at:
        raise ExpiredToken


def _check_times(carried: Authorization, now: float, tolerance_s: float, max_span_s: float | None) -> None:
    for start, end in carried.spans:
        if now > end:
            raise RequestExpired
        if start > now + tolerance_s or start >= end:
            raise RequestTimeTooSkewed
    if max_span_s is None:
        return
    names = {"signature": max_span_s, "signing key": max(max_span_s, KEY_SPAN_S)}
    for (start, end), (name, max_s) in zip(carried.spans, names.items(), strict=True):
        if end - start > max_s + tolerance_s:
            raise Forbidden(f"The {name} is valid for longer than {max_s:g} s.")
