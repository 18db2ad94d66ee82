"""Whose handshake is answered next."""

from __future__ import annotations

import asyncio

from stemline.api.http.handshakes import A_ROUND, Handshakes


async def rounds(handshakes: Handshakes, answered: list[str]) -> list[int]:
    """Let the loop run until all are answered; how many were in each round."""
    counts = []
    for _ in range(1000):
        if not handshakes:
            break
        before = len(answered)
        await asyncio.sleep(0)
        counts.append(len(answered) - before)
    return counts


class Opened:
    """A connection that notes when it is its turn."""

    def __init__(self, name: str, answered: list[str]) -> None:
        self._name = name
        self._answered = answered

    def shake_hands(self) -> None:
        """Note it."""
        self._answered.append(self._name)


def test_clients_take_turns() -> None:
    """A client with one connection waits for one of each other client, and each client's are in order."""

    async def run() -> list[str]:
        handshakes, answered = Handshakes(), list[str]()
        for name in ("a1", "a2", "a3", "b1", "b2", "c1"):
            handshakes.add(Opened(name, answered), name[0])
        await rounds(handshakes, answered)
        return answered

    assert ["a1", "b1", "c1", "a2", "b2", "a3"] == asyncio.run(run())


def test_a_round_answers_few() -> None:
    """What else is ready is served between two rounds, however many clients wait."""

    async def run() -> list[int]:
        handshakes, answered = Handshakes(), list[str]()
        for number in range(10 * A_ROUND):
            handshakes.add(Opened("x", answered), str(number))
        return await rounds(handshakes, answered)

    found = asyncio.run(run())
    assert (A_ROUND, 10 * A_ROUND) == (max(found), sum(found))


def test_a_connection_that_is_over_is_forgotten() -> None:
    """It takes no turn and no memory; one that is unknown may be forgotten too."""

    async def run() -> list[str]:
        handshakes, answered = Handshakes(), list[str]()
        kept, over = Opened("kept", answered), Opened("over", answered)
        handshakes.add(over, "a")
        handshakes.add(kept, "b")
        for client in ("a", "b"):
            handshakes.discard(over, client)
        assert 1 == len(handshakes)
        await rounds(handshakes, answered)
        return answered

    assert ["kept"] == asyncio.run(run())


def test_a_connection_that_fails_stops_no_other_one() -> None:
    """The loop handles the error, and the next round answers the others."""

    class Broken(Opened):
        def shake_hands(self) -> None:
            raise MemoryError

    async def run() -> list[str]:
        handshakes, answered, errors = Handshakes(), list[str](), list[object]()
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: errors.append(context["exception"])
        )
        for name in "ab":
            handshakes.add(Broken(name, answered), name)
        handshakes.add(Opened("c", answered), "c")
        await rounds(handshakes, answered)
        assert [MemoryError, MemoryError] == [type(error) for error in errors]
        return answered

    assert ["c"] == asyncio.run(run())
