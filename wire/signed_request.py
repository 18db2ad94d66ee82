"""The parts of a request that a signature can cover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from stemline.wire.authorization import FIELDS, Authorization
from stemline.wire.spelling import spelled


@dataclass(frozen=True)
class SignedRequest:
    """The parts of a request that a signature can cover."""

    method: str
    path: str
    """Percent-decoded, with the leading ``/``."""
    params: Sequence[tuple[str, str]]
    """Decoded query, in the order received; a name may repeat."""
    headers: Sequence[tuple[str, bytes]]
    """Names in lower case; values as received."""

    @classmethod
    def of(cls, method: str, target: str, headers: Iterable[tuple[str, bytes]]) -> SignedRequest:
        """Return the parts of a request that a client is going to send.

        Args:
            method: The method.
            target: Path and query, encoded as they are sent; a scheme and a host are ignored.
            headers: Names in any case, and values.
        """
        parts = urlsplit(target)
        path = unquote_to_bytes(parts.path).decode()
        params = parse_qsl(parts.query, keep_blank_values=True)
        return cls(method, path, params, [(name.lower(), value) for name, value in headers])

    @cached_property
    def authorization(self) -> Authorization | None:
        """The signature that the request carries: in the header, in ``q-…`` parameters or in ``sign``.

        Raises:
            Forbidden: There is one, but it is malformed.
        """
        return _find_authorization(self)

    def header(self, name: str) -> str:
        """Return the first header of a name, or an empty text."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    def param(self, name: str) -> str:
        """Return the first query parameter of a name in any case, or an empty text."""
        return next((value for key, value in self.params if spelled(key) == name), "")


def _find_authorization(request: SignedRequest) -> Authorization | None:
    header = request.header("authorization").strip()
    if header:
        return Authorization.parse(header)
    carried = [(name, value) for key, value in request.params if (name := spelled(key)) in FIELDS]
    if carried:
        return Authorization.from_fields(carried)
    sign_parameter = request.param("sign").strip()
    return Authorization.parse(sign_parameter) if sign_parameter else None
