"""Whose request is worked on next."""

from __future__ import annotations

import asyncio
from collections import Counter

from stemline.api.http.turns import A_ROUND, Turns


def test_clients_take_turns() -> None:
    """A client with one request waits for one of each other client, however many those have."""

    async def run() -> list[str]:
        turns, order = Turns(1), []

        async def work(client: str) -> None:
            await turns.take(client)
            order.append(client)
            await asyncio.sleep(0)
            turns.give_back()

        await asyncio.gather(*(work(client) for client in "aaaaabbbbbc"))
        return order

    assert list("aabcabababb") == asyncio.run(run())


def test_no_more_than_allowed() -> None:
    """Never more requests are worked on than allowed, and all are in the end."""

    async def run() -> tuple[int, Counter[str]]:
        turns, busy, most, done = Turns(3), 0, 0, Counter[str]()

        async def work(client: str) -> None:
            nonlocal busy, most
            await turns.take(client)
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            done[client] += 1
            turns.give_back()

        await asyncio.gather(*(work(client) for client in "abc" * 10))
        return most, done

    assert (3, Counter("abc" * 10)) == asyncio.run(run())


def test_a_round_of_the_loop_stays_short() -> None:
    """However many requests wait, few begin in one round of the event loop, so that new clients get in."""

    async def run() -> list[int]:
        turns, begun, rounds = Turns(100), 0, []

        async def work(client: str) -> None:
            nonlocal begun
            await turns.take(client)
            begun += 1
            turns.give_back()

        tasks = [asyncio.create_task(work(client)) for client in "abc" * 10]
        while begun < len(tasks):
            before = begun
            await asyncio.sleep(0)
            rounds.append(begun - before)
        await asyncio.gather(*tasks)
        return rounds

    rounds = asyncio.run(run())
    assert 30 == sum(rounds)
    assert max(rounds) == A_ROUND


def test_a_cancelled_request_keeps_no_turn() -> None:
    """A request that is cancelled while it waits, or just as its turn comes, leaves it to the next."""

    async def run() -> list[bool]:
        turns = Turns(1)
        await turns.take("a")
        waiting = [asyncio.create_task(turns.take(client)) for client in "bc"]
        last = asyncio.create_task(turns.take("d"))
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        turns.give_back()  # to c
        waiting[1].cancel()
        await asyncio.wait_for(last, 1)
        return [each.cancelled() for each in (*waiting, last)]

    assert [True, True, False] == asyncio.run(run())
