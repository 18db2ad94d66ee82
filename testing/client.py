"""A small HTTP client that signs as the vendor's SDKs do and sends exactly the given bytes."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

from stemline.wire.integrity import integrity_headers
from stemline.wire.signature import DIGEST, NONCE, sign
from stemline.wire.signed_request import SignedRequest

BUCKET = "media-1250000000"
REGION = "ap-chongqing"
HOST = f"{BUCKET}.ci.{REGION}.myqcloud.com"
SECRET_ID, SECRET_KEY = "AKIDEXAMPLEEXAMPLEEXAMPLE", "SecretKeyExampleExample"
"""The key pair that the client signs with and :mod:`stemline.testing.api_server` knows."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    raw_names: frozenset[str] = frozenset()
    """Header names as the server spelled them."""

    @property
    def xml(self) -> ET.Element:
        """The root element of an XML body."""
        return ET.fromstring(self.body)  # noqa: S314 - from our own server # nosec B314

    def text(self, path: str) -> str | None:
        """Return the text of an element: ``""`` if it is empty, ``None`` if it is missing."""
        element = self.xml.find(path)
        return None if element is None else element.text or ""

    def texts(self, path: str) -> list[str]:
        """Return the texts of all elements at a path."""
        return [element.text or "" for element in self.xml.iterfind(path)]

    @property
    def code(self) -> str:
        """The wire code of an error, ``""`` for success."""
        return self.text("Code") or "" if self.body and self.xml.tag == "Error" else ""


def exchange(port: int, data: bytes, *, timeout_s: float = 120.0, head: bool = False) -> Answer:
    """Send raw bytes on a new connection and return the answer.

    Args:
        port: Port of a server on loopback.
        data: The whole request.
        timeout_s: For each read and write, s.
        head: Whether the answer has no body, as that to a HEAD request.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as connection:
        connection.sendall(data)
        return read_answer(connection, head=head)


def read_answer(connection: socket.socket, *, head: bool = False) -> Answer:
    """Read one answer, as long as its Content-Length says.

    Raises:
        ConnectionError: The connection ends before the answer does.
    """
    received = b""
    while b"\r\n\r\n" not in received:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError(f"closed after {received!r}")
        received += chunk
    top, _, body = received.partition(b"\r\n\r\n")
    lines = top.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    length = 0 if head else int(headers.get("content-length", "0"))
    while len(body) < length:
        chunk = connection.recv(65536)
        if not chunk:
            raise ConnectionError("closed within the body")
        body += chunk
    names = frozenset(line.partition(":")[0] for line in lines[1:])
    return Answer(int(lines[0].split(" ")[1]), headers, body, names)


@dataclass(frozen=True, slots=True)
class Client:
    """A client with a key pair."""

    port: int
    host: str = HOST
    secret_id: str = SECRET_ID
    secret_key: str = SECRET_KEY
    clock: float | None = None
    """Unix seconds at which it signs; the current time if not set."""
    integrity: bool = False
    """Whether it signs a digest of the body and a nonce, which no SDK of the vendor does."""

    def request(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        head_bytes: bytes = b"",
        timeout_s: float = 120.0,
    ) -> Answer:
        """Send a request and return the answer; the arguments are those of :meth:`raw`."""
        data = self.raw(method, target, body, headers, signed=signed, head_bytes=head_bytes)
        return exchange(self.port, data, head=method == "HEAD", timeout_s=timeout_s)

    def raw(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        signed: bool = True,
        head_bytes: bytes = b"",
    ) -> bytes:
        """Return the bytes of a request.

        Args:
            method: Method of the request.
            target: Path and query.
            body: Empty for none.
            headers: Besides Host, Content-Length and Authorization.
            signed: Whether to sign it.
            head_bytes: Further header lines, sent as they are.
        """
        sent = [("host", self.host.encode())]
        if body or method in {"POST", "PUT", "DELETE"}:
            sent.append(("content-length", str(len(body)).encode()))
        sent += [(name.lower(), value.encode()) for name, value in (headers or {}).items()]
        if self.integrity:
            sent += [(name, value.encode()) for name, value in integrity_headers(body).items()]
        lines = b"".join(name.encode() + b": " + value + b"\r\n" for name, value in sent)
        if signed:
            lines += f"Authorization: {self.authorization(method, target, sent)}\r\n".encode()
        return f"{method} {target} HTTP/1.1\r\n".encode() + lines + head_bytes + b"\r\n" + body

    def authorization(self, method: str, target: str, headers: list[tuple[str, bytes]]) -> str:
        """Return the Authorization header of an SDK: it covers host, length, type and all parameters."""
        now = int(self.clock if self.clock is not None else time.time())
        return sign(
            SignedRequest.of(method, target, headers),
            secret_id=self.secret_id,
            secret_key=self.secret_key,
            start=now - 60,
            end=now + 3600,
            headers=("host", "content-length", "content-type", "content-md5", DIGEST, NONCE),
        )

    def get(self, path: str, **query: str) -> Answer:
        """Send a signed GET."""
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        return self.request("GET", f"{path}?{text}" if text else path)

    def post(self, path: str, body: str | bytes, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a signed POST."""
        return self.request("POST", path, body.encode() if isinstance(body, str) else body, headers)

    def put(self, path: str, body: str | bytes = b"") -> Answer:
        """Send a signed PUT."""
        return self.request("PUT", path, body.encode() if isinstance(body, str) else body)

    def delete(self, path: str) -> Answer:
        """Send a signed DELETE."""
        return self.request("DELETE", path)


def submission(
    *,
    mode: str = "AudioAndBackground",
    config: str = "<AudioConfig><Codec>mp3</Codec></AudioConfig>",
    output: str = "<Object>out/bg.${ext}</Object><AuObject>out/voice.${ext}</AuObject>",
    operation: str = "",
    request: str = "",
    source: str = "in/song.mp3",
) -> str:
    """Return the body of a ``POST /jobs``; the arguments are the values and elements that vary."""
    return (
        f"<Request><Tag>VoiceSeparate</Tag><Input><Object>{source}</Object></Input><Operation><VoiceSeparate>"
        f"<AudioMode>{mode}</AudioMode>{config}</VoiceSeparate><Output><Region>{REGION}</Region>"
        f"<Bucket>{BUCKET}</Bucket>{output}</Output>{operation}</Operation>{request}</Request>"
    )
