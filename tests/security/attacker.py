"""Runs one attack from a process of its own, so that it does not slow down the honest client's clock."""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import random
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from multiprocessing.connection import Connection
from typing import Final

from tests.security.stream import Stream

#: Addresses that attackers come from; the honest client comes from 127.0.0.1.
SOURCES: Final = [f"127.0.1.{number}" for number in range(1, 13)]
_PAUSE_S: Final = 0.05
_BURST_BYTES: Final = 65_536
_SLOW_READ_BYTES: Final = 256


class Ending(Enum):
    """What follows when everything was sent."""

    SILENCE = auto()
    RESET = auto()
    HALF_CLOSE = auto()


@dataclass(frozen=True, slots=True)
class Script:
    """What one connection of an attack does."""

    opening: bytes = b""
    awaits_answer: bool = False
    """Whether it reads an answer to the opening before it goes on."""
    then: bytes = b""
    repeat: bytes = b""
    """Sent without end after that."""
    every_s: float = 0.0
    """Pause after each byte of what is repeated; 0 sends as fast as the server takes it."""
    segment_bytes: int = 0
    """Of what is repeated, sent in segments of their own; 0 sends as much as the server takes."""
    reads: bool = False
    """Whether it reads what the server sends meanwhile."""
    reads_every_s: float = 0.0
    """Pause after each read, of a few bytes then; 0 reads as fast as the server sends."""
    tls: bool = False
    tickets: bool = True
    """Whether it takes tickets of TLS sessions."""
    ending: Ending = Ending.SILENCE


@dataclass(frozen=True, slots=True)
class Attack:
    """Scripts that are run by many connections for a while; closed ones are opened again."""

    name: str
    scripts: tuple[Script, ...]
    connections: int
    seconds: float


@dataclass(slots=True)
class Cost:
    """What an attack has cost the attacker."""

    opened: int = 0
    refused: int = 0
    sent: int = 0


async def run(attack: Attack, port: int, seed: int) -> Cost:
    """Run an attack and return what it cost."""
    cost = Cost()
    order = random.Random(seed)
    end = asyncio.get_running_loop().time() + attack.seconds

    async def connection(number: int) -> None:
        source = SOURCES[number % len(SOURCES)]
        await asyncio.sleep(order.random() * min(1.0, attack.seconds / 4))
        while asyncio.get_running_loop().time() < end:
            await _once(attack.scripts[number % len(attack.scripts)], port, source, end, cost)
            await asyncio.sleep(_PAUSE_S)

    await asyncio.gather(*(connection(number) for number in range(attack.connections)))
    return cost


async def _once(script: Script, port: int, source: str, end: float, cost: Cost) -> None:
    """Open one connection and play its script until the server closes it or the time is over."""
    stream: Stream | None = None
    try:
        async with asyncio.timeout_at(end):
            small = not script.reads or script.reads_every_s > 0
            stream = await Stream.open(port, source, tls=script.tls, small=small, tickets=script.tickets)
            cost.opened += 1
            async with asyncio.TaskGroup() as group:
                reader = group.create_task(_read(stream, script.reads_every_s)) if script.reads else None
                await _play(stream, script)
                if reader is None and script.ending is Ending.SILENCE:
                    await stream.wait_closed()
                elif script.ending is not Ending.SILENCE and reader is not None:
                    reader.cancel()
    except (OSError, TimeoutError, ExceptionGroup):
        cost.refused += stream is None
    except asyncio.CancelledError:
        # Python 3.11.2 leaves it as it is in a task in which a TaskGroup was cancelled before.
        if asyncio.get_running_loop().time() < end:
            raise
        cost.refused += stream is None
    finally:
        if stream is not None:
            cost.sent += stream.sent
            with suppress(OSError):
                stream.reset() if script.ending is Ending.RESET else stream.close()


async def _play(stream: Stream, script: Script) -> None:
    if script.opening:
        await stream.send(script.opening)
    if script.awaits_answer:
        await stream.receive_head()
    if script.then:
        await stream.send(script.then)
    if script.repeat:
        await _repeat(stream, script)
    elif script.ending is Ending.HALF_CLOSE:
        stream.half_close()


async def _repeat(stream: Stream, script: Script) -> None:
    size = 1 if script.every_s else script.segment_bytes
    if not size:
        burst = script.repeat * max(1, _BURST_BYTES // len(script.repeat))
        while True:
            await stream.send(burst)
    pieces = [script.repeat[start : start + size] for start in range(0, len(script.repeat), size)]
    for piece in itertools.cycle(pieces):
        await stream.send(piece)
        await asyncio.sleep(script.every_s)


async def _read(stream: Stream, every_s: float) -> None:
    most = _SLOW_READ_BYTES if every_s else 65_536
    while await stream.receive(most):
        if every_s:
            await asyncio.sleep(every_s)
    raise ConnectionError("closed")


def _main(attack: Attack, port: int, seed: int, result: Connection) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    result.send(asyncio.run(run(attack, port, seed)))


@contextmanager
def attacking(attack: Attack, port: int, seed: int) -> Iterator[Connection]:
    """Run an attack in another process; its cost comes from the connection that is yielded."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_main, args=(attack, port, seed, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()
