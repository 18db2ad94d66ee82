"""TDMQ by the CMQ HTTP protocol: one message to a queue or a topic (docs/wire/wire.md, 7.4)."""

from __future__ import annotations

import base64
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from stemline.callbacks.connect import Deadline
from stemline.callbacks.guard import Guard
from stemline.callbacks.http import parse_url, post
from stemline.callbacks.outcome import Outcome, failed
from stemline.jobs.callback import MqConfig

PATH: Final = "/v2/index.php"
CLIENT: Final = "Stemline"
DIGESTS: Final[Mapping[str, str]] = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}
ANYWHERE: Final = Guard.of(("0.0.0.0/0", "::/0"))
"""Endpoints are the operator's own choice, so private ones are as good as public ones."""


@dataclass(frozen=True, slots=True)
class CmqSender:
    """A producer with its key."""

    secret_id: str
    secret_key: str
    method: str = "HmacSHA1"
    timeout_s: float = 10.0

    def send(self, endpoint: str, mq: MqConfig, body: bytes, now_s: float) -> Outcome:
        """Send one message.

        Args:
            endpoint: URL of the service; its path, where it has one, replaces ``/v2/index.php``.
            mq: queue or topic.
            body: The message; the same bytes as a Url callback's body.
            now_s: Unix seconds.
        """
        target = parse_url(endpoint if endpoint.rstrip("/").count("/") > 2 else endpoint.rstrip("/") + PATH)
        fields = self.sign(message(mq, body) | self._common(now_s), target.authority, target.target.decode())
        answer = post(
            target,
            urlencode(fields).encode(),
            [("Content-Type", "application/x-www-form-urlencoded")],
            guard=ANYWHERE,
            deadline=Deadline(self.timeout_s),
        )
        return judge(answer.status, answer.body)

    def sign(self, fields: Mapping[str, str], host: str, path: str) -> dict[str, str]:
        """The fields with their ``Signature``.

        The signed text is method, host, path and the fields by the byte order of their names, not
        URL-encoded, ``_`` in names as ``.``.
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
    """Action and fields of a message for a queue or a topic."""
    text = body.decode()
    if mq.mode == "Topic":
        return {"Action": "PublishMessage", "topicName": mq.name, "msgBody": text, "routingKey": ""}
    return {"Action": "SendMessage", "queueName": mq.name, "msgBody": text, "delaySeconds": "0"}


def judge(status: int, body: bytes) -> Outcome:
    """What an answer means: stored is HTTP 200 with ``code`` 0."""
    text = body[:1024].decode(errors="replace")
    if status != 200:
        return failed(str(status), text)
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return failed("cmq", f"no answer of the CMQ protocol: {text}")
    if code != 0:
        return failed(f"cmq-{code}", text)
    return Outcome(delivered=True, status="200", answer=text)
