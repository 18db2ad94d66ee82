"""One request and its response: what it waits for, and that it is answered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stemline.api.http.exchange import Exchange
from stemline.api.http.reader import RequestHead
from stemline.api.http.states import State


class Wire:
    """A connection that is always writable and gives every turn at once."""

    is_writable = True

    def __init__(self) -> None:
        self.default_headers: list[tuple[bytes, bytes]] = []
        self.sent = b""
        self.writes = 0
        self.looks = 0

    def write(self, data: bytes) -> None:
        self.sent += data
        self.writes += 1

    async def drain(self) -> None: ...

    async def take_turn(self) -> None: ...

    def give_turn_back(self) -> None: ...

    def read_on(self) -> None:
        self.looks += 1

    def response_complete(self) -> None: ...


def exchange(wire: Wire, *, has_body: bool = True) -> Exchange:
    head = RequestHead(
        "POST", b"/", b"", None, "1.1", [], has_body=has_body, keep_alive=True, expects_continue=False
    )
    return Exchange(wire, head, {"type": "http"})


def test_a_body_is_waited_for_only_while_the_application_asks() -> None:
    """What the application does with a part counts as its own time, not as that of the body."""

    async def run() -> list[State]:
        wire, states, goes_on = Wire(), [], asyncio.Event()
        under_test = exchange(wire)

        async def app(_: Any, receive: Any, send: Any) -> None:
            states.append(under_test.state)
            while (await receive())["more_body"]:
                states.append(under_test.state)
                await goes_on.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body"})

        task = asyncio.create_task(under_test.run(app))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        states.append(under_test.state)
        under_test.add_body(b"part")
        states.append(under_test.state)
        await asyncio.sleep(0)
        goes_on.set()
        under_test.end_body()
        await task
        assert wire.sent.startswith(b"HTTP/1.1 200 ")
        return states

    handling = State.HANDLING
    assert [handling, State.BODY, handling, handling] == asyncio.run(run())


@pytest.mark.parametrize(
    ("error", "status"),
    [(asyncio.CancelledError(), b"503"), (ValueError(), b"500")],
    ids=["cancelled", "crash"],
)
def test_every_end_of_the_application_is_answered(error: BaseException, status: bytes) -> None:
    """A client gets an answer also where the application's task was cancelled."""

    async def run() -> bytes:
        wire = Wire()

        async def app(*_: Any) -> None:
            raise error

        await asyncio.gather(exchange(wire).run(app), return_exceptions=True)
        return wire.sent

    assert asyncio.run(run()).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(
    ("kind", "writes"), [(b"application/xml", [0, 1, 2]), (b"text/event-stream", [1, 2, 3])]
)
def test_a_head_goes_with_the_first_part_of_the_body(kind: bytes, writes: list[int]) -> None:
    """One write for both, unless the first part may come much later."""

    async def run() -> list[int]:
        wire, found = Wire(), []

        async def app(_: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
            found.append(wire.writes)
            for more in (True, False):
                await send({"type": "http.response.body", "body": b"part", "more_body": more})
                found.append(wire.writes)

        await exchange(wire, has_body=False).run(app)
        assert wire.sent.endswith(b"\r\n\r\n4\r\npart\r\n4\r\npart\r\n0\r\n\r\n")
        return found

    assert writes == asyncio.run(run())


def test_a_head_without_a_body_is_sent() -> None:
    """Also where the application breaks off behind it."""

    async def run() -> bytes:
        wire = Wire()

        async def app(_: Any, _receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
            raise ValueError

        await exchange(wire, has_body=False).run(app)
        return wire.sent

    assert asyncio.run(run()).startswith(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n")


def test_a_request_is_handled_from_its_turn_on() -> None:
    """Without a body nothing else tells the connection, which would evict it as one that waits."""

    async def run() -> tuple[int, State]:
        wire = Wire()
        under_test = exchange(wire, has_body=False)
        found = []

        async def app(_: Any, _receive: Any, send: Any) -> None:
            found.append((wire.looks, under_test.state))
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        await under_test.run(app)
        return found[0]

    assert (1, State.HANDLING) == asyncio.run(run())
