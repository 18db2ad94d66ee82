"""Hostile brokers: whatever one sends, a delivery ends at its deadline, has a reason and takes no memory."""

from __future__ import annotations

import itertools
import resource
import socket
import ssl
import struct
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stemline.callbacks import broker_sender
from stemline.callbacks.broker_sender import BrokerSender
from stemline.callbacks.http import tls_context
from stemline.callbacks.outcome import Outcome
from stemline.jobs.callback import MqConfig
from stemline.jobs.reasons import UNEXPECTED
from stemline.testing.receiver import receiving
from tests.support.accepting import accepting
from tests.support.amqp_broker import (
    CLOSE,
    HEARTBEAT,
    PUBLISH,
    STAGES,
    START,
    TUNE,
    amqp_broker,
    frame,
    method,
)
from tests.support.certificates import make_certificate, server_context

QUEUE = MqConfig("gz", "Queue", "q")
#: What a process may take more, KiB.
MAX_MEMORY_KIB = 64 << 10


def send(url: str, timeout_s: float = 60.0, mq: MqConfig = QUEUE) -> Outcome:
    return BrokerSender(timeout_s).send(url, mq, b"x" * 50_000, "application/json", "d1")


def at(stage: str, data: Callable[[bytes], Iterable[bytes]]) -> Callable[[str, bytes], Iterable[bytes]]:
    """Answer rightly but at one stage."""
    return lambda asked, good: data(good) if asked == stage else [good]


def slowly(data: Iterable[bytes]) -> Iterator[bytes]:
    for each in data:
        yield each
        time.sleep(0.05)


def bytes_of(data: bytes) -> Iterator[bytes]:
    return (data[n : n + 1] for n in range(len(data)))


