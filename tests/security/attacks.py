"""Attacks on the connections of the service: what is tried, by how many, for how long."""

from __future__ import annotations

import random
import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Final

from stemline.testing.client import HOST, Client, submission
from tests.security.attacker import Attack, Ending, Script
from tests.security.grammar import Element, elements
from tests.security.stream import unverified
from tests.security.target import UNKNOWN, Target

_HEALTH: Final = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
_EARLY: Final = b"POST /jobs HTTP/1.1\r\nHost: %b\r\nContent-Length: 1000000\r\n\r\n" % HOST.encode()
_OPENAPI: Final = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
_CONSOLE: Final = b"GET /console HTTP/1.1\r\nHost: x\r\n\r\n"


def authorized() -> bytes:
    """Header lines that let a ``POST /jobs`` pass, whatever its body."""
    authorization = Client(0).authorization("POST", "/jobs", [("host", HOST.encode())])
    return f"Host: {HOST}\r\nAuthorization: {authorization}\r\n".encode()


def attacks(target: Target, seconds: float, seed: int) -> list[Attack]:
    """Return all attacks on a service."""
    return [*silent(target, seconds), *unread(target, seconds), *fuzz(target, seconds, seed)] + (
        handshakes(seconds) if target.tls else []
    )


def silent(target: Target, seconds: float) -> list[Attack]:
    """Connections that stop in each state, and hold what they have got."""
    length = b"POST /jobs HTTP/1.1\r\n" + authorized() + b"Content-Length: 1000000\r\n"
    get = target.attacker.raw("GET", UNKNOWN)
    head = b"GET / HTTP/1.1\r\nHost: x\r\nX-A: "
    states = {
        "silent from the start": Script(),
        "silent after an answer": Script(_HEALTH, awaits_answer=True),
        "silent after an answer and a blank line": Script(_HEALTH, awaits_answer=True, then=b"\r\n"),
        "silent after an answer and half a head": Script(get, awaits_answer=True, then=get[:-2]),
        "silent after an early answer and a byte": Script(_EARLY, awaits_answer=True, then=b"<"),
        "silent after half a head of 30 kB": Script(head + b"a" * 30_000),
        "silent after half a head of 99 headers": Script(b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 99),
        "silent before the body": Script(length + b"\r\n"),
        "silent in the body": Script(length + b"\r\n<Request>"),
        "silent after 100 Continue": Script(length + b"Expect: 100-continue\r\n\r\n", awaits_answer=True),
        "reset at once": Script(ending=Ending.RESET),
        "reset while the answer is made": Script(get, ending=Ending.RESET),
    }
    segments = Script(length + b"\r\n", repeat=b"ab", segment_bytes=2, tls=target.tls)
    large = Script(length + b"\r\n" + b"a" * 999_999, tls=target.tls)
    return [
        *(
            Attack(name, (replace(script, tls=target.tls, reads=script.awaits_answer),), 2000, seconds)
            for name, script in states.items()
        ),
        Attack("silent before the last byte of a body of 1 MB", (large,), 400, seconds),
        Attack("bodies in segments of two bytes", (segments,), 100, seconds),
    ]


def unread(target: Target, seconds: float) -> list[Attack]:
    """Clients that send requests and never read."""
    post = target.attacker.raw("POST", "/jobs", submission().encode())
    listing = target.attacker.raw("GET", "/jobs?tag=VoiceSeparate&size=100")
    events = target.attacker.raw("GET", "/events")
    waiting = target.attacker.raw("POST", "/jobs", submission().encode(), head_bytes=b"Prefer: wait=20\r\n")
    tls = target.tls
    return [
        Attack(
            "streams of events", (Script(events, tls=tls), Script(events, tls=tls, reads=True)), 2000, seconds
        ),
        Attack("requests that wait for their jobs", (Script(waiting, tls=tls, reads=True),), 2000, seconds),
        Attack("20,000 requests on 20 connections", (Script(_HEALTH * 1000, tls=tls),), 20, seconds),
        Attack("requests without end", (Script(repeat=_HEALTH, tls=tls),), 200, seconds),
        Attack("submissions without end", (Script(repeat=post, tls=tls),), 200, seconds),
        Attack(
            "pages of 100 jobs, read slowly",
            (Script(listing, reads=True, reads_every_s=0.1, tls=tls),),
            400,
            seconds,
        ),
        Attack(
            "streams of events, read slowly",
            (Script(events, reads=True, reads_every_s=0.1, tls=tls),),
            400,
            seconds,
        ),
        Attack("the interface's description", (Script(_OPENAPI * 4, tls=tls),), 2000, seconds),
        Attack("the console", (Script(_CONSOLE * 4, tls=tls),), 2000, seconds),
        Attack("pages of 100 jobs", (Script(listing * 4, tls=tls),), 2000, seconds),
    ]


