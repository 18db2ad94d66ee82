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
    """What happens to one request."""

    status: int = 0
    """Answer with this status and do not ask the server."""
    code: str = "InternalError"
    drop: bool = False
    """Close the connection without asking the server."""
    lose_answer: bool = False
    """Ask the server, then close the connection without an answer."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the answer's body."""
    delay_s: float = 0.0
    """Wait before the server is asked."""


Plan = Callable[[str, str], Fault | None]
"""From method and path (with query) to what happens; ``None``: nothing bad."""


def once(fault: Fault, *, method: str, having: str = "", times: int = 1) -> Plan:
    """The fault for the first so many requests of a method whose path has a text in it."""
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
    """Serves one connection of a client."""

    protocol_version = "HTTP/1.1"
    server: Listener

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def serve(self) -> None:
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
    """The listening side, with what its handlers share."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.plan: Plan = lambda method, path: None
        self.seen: list[tuple[str, str]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def handle_error(self, *args: Any) -> None:
        pass


class FaultyProxy:
    """Listens on loopback and forwards to the server; signatures stay valid, for Host is kept."""

    def __init__(self, endpoint_url: str) -> None:
        self._server = Listener(urlsplit(endpoint_url).netloc)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def endpoint_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Method and path of every request so far."""
        return self._server.seen

    @property
    def plan(self) -> Plan:
        return self._server.plan

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self._server.plan = plan

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