def test_the_broker_of_these_tests_takes_a_message() -> None:
    """Where nothing is spoiled, the message is confirmed."""
    with amqp_broker(lambda _, good: bytes_of(good)) as url:
        assert Outcome(delivered=True, status="confirmed") == send(url)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    "endless",
    [
        lambda good: slowly(bytes_of(frame(1, 0, bytes(10_000)))),
        lambda good: slowly(itertools.repeat(HEARTBEAT)),
        lambda good: itertools.repeat(HEARTBEAT, 20_000),
    ],
    ids=["bytes", "heartbeats", "many heartbeats"],
)
def test_a_delivery_has_one_deadline(
    stage: str, endless: Callable[[bytes], Iterable[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that keeps sending, and never what is waited for, holds the thread no longer."""
    monkeypatch.setattr(broker_sender, "CLOSE_S", 0.5)
    began = time.monotonic()
    with amqp_broker(at(stage, endless)) as url:
        outcome = send(url, 60.0 if stage == CLOSE else 1.0)
    assert outcome.delivered == (stage == CLOSE)
    assert time.monotonic() - began < 120  # it would go on for ever, or for many times the timeout
    if stage != CLOSE:
        assert outcome.answer in {"not confirmed within 1 s", "the broker ended the connection"}


def test_stages_share_the_deadline() -> None:
    """A broker that is a little late at each stage is too late in the end."""

    def late(_: str, good: bytes) -> Iterator[bytes]:
        time.sleep(0.2)
        yield good

    with amqp_broker(late) as url:
        assert "not confirmed within 1.1 s" == send(url, 1.1).answer


def test_how_a_confirmed_delivery_is_closed_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker has the message then; it gets a moment to end the connection, and no longer."""
    monkeypatch.setattr(broker_sender, "CLOSE_S", 0.2)
    began = time.monotonic()
    for data in (b"", b"garbage", method(0, 10, 50, b"\0"), method(7, 10, 51)):
        held = threading.Event()

        def answer(good: bytes, data: bytes = data, held: threading.Event = held) -> Iterator[bytes]:
            yield data
            held.wait(600)

        with amqp_broker(at(CLOSE, answer)) as url:
            assert Outcome(delivered=True, status="confirmed") == send(url, 600)
        held.set()
    assert time.monotonic() - began < 300


METHODS: list[tuple[int, int]] = [
    (10, 10),
    (10, 20),
    (10, 30),
    (10, 41),
    (10, 50),
    (10, 51),
    (10, 60),
    (20, 11),
    (20, 20),
    (20, 40),
    (20, 41),
    (40, 11),
    (50, 11),
    (60, 50),
    (60, 60),
    (60, 71),
    (60, 120),
    (85, 11),
    (90, 11),
    (0, 0),
]


def a_method(channel: int, ids: tuple[int, int], arguments: bytes) -> bytes:
    return method(channel, *ids, arguments)


FRAMES = st.one_of(
    st.binary(max_size=64),
    st.builds(frame, st.integers(0, 255), st.integers(0, 3), st.binary(max_size=64)),
    st.builds(a_method, st.integers(0, 3), st.sampled_from(METHODS), st.binary(max_size=64)),
)
DEEP = b"F" + struct.pack(">I", 60_000) + b"\x01aF" * 10_000


@settings(deadline=None, max_examples=150)
@given(stage=st.sampled_from(STAGES), parts=st.lists(FRAMES, max_size=3))
@example(stage=TUNE, parts=[method(0, 10, 31)])
@example(stage=START, parts=[method(0, 10, 10, b"\0\x09" + struct.pack(">I", 60_000) + DEEP)])
@example(stage=START, parts=[method(0, 10, 10, b"\0\x09\0\0\0\x0f\x0ccapabilitiest\x01" + b"\0\0\0\0" * 2)])
@example(stage=TUNE, parts=[method(0, 10, 30, struct.pack(">HIH", 0, 8, 0))])
@example(stage=PUBLISH, parts=[frame(1, 1, b"")])
def test_any_answer_is_a_failed_delivery_with_a_reason(stage: str, parts: list[bytes]) -> None:
    """Bytes and frames of any kind, at every stage, raise nothing; only how it is closed changes nothing."""
    with amqp_broker(at(stage, lambda _: [b"".join(parts)])) as url:
        outcome = send(url)
    assert outcome.delivered == (stage == CLOSE)
    if stage != CLOSE:
        assert "broker" == outcome.status
        assert outcome.answer not in {"", UNEXPECTED}


@pytest.mark.parametrize(
    ("stage", "data"),
    [
        (START, lambda good: [struct.pack(">BHI", 1, 0, 2**32 - 1), *itertools.repeat(bytes(65_536), 4000)]),
        (TUNE, lambda good: [method(0, 10, 30, struct.pack(">HIH", 100, 2**31 - 1, 60)), HEARTBEAT]),
        (
            PUBLISH,
            lambda good: [
                method(2, 60, 50, bytes(16)),
                frame(2, 2, struct.pack(">HHQH", 60, 0, 2**62, 0)),
                *itertools.repeat(frame(3, 2, bytes(65_536)), 4000),
            ],
        ),
    ],
    ids=["a frame of 4 GiB", "an agreement on 2 GiB", "a returned message without end"],
)
def test_a_broker_does_not_fill_the_memory(stage: str, data: Callable[[bytes], Iterable[bytes]]) -> None:
    """Frames and messages that a broker announces or sends are refused before they take memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with amqp_broker(at(stage, data)) as url:
        outcome = send(url)
    assert ("broker", False) == (outcome.status, outcome.delivered)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


@contextmanager
def redis_server(answers: Callable[[], Iterable[bytes]]) -> Iterator[str]:
    """A server that answers every request of Redis by the same script."""

    def talk(connection: socket.socket) -> None:
        while connection.recv(65_536):
            for data in answers():
                connection.sendall(data)

    with accepting(talk) as port:
        yield f"redis://127.0.0.1:{port}/"


@pytest.mark.parametrize("mode", ["Queue", "Topic"])
@pytest.mark.parametrize(
    "answers",
    [
        lambda: slowly(itertools.chain([b"$100000\r\n"], itertools.repeat(b"a", 100_000))),
        lambda: slowly(itertools.repeat(b">1\r\n+a\r\n", 100_000)),
        lambda: itertools.repeat(b">1\r\n+a\r\n", 100_000),
        lambda: [b"$2000000000\r\n", *itertools.repeat(bytes(65_536), 4000)],
    ],
    ids=["bytes", "messages", "many messages", "2 GB"],
)
def test_a_redis_server_has_the_same_bounds(mode: str, answers: Callable[[], Iterable[bytes]]) -> None:
    """One that keeps sending holds the thread until the deadline, and takes no memory."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with redis_server(answers) as url:
        outcome = send(url, 1.0, MqConfig("gz", mode, "q"))
    assert ("broker", False) == (outcome.status, outcome.delivered)
    assert outcome.answer not in {"", UNEXPECTED}
    assert time.monotonic() - began < 120
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


@pytest.mark.parametrize("data", [b"*2000000000\r\n", b"%1000000000\r\n", b"*1\r\n" * 100_000])
def test_what_a_redis_server_announces_takes_no_memory(data: bytes) -> None:
    """Lists have the items that have come, and no room for those that were announced."""
    tracemalloc.start()
    try:
        with redis_server(lambda: [data]) as url:
            outcome = send(url, 1.0)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert ("broker", False) == (outcome.status, outcome.delivered)
    assert most < MAX_MEMORY_KIB << 10


RESP = st.one_of(
    st.binary(max_size=32),
    st.sampled_from(
        [b"+OK\r\n", b":7\r\n", b"*0\r\n", b"*-1\r\n", b"$-1\r\n", b"%0\r\n", b"_\r\n", b"#t\r\n"]
    ),
    st.sampled_from(
        [b"-READONLY x\r\n", b"-ERR\r\n", b"-\r\n", b"*1\r\n*1\r\n:1\r\n", b"%1\r\n+proto\r\n:3\r\n"]
    ),
)


@settings(deadline=None, max_examples=60)
@given(data=RESP, mode=st.sampled_from(["Queue", "Topic"]))
def test_any_answer_of_a_redis_server_has_an_outcome(data: bytes, mode: str) -> None:
    """A server that answers everything with the same bytes raises nothing."""
    with redis_server(lambda: [data]) as url:
        outcome = send(url, 0.3, MqConfig("gz", mode, "q"))
    assert outcome.delivered or ("broker" == outcome.status and outcome.answer not in {"", UNEXPECTED})


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("amqp://user:hush@127.0.0.1:port/", "no-endpoint"),
        ("rediss://:hush@127.0.0.1/?ssl_cert_reqs=perhaps", "no-endpoint"),
        ("amqps://:hush@127.0.0.1/?ssl_cert_reqs=none", "broker"),
    ],
)
def test_a_url_that_means_nothing_is_a_failed_delivery(url: str, status: str) -> None:
    """It is tried again, as the operator may correct it, and no password is shown."""
    outcome = send(url)
    assert (status, False, False) == (outcome.status, outcome.delivered, outcome.final)
    assert "hush" not in outcome.answer


@pytest.fixture
def trusting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ssl.SSLContext]]:
    """Make a trusted certificate for some names; return the TLS context of its server."""

    def trust(names: str) -> ssl.SSLContext:
        certificate = make_certificate(tmp_path, "broker", names)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        tls_context.cache_clear()
        return server_context(certificate)

    yield trust
    tls_context.cache_clear()