def large_pages(target: Target, seconds: float) -> list[Attack]:
    """Requests for as many and as large records as there may be, from clients that read the answers."""
    output = "".join(f"<{name}>{'o' * 900}{name}</{name}>" for name in ("AuObject", "Object"))
    body = submission(
        source="k" * 1000, output=output, operation=f"<UserData>{'u' * 1000}</UserData>"
    ).encode()
    for _ in range(1000):
        target.ask(target.attacker.raw("POST", "/jobs", body))
    pages = {
        "the console's search": "/console/jobs?text=nowhere",
        "the console's largest page": "/console/jobs?size=200",
        "the largest page of large jobs": "/jobs?tag=VoiceSeparate&size=100",
        "all workers of a bucket": "/console/workers",
    }
    return [
        Attack(name, (Script(repeat=target.attacker.raw("GET", path), reads=True),), 24, seconds)
        for name, path in pages.items()
    ]


def established(seconds: float) -> list[Attack]:
    """As many TLS connections as are allowed, all of them established, for long."""
    script = Script(_HEALTH, awaits_answer=True, reads=True, tls=True)
    return [Attack("established connections, silent", (script,), 2000, 10 * seconds)]


def handshakes(seconds: float) -> list[Attack]:
    """Connections that do not finish their TLS handshake."""
    announced = bytes.fromhex("1603010200") + b"\x01" + (131_000).to_bytes(3, "big") + b"\x03\x03"
    hello = client_hello()
    scripts = {
        "no handshake": Script(),
        "a ClientHello announced with 128 KiB": Script(announced),
        "half a ClientHello": Script(hello[: len(hello) // 2]),
        "a ClientHello without the rest": Script(hello),
        "a ClientHello byte by byte": Script(repeat=hello, every_s=0.1),
        "plain HTTP": Script(_HEALTH),
        "random bytes": Script(random.Random(1).randbytes(20_000)),
        "alerts without end": Script(hello, repeat=bytes.fromhex("15030300020100")),
        "empty records without end": Script(hello, repeat=bytes.fromhex("1703030000")),
        "ChangeCipherSpec without end": Script(hello, repeat=bytes.fromhex("140303000101")),
    }
    sessions = Script(_HEALTH, awaits_answer=True, tls=True, tickets=False, ending=Ending.RESET)
    return [
        *(Attack(f"TLS: {name}", (script,), 2000, seconds) for name, script in scripts.items()),
        Attack("TLS: 1.2 without tickets, sessions without end", (sessions,), 200, 4 * seconds),
    ]


def client_hello() -> bytes:
    """A ClientHello as Python sends it."""
    outgoing = ssl.MemoryBIO()
    client = unverified().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="x")
    with suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def fuzz(target: Target, seconds: float, seed: int) -> list[Attack]:
    """Every element of a request: endlessly one by one, slowly and halfway all together."""
    order = random.Random(seed)
    tls, each = target.tls, elements(authorized())

    def endless(element: Element) -> Attack:
        scripts = tuple(element.endless(tls=tls, reads=reads) for reads in (True, False))
        return Attack(f"endless {element.name}", scripts, 100, seconds / 2)

    slow = tuple(element.slow(0.1, tls=tls) for element in each)
    halfway = tuple(element.halfway(order, tls=tls) for _ in range(10) for element in each)
    return [
        *map(endless, each),
        Attack("every element slowly", slow, 2000, 2 * seconds),
        Attack("every element halfway", halfway, 2000, 2 * seconds),
    ]
