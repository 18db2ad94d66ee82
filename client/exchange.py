"""From a call to a signed HTTP request, and from an HTTP response to the answer or an error."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx

from stemline.client.call import Call
from stemline.client.errors import ConnectionFailed, NotConfigured, api_error
from stemline.client.names import is_utf8
from stemline.client.target import Target
from stemline.jobs.reasons import reason_of
from stemline.wire.codec import JSON, to_json
from stemline.wire.integrity import integrity_headers
from stemline.wire.signature import DIGEST, NONCE, OBEYED, sign
from stemline.wire.signed_request import SignedRequest

T = TypeVar("T")
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_VALID_S: Final = 900
_TENANT: Final = "x-stemline-tenant"
_SIGNED: Final = ("host", DIGEST, NONCE, _TENANT, *OBEYED)


@dataclass(frozen=True, slots=True)
class Exchange:
    """Requests to one service with one key pair."""

    target: Target
    clock: Callable[[], float] = time.time

    def request(self, call: Call[Any], *, within_s: float | None = None) -> httpx.Request:
        """Return a new, signed request; each try needs one of its own, because a signature has a nonce.

        Args:
            call: What is asked.
            within_s: How long to wait for each part of the answer, instead of the client's own time.

        Raises:
            ValueError: It has a text that is not UTF-8, or a header that no request can have.
        """
        _check(call)
        target = self.target
        body = call.content if call.body is None else to_json(dict(call.body))
        path = call.path + (f"?{urlencode(call.params)}" if call.params else "")
        headers = {"Host": target.host or urlsplit(target.api).netloc, "Accept": JSON, **call.headers}
        if body:
            headers["Content-Type"] = call.content_type
        headers |= integrity_headers(body)
        if target.secret_id and target.bucket:
            # An address may stand for another bucket: the service must not take this one for that.
            headers[_TENANT] = f"{target.region}/{target.bucket}"
        if target.session_token:
            headers["x-cos-security-token"] = target.session_token
        if target.secret_id:
            now = int(self.clock())
            headers["Authorization"] = sign(
                SignedRequest.of(
                    call.method, path, [(name, value.encode()) for name, value in headers.items()]
                ),
                secret_id=target.secret_id,
                secret_key=target.secret_key,
                headers=_SIGNED,
                start=now - 60,
                end=now + _VALID_S,
            )
        waits = {} if within_s is None else {"timeout": httpx.Timeout(within_s).as_dict()}
        url = target.api.rstrip("/") + path
        return httpx.Request(call.method, url, headers=headers, content=body, extensions=waits)

    def read(self, call: Call[T], response: httpx.Response) -> T:
        """Return what the answer to a call means.

        Raises:
            ApiError: It is an error.
            ConnectionFailed: It is not an answer of this service.
        """
        if response.status_code != 200:
            raise _error(response, self.target.api, self.clock())
        try:
            return call.read(json.loads(response.content or b"{}"))
        except (ValueError, LookupError, AttributeError, TypeError, RecursionError):
            raise ConnectionFailed(f"{self.target.api} is not a Stemline API: {_start(response)}") from None

    def has_events(self, call: Call[None], response: httpx.Response) -> bool:
        """Return whether events follow; otherwise there are no more.

        Args:
            call: Call that asked for them.
            response: Response of which the content is read already unless its status is 200.

        Raises:
            ApiError: The answer is an error.
            ConnectionFailed: It is not an answer of this service.
        """
        if response.status_code == 204:
            return False
        if response.status_code != 200:
            self.read(call, response)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise ConnectionFailed(f"{self.target.api} is not a Stemline API: it sends no events")
        return True

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Raise ConnectionFailed for a fault of the connection, which is its cause."""
        try:
            yield
        except httpx.HTTPError as fault:
            raise ConnectionFailed(f"{self.target.api} does not answer: {reason_of(fault)}") from fault

    def options(self, timeout_s: float) -> dict[str, Any]:
        """Return how an HTTP client reaches the service."""
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=32)
        return {**reaching(self.target.api, self.target.ca_file), "timeout": timeout_s, "limits": limits}


def reaching(url: str, ca_file: str = "") -> dict[str, Any]:
    """Return how an HTTP client trusts and reaches a server.

    A certificate on this machine is for another name, or of an authority that is trusted nowhere else, and no
    proxy leads to it.
    """
    is_local = urlsplit(url).hostname in LOOPBACK
    trust: bool | ssl.SSLContext = False
    if ca_file or not is_local:
        try:
            trust = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:  # SSLError is one
            reason = error.strerror if isinstance(error, FileNotFoundError | PermissionError) else "no PEM"
            raise NotConfigured(f"the file of authorities {ca_file} cannot be used: {reason}") from error
    return {"verify": trust, "trust_env": not is_local}


def reason_of_transfer(error: Exception) -> str:
    """Return why a transfer failed, without its URL, which may be signed."""
    match error:
        case httpx.HTTPStatusError():
            return f"the store answered {error.response.status_code}"
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return "the service gave no link to it"
        case _:
            return reason_of(error)


def _check(call: Call[Any]) -> None:
    """Check that a request can hold what a call says.

    Raises:
        ValueError: A text is not UTF-8, and would become another one; or a header has other letters.
    """
    for text in _texts([call.params, call.body]):
        if not is_utf8(text):
            raise ValueError(f"{text!a} is not UTF-8: no request can hold it")
    for name, value in call.headers.items():
        if not (value.isascii() and value.isprintable() and value == value.strip()):
            raise ValueError(f"{name} is {value!a}, but may hold printable ASCII characters alone")


def _texts(tree: Any) -> Iterator[str]:
    """Yield every text of a tree."""
    match tree:
        case str():
            yield tree
        case Mapping():
            for name, value in tree.items():
                yield name
                yield from _texts(value)
        case list() | tuple():
            for value in tree:
                yield from _texts(value)


def _error(response: httpx.Response, api: str, now: float) -> Exception:
    try:
        fields: Any = json.loads(response.content)
    except (ValueError, RecursionError):
        fields = None
    if isinstance(fields, dict) and isinstance(fields.get("Error"), dict):
        fields = fields["Error"]
    if not isinstance(fields, dict) or "Code" not in fields:
        # A proxy's own page, or the answer to a request that the server could not read.
        if response.status_code not in {429, 502, 503, 504}:
            return ConnectionFailed(f"{api} answered {response.status_code}: {_start(response)}")
        fields = {"Code": "SlowDown", "Message": f"the proxy answered {response.status_code}"}
    return api_error(
        503 if fields["Code"] == "SlowDown" else response.status_code,
        str(fields["Code"]),
        str(fields.get("Message", "")),
        request_id=str(fields.get("RequestId") or response.headers.get("x-ci-request-id", "")),
        retry_after_s=_retry_after(response.headers),
        clock_ahead_s=_clock_ahead(response.headers, now),
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None


def _clock_ahead(headers: Mapping[str, str], now: float) -> float | None:
    try:
        return now - parsedate_to_datetime(headers["date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _start(response: httpx.Response) -> str:
    return " ".join(response.text[:200].split()) or "an empty answer"