def test_a_broker_behind_tls_takes_a_message(trusting: Callable[[str], ssl.SSLContext]) -> None:
    """SSL_CERT_FILE makes its authority trusted."""
    with amqp_broker(lambda _, good: [good], trusting("IP:127.0.0.1")) as url:
        assert Outcome(delivered=True, status="confirmed") == send(url)


@pytest.mark.parametrize("scheme", ["amqps", "rediss"])
def test_brokers_are_verified(
    scheme: str, trusting: Callable[[str], ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker gets no password before its certificate was found to be trusted and its own."""
    others = trusting("DNS:other.test")
    with receiving(tls=others) as server:
        url = f"{scheme}://user:hush@127.0.0.1:{server.port}/"
        named = send(url)
        monkeypatch.delenv("SSL_CERT_FILE")
        tls_context.cache_clear()
        unknown = send(url)
    for outcome in (named, unknown):
        assert ("broker", False) == (outcome.status, outcome.delivered)
        assert outcome.answer.startswith("its certificate is not trusted")
    assert "mismatch" in named.answer


def test_a_handshake_has_the_same_deadline() -> None:
    """A broker that takes the connection and never ends the handshake holds the thread no longer."""
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("amqps", "rediss"):
            url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
            assert "not confirmed within 0.5 s" == send(url, 0.5).answer
    assert time.monotonic() - began < 120
