"""A proxy between a client and an S3 server that does what networks and stores do on bad days."""

from __future__ import annotations

import http.client
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
    drop: bool = False
    """Close the connection instead of forwarding the request."""
    lose_answer: bool = False
    """Forward the request, then close the connection without an answer."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body of the answer."""
    delay_s: float = 0.0
    """Wait before the request is forwarded, s."""


Plan = Callable[[str, str], Fault | None]
"""Returns the fault of a request, given its method and its path with query, or ``None``."""


def once(fault: Fault, *, method: str, having: str = "", times: int = 1) -> Plan:
    """Return a plan with a fault for the first requests of a method.

    Args:
        fault: what goes wrong.
        method: of the requests.
        having: text that their path and query contain.
        times: how many of them.
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
        self.server.seen.append((self.command, self.path))
        fault = self.server.plan(self.command, self.path) or Fault()
        time.sleep(fault.delay_s)
        if fault.status:
            text = f"<Error><Code>{fault.code}</Code><Message>as planned</Message></Error>".encode()
            self.answer(fault.status, {"Content-Type": "application/xml"}, text, None)
            return
        if not fault.drop:
            status, headers, content = self.ask(body)
            if not fault.lose_answer:
                self.answer(status, headers, content, fault.cut_after)
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

    def answer(self, status: int, headers: dict[str, str], content: bytes, cut: int | None) -> None:
        """Send an answer, or only the first bytes of its body."""
        self.send_response_only(status)
        if self.command != "HEAD":
            headers = {k: v for k, v in headers.items() if k.lower() != "content-length"}
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
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *_: Any) -> None:
        """Write nothing."""


class FaultyProxy:
    """A proxy on loopback; it keeps the Host header, so signatures stay valid."""

    def __init__(self, endpoint_url: str) -> None:
        self._server = Listener(urlsplit(endpoint_url).netloc)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        """Where clients find it."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

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
