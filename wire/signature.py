"""Request signatures: HMAC-SHA1 over method, path and the items that the client lists (docs/wire/wire.md, 2).

Pure functions, without sockets or settings: the time, the credentials and the request are arguments.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, quote_from_bytes, unquote, unquote_to_bytes, urlsplit

from stemline.jobs.errors import (
    ExpiredToken,
    Forbidden,
    InvalidAccessKeyId,
    RequestExpired,
    RequestTimeTooSkewed,
    SignatureDoesNotMatch,
)

FIELDS = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
DIGEST = "x-stemline-content-sha256"
NONCE = "x-stemline-nonce"
"""Headers of wire/integrity.py, which are signed where a request has them."""
OBEYED = ("content-type", "idempotency-key", "last-event-id", "prefer", "x-stemline-additions")
"""Other headers that change what a request does or what its body means."""
TOKEN_NAMES = ("x-ci-security-token", "x-cos-security-token")
KEY_SPAN_S = 2 * 86_400
"""How long a key that is derived from a SecretKey may be valid, s: whoever has it can sign anything.
SDKs derive it for as long as temporary credentials last, 36 hours at most."""
_MAY_BE_EMPTY = frozenset({"q-header-list", "q-url-param-list"})
_TIMES = re.compile(r"(\d{1,12});(\d{1,12})", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{40}")
_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
"""Of a text that is its own encoding, as nearly every name and many values are."""


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
            method: the method.
            target: path and query, encoded as they are sent; a scheme and a host are ignored.
            headers: names in any case, and values.
        """
        parts = urlsplit(target)
        path = unquote_to_bytes(parts.path).decode()
        params = parse_qsl(parts.query, keep_blank_values=True)
        return cls(method, path, params, [(name.lower(), value) for name, value in headers])

    @cached_property
    def authorization(self) -> Authorization | None:
        """The signature that the request carries: in the header, in ``q-…`` parameters or in ``sign``.

        Raises:
            Forbidden: there is one, but it is malformed.
        """
        return _find_authorization(self)

    def header(self, name: str) -> str:
        """Return the first header of a name, or an empty text."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    def param(self, name: str) -> str:
        """Return the first query parameter of a name in any case, or an empty text."""
        return next((value for key, value in self.params if spelled(key) == name), "")


@dataclass(frozen=True)
class Authorization:
    """The fields of a signature, without its algorithm."""

    secret_id: str
    sign_time: str
    key_time: str
    header_list: tuple[str, ...]
    param_list: tuple[str, ...]
    signature: str = ""

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of both times, Unix seconds."""
        matches = [_TIMES.fullmatch(text) for text in (self.sign_time, self.key_time)]
        return [(int(match[1]), int(match[2])) for match in matches if match]

    def compute(self, secret_key: str, http_string: str) -> str:
        """Return the signature of an HttpString (docs/wire/wire.md, 2.2)."""
        data = http_string.encode("utf-8", "surrogateescape")
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()  # the wire's; the HMAC protects it
        # docs/wire/wire.md, 2.4 also allows q-key-time here; then nothing would protect q-sign-time.
        text = f"sha1\n{self.sign_time}\n{digest}\n"
        return _hmac(_hmac(secret_key, self.key_time), text)

    def __str__(self) -> str:
        """Return the value of the ``Authorization`` header."""
        headers, params = ";".join(self.header_list), ";".join(self.param_list)
        values = ("sha1", self.secret_id, self.sign_time, self.key_time, headers, params, self.signature)
        return "&".join(f"{name}={value}" for name, value in zip(FIELDS, values, strict=True))


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
        request: the request as received, nothing normalised.
        lookup: from a SecretId to its key.
        now: Unix seconds.
        tolerance_s: how far in the future the signature may begin.
        require_host: whether the signature must cover ``Host``.
        max_span_s: longest time between start and end of the signature, beyond ``tolerance_s``, by which SDKs
            may put the start into the past; of the key that is derived for it, if longer, ``KEY_SPAN_S``.

    Raises:
        Forbidden: the signature is not valid; the subclass says why.
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
        request: the request that is going to be sent.
        secret_id: SecretId of the signer.
        secret_key: SecretKey of the signer.
        start: Unix seconds from which the signature is valid.
        end: Unix seconds until which it is valid.
        headers: names of the headers to sign; those that the request lacks are left out.
        params: names of the parameters to sign; all of them by default.
    """
    present = {name for name, _ in request.headers}
    chosen = [name for name, _ in request.params] if params is None else params
    times = f"{start};{end}"
    unsigned = Authorization(
        secret_id, times, times, _names(name for name in headers if name.lower() in present), _names(chosen)
    )
    text = next(http_strings(request, unsigned))
    return str(replace(unsigned, signature=unsigned.compute(secret_key, text)))


def _find_authorization(request: SignedRequest) -> Authorization | None:
    header = request.header("authorization").strip()
    if header:
        return _parse(_pairs(header))
    carried = [(name, value) for key, value in request.params if (name := spelled(key)) in FIELDS]
    if carried:
        return _parse(carried)
    sign_parameter = request.param("sign").strip()
    return _parse(_pairs(sign_parameter)) if sign_parameter else None


def http_strings(request: SignedRequest, carried: Authorization) -> Iterator[str]:
    """Yield the HttpString of a request, once for each way in which a client may have spelled the host.

    Raises:
        SignatureDoesNotMatch: the request lacks an item that the signature lists.
    """
    params = _canonical(carried.param_list, _grouped((spelled(n), v) for n, v in request.params))
    headers = _grouped((spelled(name), value) for name, value in request.headers)
    head = f"{request.method.lower()}\n{request.path}\n{params}\n"
    if "host" not in carried.header_list:
        yield f"{head}{_canonical(carried.header_list, headers)}\n"
        return
    hosts = headers.get("host", [])
    if len(hosts) != 1:
        raise SignatureDoesNotMatch("The request does not have exactly one Host header.")
    for host in _host_variants(hosts[0]):
        yield f"{head}{_canonical(carried.header_list, headers | {'host': [host]})}\n"


def encode(value: str | bytes) -> str:
    """Return the percent-encoding of the UTF-8 bytes, with the unreserved set of RFC 3986."""
    if isinstance(value, str):
        if _UNRESERVED.fullmatch(value):
            return value
        value = value.encode("utf-8", "surrogateescape")
    return quote_from_bytes(value, safe="-_.~")


@lru_cache(256)
def spelled(name: str | bytes) -> str:
    """Return a name of a parameter or a header the way a signature spells it: encoded, in lower case.

    Names must be compared in this form: ``str.lower`` makes an ASCII ``k`` of U+212A, so a parameter that a
    signature does not list would stand for one that it does.
    """
    return encode(name).lower()


def _hmac(key: str, message: str) -> str:
    return hmac.digest(key.encode(), message.encode(), "sha1").hex()


def _pairs(text: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in text.split("&"))
    return [(name.strip(), value) for name, _, value in parts if name.strip() in FIELDS]


def _parse(pairs: Sequence[tuple[str, str]]) -> Authorization:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Forbidden("The signature has a field twice.")
    for name in FIELDS:
        if name not in fields or (not fields[name] and name not in _MAY_BE_EMPTY):
            raise Forbidden(f"The signature lacks {name}.")
    if fields["q-sign-algorithm"] != "sha1":
        raise Forbidden("The signature's algorithm is not sha1.")
    if not _DIGEST.fullmatch(fields["q-signature"]):
        raise Forbidden("q-signature is not 40 lower-case hexadecimal digits.")
    if not (_TIMES.fullmatch(fields["q-sign-time"]) and _TIMES.fullmatch(fields["q-key-time"])):
        raise Forbidden("The signature's time is not start;end in Unix seconds.")
    return Authorization(
        secret_id=fields["q-ak"],
        sign_time=fields["q-sign-time"],
        key_time=fields["q-key-time"],
        header_list=_listed(fields["q-header-list"]),
        param_list=_listed(fields["q-url-param-list"]),
        signature=fields["q-signature"],
    )


@lru_cache(256)
def _listed(text: str) -> tuple[str, ...]:
    """Return the names of a list that a signature carries."""
    items = (item.strip() for item in text.split(";"))
    return _names(unquote_to_bytes(item) if "%" in item else item for item in items if item)


def _names(names: Iterable[str | bytes]) -> tuple[str, ...]:
    """Return names the way a signature spells them: encoded, in lower case, sorted, each once."""
    return tuple(sorted({spelled(name) for name in names}))


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


def _grouped(items: Iterable[tuple[str, str | bytes]]) -> dict[str, list[str | bytes]]:
    groups: dict[str, list[str | bytes]] = {}
    for name, value in items:
        groups.setdefault(name, []).append(value)
    return groups


def _canonical(names: Iterable[str], groups: Mapping[str, Sequence[str | bytes]]) -> str:
    pairs: list[str] = []
    for name in names:
        if name not in groups:
            raise SignatureDoesNotMatch(f"The request lacks {unquote(name)!r}, which its signature lists.")
        pairs += sorted(f"{name}={encode(value)}" for value in groups[name])
    return "&".join(pairs)


def _host_variants(host: str | bytes) -> tuple[str, ...]:
    """Return the host as received, in lower case, without port, and both."""
    text = host if isinstance(host, str) else host.decode("latin-1")
    name = re.sub(r":\d*$", "", text)
    return tuple(dict.fromkeys((text, text.lower(), name, name.lower())))
