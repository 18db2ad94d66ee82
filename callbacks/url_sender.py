"""Deliver by HTTP POST to the client's URL (docs/wire/wire.md, 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpcore

from stemline.callbacks.address_guard import AddressGuard, AddressRefused
from stemline.callbacks.connection import Deadline, NameNotFound
from stemline.callbacks.http import BadUrl, Response, basic_authorization, parse_url, post
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.reasons import reason_of
from stemline.runtime.http_date import seconds_of

KEPT_ANSWER_BYTES: Final = 1024
"""How much of a response is recorded with the attempt."""
USER_AGENT: Final = "Stemline"
_FAILURES: Final = (
    (AddressRefused, "refused"),
    (NameNotFound, "dns"),
    (httpcore.TimeoutException, "timeout"),
    (httpcore.ConnectError, "unreachable"),
    (httpcore.ProxyError, "proxy"),
    (httpcore.NetworkError, "closed"),
    (httpcore.ProtocolError, "closed"),
)


@dataclass(frozen=True, slots=True)
class UrlSender:
    """Sends callbacks to URLs."""

    guard: AddressGuard
    timeout_s: float
    proxy: str | None = None

    def send(
        self, url: str, body: bytes, content_type: str, headers: Mapping[str, str], now_s: float
    ) -> Outcome:
        """POST a body to a URL. Any 2xx is success, 410 is final, everything else is retried.

        Args:
            url: The URL as the client gave it.
            body: The request body.
            content_type: Content type of the body.
            headers: Further headers, such as the signature's.
            now_s: Unix seconds, for a ``Retry-After`` with a date.
        """
        try:
            target = parse_url(url)
            fields = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Content-Type", content_type)]
            if target.userinfo:
                fields.append(("Authorization", basic_authorization(target.userinfo)))
            response = post(
                target,
                body,
                [*fields, *headers.items()],
                guard=self.guard,
                deadline=Deadline(self.timeout_s),
                proxy=self.proxy,
            )
        except BadUrl as error:
            return failed("bad-url", error, final=True)
        except Exception as error:
            status = failure_status(error)
            if status is None:
                raise
            reason = f"no answer within {self.timeout_s:g} s" if status == "timeout" else reason_of(error)
            return failed(status, reason)
        return outcome_of(response, now_s)


def failure_status(error: Exception) -> str | None:
    """Return the status to record for a network failure, such as ``timeout``; ``None`` for other errors."""
    return next((status for kind, status in _FAILURES if isinstance(error, kind)), None)


def outcome_of(response: Response, now_s: float) -> Outcome:
    """Return what a response means for the delivery."""
    answer = _answer_of(response)
    if 200 <= response.status <= 299:
        return Outcome(delivered=True, status=str(response.status), answer=answer)
    return Outcome(
        delivered=False,
        status=str(response.status),
        answer=answer,
        final=response.status == 410,
        retry_after_s=retry_after_s(response.headers.get("retry-after", ""), now_s),
    )


def _answer_of(response: Response) -> str:
    """Return what is kept of a response: the target of a redirect, and its first bytes."""
    answer = response.body[:KEPT_ANSWER_BYTES].decode(errors="replace")
    location = response.headers.get("location", "")
    if 300 <= response.status <= 399 and location:
        answer = f"Location: {location}\n{answer}".strip()[:KEPT_ANSWER_BYTES]
    return answer


def retry_after_s(value: str, now_s: float) -> float | None:
    """Return the seconds a ``Retry-After`` header (number or date) asks for; ``None`` if it is invalid."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    moment_s = seconds_of(value)
    return None if moment_s is None else max(0.0, moment_s - now_s)
