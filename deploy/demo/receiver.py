"""An HTTP receiver for the callback of the demo."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(slots=True)
class Receiver:
    """The URL of the receiver and the callback that it received."""

    url: str = ""
    body: bytes = b""
    at: float = 0.0
    """Time of receipt, Unix seconds."""
    received: threading.Event = field(default_factory=threading.Event)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Listen on loopback until the context is left."""
    inbox = Receiver()

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_POST(self) -> None:
            inbox.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            inbox.at = time.time()
            self.send_response(204)
            self.end_headers()
            inbox.received.set()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            """Log nothing: the demo prints the result."""

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
