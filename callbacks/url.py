"""One try to deliver by HTTP POST to the client's URL (docs/wire/wire.md, 7.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import httpcore

from stemline.callbacks.connect import Deadline, NameNotFound
from stemline.callbacks.guard import AddressRefused, Guard
from stemline.callbacks.http import Answer, BadUrl, basic_authorization, parse_url, post
from stemline.callbacks.outcome import Outcome, failed

KEPT_ANSWER_BYTES: Final = 1024
"""How much of an answer is kept with the attempt."""
USER_AGENT: Final = "Stemline"
_WORDS: Final = (
    (AddressRefused, "refused"),
    (NameNotFound, "dns"),
    (httpcore.TimeoutException, "timeout"),
    (httpcore.ConnectError, "unreachable"),
    (httpcore.ProxyError, "proxy"),
    (httpcore.NetworkError, "closed"),
    (httpcore.ProtocolError, "closed"),
)


@dataclass(frozen=True, slots=True)
class Sender:
    """How this process calls URLs."""

    guard: Guard
    timeout_s: float
    proxy: str | None = None

    def send(
        self, url: str, body: bytes, content_type: str, headers: Mapping[str, str], now_s: float
    ) -> Outcome:
        """POST a body to a URL; any 2xx is success, 410 ends it, everything else may be tried again.

        Args:
            url: As the client gave it.
            body: What is said.
            content_type: Of the body.
            headers: Signature headers, if any.
            now_s: Unix seconds, for a ``Retry-After`` that names a date.
        """
        try:
            target = parse_url(url)
            fields = [("User-Agent", USER_AGENT), ("Accept", "*/*"), ("Content-Type", content_type)]
            if target.userinfo:
                fields.append(("Authorization", basic_authorization(target.userinfo)))
            answer = post(
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
            status = failure_word(error)
            if status is None:
                raise
            reason = f"no answer within {self.timeout_s:g} s" if status == "timeout" else error
            return failed(status, reason or type(error).__name__)
        return judge(answer, now_s)


def failure_word(error: Exception) -> str | None:
    """The word that an attempt's record carries for a failure of the network; ``None`` for any other."""
    return next((word for kind, word in _WORDS if isinstance(error, kind)), None)


def judge(answer: Answer, now_s: float) -> Outcome:
    """What an answer means for the delivery."""
    return Outcome(
        delivered=200 <= answer.status <= 299,
        status=str(answer.status),
        answer=answer.body[:KEPT_ANSWER_BYTES].decode(errors="replace"),
        final=answer.status == 410,
        retry_after_s=retry_after_s(answer.headers.get("retry-after", ""), now_s),
    )


def retry_after_s(value: str, now_s: float) -> float | None:
    """Seconds a ``Retry-After`` asks for, from a number or a date; ``None`` if it says nothing readable."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:12])
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return max(0.0, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now_s)
