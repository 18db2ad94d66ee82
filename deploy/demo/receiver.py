"""A receiver for the demo's one callback."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Receiver:
    """What came in so far."""

    url: str = ""
    body: bytes = b""
    at: float = 0.0
    """When, as :func:`time.time`."""
    came: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on loopback for as long as the context lasts."""
    inbox = Receiver()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            inbox.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            inbox.at = time.time()
            self.send_response(204)
            self.end_headers()
            inbox.came.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Keep quiet: the demo says what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_port}/done"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield inbox
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
