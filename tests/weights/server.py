"""An HTTP server of one archive, whose speed the test chooses."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CHUNK_BYTES = 1 << 18
_SLOW_S = 0.2


class Archive(ThreadingHTTPServer):
    """Serves one file with ranges.

    Attributes:
        slow: While it is set, a chunk is sent every 0.2 s, from the middle of the file on.
        offsets: Where each answer began.
    """

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.slow = threading.Event()
        self.offsets: list[int] = []
        self.breaks = 0
        """Answers that still end half-way."""
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        """The address of the folder that the file is in."""
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Archive

    def do_GET(self) -> None:
        archive = self.server
        asked = self.headers.get("Range", "bytes=0-")
        offset = int(asked.removeprefix("bytes=").removesuffix("-"))
        archive.offsets.append(offset)
        rest = memoryview(archive.content)[offset:]
        self.send_response(206 if offset else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        end = len(rest)
        if archive.breaks:
            archive.breaks -= 1
            end, self.close_connection = len(rest) // 4, True
        for start in range(0, end, _CHUNK_BYTES):
            try:
                self.wfile.write(rest[start : min(end, start + _CHUNK_BYTES)])
            except OSError:
                return  # the client was killed
            if archive.slow.is_set() and offset + start > len(archive.content) // 2:
                time.sleep(_SLOW_S)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serving(path: Path) -> Iterator[Archive]:
    """Serve a file on loopback while the block runs."""
    server = Archive(path)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
