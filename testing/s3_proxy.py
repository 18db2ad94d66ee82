"""A proxy between a client and an S3 server that does what networks and stores do on bad days."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a request."""

    status: int = 0
    """Answer with this status instead of forwarding the request."""
    code: str = "InternalError"
    body: bytes | None = None
    """Body of that answer, instead of an ``Error`` element."""
    chunked: bool = False
    """Send the answer in chunks, without its length."""
    drop: bool = False
    """Close the connection instead of forwarding the request."""
    lose_answer: bool = False
    """Forward the request, then close the connection without an answer."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body of the answer."""
    delay_s: float = 0.0
    """Wait before the request is forwarded, s."""
    spoil: bool = False
    """Change the last byte of the body before the request is forwarded."""


Plan = Callable[[str, str], Fault | None]
"""Returns the fault of a request, given its method and its path with query, or ``None``."""


def once(fault: Fault, *, method: str, having: str = "", times: int = 1) -> Plan:
    """Return a plan with a fault for the first requests of a method.

    Args:
        fault: What goes wrong.
        method: Method of the requests.
        having: Text that their path and query contain.
        times: How many of them.
    """
    left = [times]
    lock = threading.Lock()

    def plan(asked: str, path: str) -> Fault | None:
        with lock:
            if asked == method and having in path and left[0] > 0:
                left[0] -= 1
                return fault
        return None

    return plan


class Handler(BaseHTTPRequestHandler):
    """Serves one connection."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def log_message(self, *_: Any) -> None:
        """Write nothing."""

    def handle(self) -> None:
        """Serve; a connection that the client closes is not an error."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def serve(self) -> None:
        """Answer one request by the plan."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path.startswith("http://"):  # from a client that is configured to use a proxy
            self.path = "/" + self.path.split("/", 3)[3]
            self.server.proxied += 1
        self.server.seen.append((self.command, self.path))
        fault = self.server.plan(self.command, self.path) or Fault()
        time.sleep(fault.delay_s)
        if fault.spoil and body:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.status:
            text = f"<Error><Code>{fault.code}</Code><Message>as planned</Message></Error>".encode()
            text = text if fault.body is None else fault.body
            self.answer(fault.status, {"Content-Type": "application/xml"}, text, Fault())
            return
        if not fault.drop:
            status, headers, content = self.ask(body)
            if not fault.lose_answer:
                self.answer(status, headers, content, fault)
                return
        self.close_connection = True

    def ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Forward the request; return status, headers and body of the answer."""
        ahead = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            ahead.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in {*HOP_BY_HOP, "expect"}:
                    ahead.putheader(name, value)
            ahead.endheaders(body)
            reply = ahead.getresponse()
            headers = {k: v for k, v in reply.getheaders() if k.lower() not in HOP_BY_HOP}
            return reply.status, headers, reply.read()
        finally:
            ahead.close()

    def answer(self, status: int, headers: dict[str, str], content: bytes, fault: Fault) -> None:
        """Send an answer, or only the first bytes of its body."""
        cut = fault.cut_after
        self.send_response_only(status)
        if self.command != "HEAD" or fault.chunked:
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
        if fault.chunked:
            headers["Transfer-Encoding"] = "chunked"
            half = len(content) // 2
            parts = [part for part in (content[:half], content[half:]) if part]
            content = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        elif self.command != "HEAD":
            headers["Content-Length"] = str(len(content))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"" if self.command == "HEAD" else content[:cut])
        self.wfile.flush()
        self.close_connection = self.close_connection or cut is not None

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = serve  # noqa: N815 - names http.server looks for


class Listener(ThreadingHTTPServer):
    """The listening socket, with what its handlers share."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.plan: Plan = lambda *_: None
        self.seen: list[tuple[str, str]] = []
        self.proxied = 0
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: Any) -> None:
        """Write nothing."""


class FaultyProxy:
    """A proxy on loopback; it keeps the Host header, so signatures stay valid."""

    def __init__(self, endpoint_url: str, *, tls: ssl.SSLContext | None = None) -> None:
        """Listen on a free port.

        Args:
            endpoint_url: URL of the store.
            tls: If clients are to connect with https.
        """
        self._scheme = "https" if tls else "http"
        self._server = Listener(urlsplit(endpoint_url).netloc)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """Where clients find it."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    @property
    def proxied(self) -> int:
        """How many requests had the full URL of another server, as those through an HTTP proxy have."""
        return self._server.proxied

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Method and path of all requests so far."""
        return self._server.seen

    @property
    def plan(self) -> Plan:
        """What goes wrong with each request; nothing unless it is set."""
        return self._server.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._server.plan = plan

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
