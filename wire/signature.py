"""Request signatures: HMAC-SHA1 over method, path and the items the client lists (docs/wire/wire.md, 2).

Pure: knows neither sockets nor settings. The clock, the credentials and the request come in as values.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import quote_from_bytes, unquote, unquote_to_bytes

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
TOKEN_NAMES = ("x-ci-security-token", "x-cos-security-token")
_MAY_BE_EMPTY = frozenset({"q-header-list", "q-url-param-list"})
_TIMES = re.compile(r"(\d{1,12});(\d{1,12})", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{40}")


class Key(Protocol):
    """What is known about a SecretId."""

    @property
    def secret(self) -> str:
        """The SecretKey."""

    @property
    def session_token(self) -> str | None:
        """The token that must come with a temporary key."""

    @property
    def expires_at(self) -> int | None:
        """Unix seconds after which a temporary key is refused."""


K = TypeVar("K", bound=Key)


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature can cover."""

    method: str
    path: str
    """Percent-decoded, with the leading ``/``."""
    params: Sequence[tuple[str, str]]
    """Decoded query, in the order received; a name may repeat."""
    headers: Sequence[tuple[str, bytes]]
    """Names in lower case; values as received."""

    def header(self, name: str) -> str:
        """The first header of that name, or an empty text."""
        return next((value.decode("latin-1") for key, value in self.headers if key == name), "")

    def param(self, name: str) -> str:
        """The first query parameter of that name (any case), or an empty text."""
        return next((value for key, value in self.params if key.lower() == name), "")


