"""A server cannot make the client hold more than a bound."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from stemline.client import AsyncClient, Client, Retry, Target, bounded_answer
from stemline.client.errors import ConnectionFailed

BOMB = gzip.compress(b'{"x":"' + b"a" * (1 << 20))


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer without an end, or with some bytes that stand for very many."""
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Type", "text/event-stream")  # which only answers for events may be
        if self.server.is_compressed:  # type: ignore[attr-defined]
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(BOMB)
            return
        self.end_headers()
        while True:
            try:
                self.wfile.write(b"x" * 4096)
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server() -> Iterator[Any]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as made:
        Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
        yield made
        made.shutdown()


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    ("is_compressed", "said"),
    [(False, "more than 100000 bytes"), (True, r"is not a Stemline API|answered 400")],
    ids=["endless", "compressed"],
)
@pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])
def test_an_answer_has_a_bound(
    server: Any, monkeypatch: pytest.MonkeyPatch, status: int, is_compressed: bool, said: str, is_async: bool
) -> None:
    """An answer without an end is given up, and what is compressed is not expanded."""
    monkeypatch.setattr(bounded_answer, "MAX_ANSWER_BYTES", 100_000)
    server.status, server.is_compressed = status, is_compressed
    target = Target(f"http://127.0.0.1:{server.server_port}", "id", "key", "b-1", "r")

    async def ask() -> None:
        async with AsyncClient(target, retry=Retry(0)) as client:
            await client.queue("p1")

    if is_async:
        with pytest.raises(ConnectionFailed, match=said):
            asyncio.run(ask())
        return
    with Client(target, retry=Retry(0)) as client, pytest.raises(ConnectionFailed, match=said):
        client.queue("p1")
