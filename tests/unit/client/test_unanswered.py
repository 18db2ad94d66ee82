"""A store that takes connections and gives no answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import botocore.endpoint
import pytest

from stemline.client import objects
from stemline.client.errors import StoreUnreachable
from stemline.client.objects import Bucket
from stemline.client.target import S3Access
from stemline.client.unanswered import MAX_S, UnansweredTries


@dataclass
class Clock:
    """Stands still unless it is advanced."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Store:
    """Ends each connection without an answer, after so many seconds."""

    clock: Clock
    takes_s: float = 0.0
    tries: int = 0
    server: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))

    def serve(self) -> None:
        while True:
            try:
                taken, _ = self.server.accept()
            except OSError:
                return
            self.tries += 1
            self.clock.now += self.takes_s
            taken.close()

    @property
    def bucket(self) -> Bucket:
        url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        return Bucket(
            S3Access(url, "key", "secret"), "media", "r", unanswered=lambda: UnansweredTries(self.clock)
        )


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(botocore.endpoint.time, "sleep", lambda _: None)  # the pauses between tries
    store = Store(Clock())
    thread = threading.Thread(target=store.serve)
    thread.start()
    yield store
    store.server.shutdown(socket.SHUT_RDWR)
    store.server.close()
    thread.join()


def test_a_store_that_hangs_is_tried_by_time(store: Store, tmp_path: Path) -> None:
    """Tries that take long end with the second one, those of a call that follows with its first one."""
    (tmp_path / "song.wav").write_bytes(b"song")
    store.takes_s = MAX_S + 1
    for tries, call in (  # each bucket is another one
        (2, lambda: store.bucket.upload(tmp_path / "song.wav", "in/song.wav")),
        (4, lambda: store.bucket.exists("in/song.wav")),
        (6, lambda: store.bucket.download("in/song.wav", tmp_path / "again.wav")),
    ):
        with pytest.raises(StoreUnreachable):
            call()
        assert tries == store.tries
    bucket = store.bucket
    for tries in (8, 9):
        with pytest.raises(StoreUnreachable):
            bucket.check()
        assert tries == store.tries


def test_a_store_that_ends_connections_at_once_is_tried_six_times(store: Store) -> None:
    """Tries that take no time are limited by their number alone."""
    with pytest.raises(StoreUnreachable):
        store.bucket.check()
    assert 6 == store.tries


def test_an_answer_ends_the_count() -> None:
    """Only tries in a row count, and those of long ago are forgotten."""
    clock = Clock()
    unanswered = UnansweredTries(clock)
    assert not unanswered.should_end()
    clock.now = MAX_S
    unanswered.answered()
    assert not unanswered.should_end()
    clock.now += MAX_S
    assert unanswered.should_end()
    clock.now += 1000
    assert not unanswered.should_end()


def test_a_hanging_store_is_waited_for_a_minute() -> None:
    """The second of two tries that time out ends a call, as docs/client.md says."""
    config = objects._config(path_style=True)
    assert MAX_S <= config.read_timeout <= 30