@dataclass(frozen=True, slots=True)
class Authorization:
    """The seven fields of a signature."""

    secret_id: str
    sign_time: str
    key_time: str
    header_list: tuple[str, ...]
    param_list: tuple[str, ...]
    signature: str

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of both times, Unix seconds."""
        return tuple(_span(text) for text in (self.sign_time, self.key_time))


def enc(value: str | bytes) -> str:
    """Percent-encoding of the UTF-8 bytes with the unreserved set of RFC 3986."""
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    return quote_from_bytes(raw, safe="-_.~")


def find_authorization(request: SignedRequest) -> Authorization | None:
    """The signature a request carries: in the header, in ``q-…`` parameters or in ``sign``.

    Raises:
        Forbidden: there is one, but it is malformed.
    """
    header = request.header("authorization").strip()
    if header:
        return _parse(_pairs(header))
    carried = [(name.lower(), value) for name, value in request.params if name.lower() in FIELDS]
    if carried:
        return _parse(carried)
    sign = request.param("sign").strip()
    return _parse(_pairs(sign)) if sign else None


def verify(
    request: SignedRequest,
    lookup: Callable[[str], K | None],
    *,
    now: float,
    tolerance_s: float = 900,
    require_host: bool = False,
) -> K | None:
    """The key that signed a request, or ``None`` for an unsigned one (docs/wire/wire.md, 2.4).

    Args:
        request: the request as received, nothing normalised.
        lookup: from a SecretId to its key.
        now: Unix seconds.
        tolerance_s: how far in the future the signature may begin.
        require_host: refuse signatures that do not cover ``Host``.

    Raises:
        Forbidden: or one of its kinds, with the code that the wire gives each fault.
    """
    carried = find_authorization(request)
    if carried is None:
        return None
    key = lookup(carried.secret_id)
    if key is None:
        raise InvalidAccessKeyId
    _check_token(request, key, now)
    _check_times(carried, now, tolerance_s)
    if require_host and "host" not in carried.header_list:
        raise SignatureDoesNotMatch("The signature does not cover the Host header.")
    sign_key = _hmac(key.secret, carried.key_time)
    good = False
    for signed in _http_strings(request, carried):
        digest = hashlib.sha1(signed.encode("utf-8", "surrogateescape")).hexdigest()  # noqa: S324 - the wire's
        # Never q-key-time in its place: then q-sign-time would be the one field that nothing protects.
        expected = _hmac(sign_key, f"sha1\n{carried.sign_time}\n{digest}\n")
        good |= hmac.compare_digest(expected, carried.signature)
    if not good:
        raise SignatureDoesNotMatch
    return key


def sign(
    request: SignedRequest,
    *,
    secret_id: str,
    secret_key: str,
    start: int,
    end: int,
    headers: Iterable[str] = ("host",),
    params: Iterable[str] | None = None,
) -> str:
    """The ``Authorization`` value for a request, as an SDK would make it.

    Args:
        request: what is going to be sent.
        secret_id: who signs.
        secret_key: with what.
        start: Unix seconds from which the signature holds.
        end: Unix seconds until which it holds.
        headers: names of the headers to sign; those the request lacks are left out.
        params: names of the parameters to sign; all of them where not given.
    """
    names = {name for name, _ in request.headers}
    listed = tuple(sorted({enc(name).lower() for name in headers if name.lower() in names}))
    chosen = {name for name, _ in request.params} if params is None else set(params)
    chosen_list = tuple(sorted({enc(name).lower() for name in chosen}))
    times = f"{start};{end}"
    carried = Authorization(secret_id, times, times, listed, chosen_list, "")
    text = next(_http_strings(request, carried))
    digest = hashlib.sha1(text.encode("utf-8", "surrogateescape")).hexdigest()  # noqa: S324 - the wire's
    signature = _hmac(_hmac(secret_key, times), f"sha1\n{times}\n{digest}\n")
    values = ("sha1", secret_id, times, times, ";".join(listed), ";".join(chosen_list), signature)
    return "&".join(f"{name}={value}" for name, value in zip(FIELDS, values, strict=True))


def _hmac(key: str, message: str) -> str:
    return hmac.digest(key.encode(), message.encode(), "sha1").hex()


def _pairs(text: str) -> list[tuple[str, str]]:
    return [
        (name.strip(), value)
        for name, _, value in (part.partition("=") for part in text.split("&"))
        if name.strip() in FIELDS
    ]


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
    carried = Authorization(
        secret_id=fields["q-ak"],
        sign_time=fields["q-sign-time"],
        key_time=fields["q-key-time"],
        header_list=_names(fields["q-header-list"]),
        param_list=_names(fields["q-url-param-list"]),
        signature=fields["q-signature"],
    )
    _ = carried.spans
    return carried


def _names(text: str) -> tuple[str, ...]:
    """The items of a list, each once, encoded the way the signature spells names."""
    items = (enc(unquote_to_bytes(item.strip())).lower() for item in text.split(";") if item.strip())
    return tuple(sorted(set(items)))


def _span(text: str) -> tuple[int, int]:
    match = _TIMES.fullmatch(text)
    if not match:
        raise Forbidden("The signature's time is not start;end in Unix seconds.")
    return int(match[1]), int(match[2])


def _check_token(request: SignedRequest, key: Key, now: float) -> None:
    if key.session_token is not None:
        sent = next((t for name in TOKEN_NAMES if (t := request.header(name) or request.param(name))), "")
        if not sent:
            raise Forbidden("This credential needs its security token.")
        if not hmac.compare_digest(sent.encode("utf-8", "replace"), key.session_token.encode()):
            raise Forbidden("The security token is wrong.")
    if key.expires_at is not None and now > key.expires_at:
        raise ExpiredToken


def _check_times(carried: Authorization, now: float, tolerance_s: float) -> None:
    for start, end in carried.spans:
        if now > end:
            raise RequestExpired
        if start > now + tolerance_s or start >= end:
            raise RequestTimeTooSkewed


def _http_strings(request: SignedRequest, carried: Authorization) -> Iterator[str]:
    """The canonical text, once for each way in which a client may have spelled the host."""
    params = _canonical(carried.param_list, _grouped((enc(n).lower(), v) for n, v in request.params))
    headers = _grouped((enc(name).lower(), value) for name, value in request.headers)
    head = f"{request.method.lower()}\n{request.path}\n{params}\n"
    if "host" not in carried.header_list:
        yield f"{head}{_canonical(carried.header_list, headers)}\n"
        return
    hosts = headers.get("host", [])
    if len(hosts) != 1:
        raise SignatureDoesNotMatch("The request does not have exactly one Host header.")
    for host in _host_variants(hosts[0]):
        yield f"{head}{_canonical(carried.header_list, headers | {'host': [host]})}\n"


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
        pairs += sorted(f"{name}={enc(value)}" for value in groups[name])
    return "&".join(pairs)


def _host_variants(host: str | bytes) -> tuple[str, ...]:
    """As received, in lower case, without port, both."""
    text = host if isinstance(host, str) else host.decode("latin-1")
    bare = re.sub(r":\d*$", "", text)
    return tuple(dict.fromkeys((text, text.lower(), bare, bare.lower())))
