"""Hostile receivers: whatever one answers, a delivery ends at its deadline and costs little."""

from __future__ import annotations

import itertools
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from stemline.callbacks.broker_sockets import ANY_ADDRESS
from stemline.callbacks.outcome import Outcome
from stemline.callbacks.url_sender import UrlSender
from tests.support.accepting import accepting

MAX_MEMORY_KIB = 64 << 10
"""What a process may take more, KiB."""
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"


@contextmanager
def receiver(
    parts: Callable[[], Iterable[bytes]], *, reads: bool = True, resets: bool = False
) -> Iterator[int]:
    """Run a receiver that sends these bytes to everyone; yield its port."""

    def talk(connection: socket.socket) -> None:
        if reads:
            connection.recv(65_536)
        for data in parts():
            connection.sendall(data)
        if resets:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with accepting(talk) as port:
        yield port


def slowly(data: bytes, begin: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """Send the same bytes again and again, with waits."""

    def parts() -> Iterator[bytes]:
        yield begin
        while True:
            time.sleep(0.05)
            yield data

    return parts


def fast(data: bytes, begin: bytes = b"") -> Callable[[], Iterator[bytes]]:
    """Send the same bytes as fast as they are taken, without an end."""
    return lambda: itertools.chain([begin], itertools.repeat(data * (65_536 // len(data))))


def send(port: int, timeout_s: float = 60.0, scheme: str = "http") -> Outcome:
    sender = UrlSender(ANY_ADDRESS, timeout_s)
    return sender.send(f"{scheme}://127.0.0.1:{port}/", b"x" * 1000, "application/json", {}, 0.0)


@pytest.mark.parametrize(
    "parts",
    [slowly(b"A: b\r\n", OK), slowly(INTERIM), slowly(b"HTTP/1.1 101 S\r\n"), slowly(b"a", OK + b"A: ")],
    ids=["headers", "interim answers", "status lines", "a header"],
)
def test_a_slow_head_ends_at_the_deadline(parts: Callable[[], Iterator[bytes]]) -> None:
    """A receiver that sends a little now and then, and never a status with its headers, is a timeout."""
    began = time.monotonic()
    with receiver(parts) as port:
        assert send(port, 0.5).status in {"timeout", "closed"}
    assert time.monotonic() - began < 120  # it would go on for ever


@pytest.mark.parametrize(
    "parts",
    [fast(b"A: b\r\n", OK), fast(INTERIM), fast(b"a", OK + b"A: "), fast(b"b\r\n ", OK + b"A: ")],
    ids=["headers", "interim answers", "a header", "lines of a header"],
)
def test_a_head_without_end_is_no_answer(parts: Callable[[], Iterator[bytes]]) -> None:
    """It is given up for its size, long before the deadline."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with receiver(parts) as port:
        outcome = send(port, 600)
    assert ("closed", False) == (outcome.status, outcome.delivered)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


@pytest.mark.parametrize(
    "parts",
    [
        fast(b"a", CHUNKED + b"f" * 16 + b"\r\n"),
        fast(b"a", CHUNKED + b"f" * 40 + b"\r\n"),
        fast(b"a", CHUNKED + b"-5\r\n"),
        fast(b"a", CHUNKED + b"5;"),
        fast(b"1\r\na\r\n", CHUNKED),
        fast(b"A: b\r\n", CHUNKED + b"0\r\n"),
        fast(b"\0", OK + b"Content-Encoding: gzip\r\n\r\n"),
        lambda: [OK + b"Content-Length: 50\r\n\r\nabc"],
        lambda: [OK + b"Content-Length: 2\r\n\r\nabc"],
    ],
    ids=[
        "a large chunk",
        "a larger one",
        "a negative one",
        "its extensions",
        "small chunks",
        "trailers",
        "compressed",
        "too short",
        "too long",
    ],
)
def test_the_body_of_an_answer_changes_nothing(parts: Callable[[], Iterable[bytes]]) -> None:
    """The status has come; what follows is read in bounds, and not unpacked."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with receiver(parts) as port:
        outcome = send(port, 600)
    assert ("200", True) == (outcome.status, outcome.delivered)
    assert len(outcome.answer) <= 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MAX_MEMORY_KIB


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        OK + b"Content-Length: -5\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        OK + b"A\0: b\r\n\r\n",
        b"HTTP/1.1 000 x\r\n\r\n",
        b"HTTP/1.1 20000 x\r\n\r\n",
        b"\0\0\x12\4\0\0\0\0\0" + bytes(18),
        b"delivered",
        b"",
    ],
)
def test_what_is_no_answer_delivers_nothing(answer: bytes) -> None:
    """An answer that is not HTTP, or contradicts itself, is a failed attempt that is repeated."""
    with receiver(lambda: [answer]) as port:
        outcome = send(port)
    assert ("closed", False, False) == (outcome.status, outcome.delivered, outcome.final)


@pytest.mark.parametrize("resets", [False, True])
def test_an_answer_that_comes_too_early_has_an_outcome(resets: bool) -> None:
    """A receiver may answer, and end the connection, before the request has arrived."""
    for answer in (b"", OK + b"Content-Length: 0\r\n\r\n"):
        with receiver(lambda answer=answer: [answer], reads=False, resets=resets) as port:
            outcome = send(port)
        assert outcome.status in {"200", "closed", "unreachable"}
        assert outcome.delivered <= bool(answer)


@pytest.mark.parametrize(
    "parts",
    [slowly(b"\2", b"\x16\3\3\x40\0"), fast(b"\2", b"\x16\3\3\x40\0"), fast(b"\x15\3\3\0\2\1\x5a")],
    ids=["bytes", "a large message", "alerts"],
)
def test_a_handshake_without_end_ends(parts: Callable[[], Iterator[bytes]]) -> None:
    """TLS that never gets ready is a failed attempt at the deadline, or before."""
    began = time.monotonic()
    with receiver(parts) as port:
        assert send(port, 1.0, "https").status in {"timeout", "unreachable"}
    assert time.monotonic() - began < 120
