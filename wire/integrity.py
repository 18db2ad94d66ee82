"""A digest of the body and a nonce that a signature may cover (docs/api.md, "Signed bodies").

The vendor's scheme covers no body, and nothing in it distinguishes a request from its copy. Where a client
signs these two headers, a request with another body and every later copy of the same request are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from typing import Final

from stemline.jobs.errors import SignatureDoesNotMatch
from stemline.wire.authorization import FIELDS, Authorization
from stemline.wire.signature import DIGEST, NONCE, OBEYED, TOKEN_NAMES
from stemline.wire.signed_request import SignedRequest
from stemline.wire.spelling import spelled

_DIGEST_FORM: Final = re.compile("[0-9a-f]{64}")
_NONCE_FORM: Final = re.compile("[A-Za-z0-9._~-]{16,128}")
#: Parameters that are, or belong to, a signature.
_OF_SIGNATURES: Final = frozenset({*FIELDS, *TOKEN_NAMES, "sign"})


@dataclass(frozen=True, slots=True)
class Integrity:
    """What a verified signature says about the body and the nonce of its request."""

    digest: str | None
    """SHA-256 of the body, hexadecimal; ``None`` if the signature covers none."""
    nonce: str | None
    """``None`` if the signature covers none."""
    valid_until: int
    """End of the signature, Unix seconds."""

    @classmethod
    def of(cls, request: SignedRequest, *, required: bool = False) -> Integrity:
        """Return what the signature of a request says; it must have been verified.

        Args:
            request: The request as received.
            required: Whether the signature must cover both headers, every other one that the service
                obeys, and every parameter.

        Raises:
            SignatureDoesNotMatch: A header is malformed, or required and not covered.
        """
        carried = request.authorization
        if carried is None:
            return cls(None, None, 0)
        covered = {name: request.header(name) for name in (DIGEST, NONCE) if name in carried.header_list}
        if required:
            _check_coverage(request, carried)
        digest, nonce = covered.get(DIGEST), covered.get(NONCE)
        if any(sum(key == name for key, _ in request.headers) > 1 for name in covered):
            raise SignatureDoesNotMatch(f"A request may have one {DIGEST} and one {NONCE}.")
        if digest is not None and not _DIGEST_FORM.fullmatch(digest):
            raise SignatureDoesNotMatch(f"{DIGEST} must be 64 lower-case hexadecimal digits.")
        if nonce is not None and not _NONCE_FORM.fullmatch(nonce):
            raise SignatureDoesNotMatch(f"{NONCE} must be 16 to 128 letters, digits, dots, -, _ or ~.")
        return cls(digest, nonce, min(end for _, end in carried.spans))

    def check_body(self, body: bytes) -> None:
        """Check the body of the request.

        Raises:
            SignatureDoesNotMatch: It is not the body whose digest was signed.
        """
        if self.digest is not None:
            self.check_digest(hashlib.sha256(body).hexdigest())

    def check_digest(self, digest: str) -> None:
        """Check the SHA-256 of the body, hexadecimal.

        Raises:
            SignatureDoesNotMatch: It is not the one that was signed.
        """
        if self.digest is not None and not hmac.compare_digest(self.digest, digest):
            raise SignatureDoesNotMatch(f"The body does not have the signed {DIGEST}.")


def _check_coverage(request: SignedRequest, carried: Authorization) -> None:
    """Check that a signature covers both headers, every other one that the service obeys, and all parameters.

    Raises:
        SignatureDoesNotMatch: It leaves one out.
    """
    headers = set(carried.header_list)
    if not {DIGEST, NONCE} <= headers:
        raise SignatureDoesNotMatch(f"This credential must sign the headers {DIGEST} and {NONCE}.")
    params = {spelled(name) for name, _ in request.params} - _OF_SIGNATURES
    if not params <= set(carried.param_list):
        raise SignatureDoesNotMatch("This credential must sign every parameter.")
    if unsigned := {name for name, _ in request.headers if name in OBEYED} - headers:
        raise SignatureDoesNotMatch(f"This credential must sign the header {min(unsigned)}.")


def integrity_headers(body: bytes) -> dict[str, str]:
    """Return the two headers of a new request; :func:`~stemline.wire.signature.sign` covers them."""
    return {DIGEST: hashlib.sha256(body).hexdigest(), NONCE: secrets.token_urlsafe(18)}
