"""A CMQ endpoint: checks signatures, keeps messages of queues and topics, delivers those of queues."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl

SECRET_ID, SECRET_KEY = "AKIDEXAMPLEEXAMPLEEXAMPLE", "SecretKeyExampleExample"


class CmqEndpoint(ThreadingHTTPServer):
    """A server that answers as CMQ does.

    Attributes:
        queues: Messages by queue.
        topics: Messages by topic.
        requests: Fields of all requests.
        refuse_with: Code of every answer, if set.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.queues: dict[str, deque[str]] = defaultdict(deque)
        self.topics: dict[str, list[str]] = defaultdict(list)
        self.requests: list[dict[str, str]] = []
        self.refuse_with: int | None = None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self.server_port}"

    def act(self, host: str, path: str, body: bytes) -> dict[str, object]:
        """Execute a request and return the answer."""
        fields = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True))
        self.requests.append(fields)
        if self.refuse_with is not None:
            return {"code": self.refuse_with, "message": "refused as configured", "requestId": "1"}
        if fields.pop("Signature") != expected_signature("POST", host, path, fields):
            return {"code": 4000, "message": "signature does not match", "requestId": "1"}
        answer: dict[str, object] = {"code": 0, "message": "", "requestId": "1", "msgId": "7"}
        match fields["Action"]:
            case "SendMessage":
                self.queues[fields["queueName"]].append(fields["msgBody"])
            case "PublishMessage":
                self.topics[fields["topicName"]].append(fields["msgBody"])
            case "ReceiveMessage":
                if not self.queues[fields["queueName"]]:
                    return {"code": 7000, "message": "no message", "requestId": "1"}
                times = dict.fromkeys(("enqueueTime", "nextVisibleTime", "firstDequeueTime"), 1_700_000_000)
                answer |= {"msgBody": self.queues[fields["queueName"]].popleft(), "receiptHandle": "3"}
                answer |= {"dequeueCount": 1, **times}
            case other:
                return {"code": 4440, "message": f"no action {other}", "requestId": "1"}
        return answer


def expected_signature(method: str, host: str, path: str, fields: dict[str, str]) -> str:
    """Return the signature by the specification (docs/wire/wire.md, 7.4), without the code under test."""
    text = method + host + path + "?"
    for number, (name, value) in enumerate(sorted(fields.items(), key=lambda item: item[0].encode())):
        text += ("&" if number else "") + name.replace("_", ".") + "=" + value
    kind = {"HmacSHA1": hashlib.sha1, "HmacSHA256": hashlib.sha256}[fields["SignatureMethod"]]
    return base64.b64encode(hmac.new(SECRET_KEY.encode(), text.encode(), kind).digest()).decode()


class _Handler(BaseHTTPRequestHandler):
    server: CmqEndpoint

    def do_POST(self) -> None:
        """Answer a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = json.dumps(self.server.act(self.headers["Host"], self.path, body)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        """Write nothing."""


@contextmanager
def cmq_endpoint() -> Iterator[CmqEndpoint]:
    """Run an endpoint while the block runs."""
    endpoint = CmqEndpoint()
    threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield endpoint
    finally:
        endpoint.shutdown()
        endpoint.server_close()
