"""Send messages to TDMQ by the CMQ HTTP protocol (docs/wire/wire.md, 7.4)."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from stemline.callbacks.address_guard import AddressGuard
from stemline.callbacks.connection import Deadline
from stemline.callbacks.http import parse_url, post
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.callback import MqConfig

PATH: Final = "/v2/index.php"
CLIENT: Final = "Stemline"
DIGESTS: Final[Mapping[str, str]] = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
ANY_ADDRESS: Final = AddressGuard.allowing(("0.0.0.0/0", "::/0"))
"""The operator sets the endpoints, so private addresses are allowed."""


@dataclass(frozen=True, slots=True)
class CmqSender:
    """A CMQ producer with its key."""

    secret_id: str
    secret_key: str
    method: str = "HmacSHA1"
    timeout_s: float = 10.0

    def send(self, endpoint: str, mq: MqConfig, body: bytes, now_s: float) -> Outcome:
        """Send one message.

        Args:
            endpoint: URL of the service; a path in it replaces ``/v2/index.php``.
            mq: The queue or topic.
            body: The message; the same bytes as the body of a Url callback.
            now_s: Unix seconds.
        """
        target = parse_url(endpoint if endpoint.rstrip("/").count("/") > 2 else endpoint.rstrip("/") + PATH)
        fields = self.sign(message(mq, body) | self._common(now_s), target.authority, target.target.decode())
        response = post(
            target,
            urlencode(fields).encode(),
            [("Content-Type", "application/x-www-form-urlencoded")],
            guard=ANY_ADDRESS,
            deadline=Deadline(self.timeout_s),
        )
        return outcome_of(response.status, response.body)

    def sign(self, fields: Mapping[str, str], host: str, path: str) -> dict[str, str]:
        """Return the fields with their ``Signature``.

        The signed text is method, host, path and the fields in byte order of their names, not
        URL-encoded, with ``_`` in names written as ``.``.
        """
        pairs = "&".join(f"{name.replace('_', '.')}={fields[name]}" for name in sorted(fields))
        text = f"POST{host}{path}?{pairs}"
        digest = hmac.digest(self.secret_key.encode(), text.encode(), DIGESTS[self.method])
        return {**fields, "Signature": base64.b64encode(digest).decode()}

    def _common(self, now_s: float) -> dict[str, str]:
        return {
            "SecretId": self.secret_id,
            "Nonce": str(secrets.randbelow(2**31 - 1) + 1),
            "Timestamp": str(int(now_s)),
            "SignatureMethod": self.method,
            "RequestClient": CLIENT,
        }


def message(mq: MqConfig, body: bytes) -> dict[str, str]:
    """Return action and fields of a message for a queue or a topic."""
    text = body.decode()
    if mq.mode == "Topic":
        return {"Action": "PublishMessage", "topicName": mq.name, "msgBody": text, "routingKey": ""}
    return {"Action": "SendMessage", "queueName": mq.name, "msgBody": text, "delaySeconds": "0"}


def outcome_of(status: int, body: bytes) -> Outcome:
    """Return what a response means; only HTTP 200 with ``code`` 0 is success."""
    text = body[:1024].decode(errors="replace")
    if status != 200:
        return failed(str(status), text)
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        code = None
    if not isinstance(code, int | str) or isinstance(code, bool):
        return failed("cmq", f"not a response of the CMQ protocol: {text}")
    if code != 0:
        return failed(f"cmq-{code}", text)
    return Outcome(delivered=True, status="200", answer=text)
