"""Cut the power under Valkey again and again while clients change things; count what was lost."""

from __future__ import annotations

import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stemline.jobs.errors import TryAgain
from stemline.jobs.store.durability import Durability
from tests.chaos.powercut.clients import Client, Found
from tests.chaos.powercut.disk import Damage, Disk, build_shim
from tests.chaos.powercut.server import CutAtStart, CutServer, Refused, repair

CLIENTS: Final = 3
CUTS_OF_A_DISK: Final = 20
"""Cuts after which another disk is taken, so that its records stay few."""
LIFE_S: Final = 10.0
"""After this time a server is killed that has not come to its last call, s."""


@dataclass
class Outcome:
    """What a run found."""

    durability: Durability
    appendfsync: str
    seed: int
    cuts: int = 0
    lasted_s: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    """Starts that the server refused, until the tail of its file was cut off."""
    damage: Damage = field(default_factory=Damage)
    found: Found = field(default_factory=Found)


def run(
    cuts: int, durability: Durability, appendfsync: str, seed: int, *, log: Callable[[str], None] = print
) -> Outcome:
    """Cut so many times, and return what was lost."""
    outcome, chance, began = Outcome(durability, appendfsync, seed), random.Random(seed), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="stemline-powercut-"))
    library = build_shim(folder)
    while outcome.cuts < cuts:
        disk = Disk(folder / f"disk-{outcome.cuts}", library, outcome.damage)
        clients = [Client(number, durability, random.Random(chance.random())) for number in range(CLIENTS)]
        for _ in range(min(CUTS_OF_A_DISK, cuts - outcome.cuts)):
            _live(disk, clients, appendfsync, chance, outcome)
        _check(disk, clients, appendfsync, outcome)
        if not outcome.found.lost:
            shutil.rmtree(disk.root)
        log(f"{outcome.cuts} cuts, {outcome.found.answered} changes answered, {len(outcome.found.lost)} lost")
    outcome.lasted_s = time.monotonic() - began
    if not outcome.found.lost:
        shutil.rmtree(folder)
    return outcome


def _live(
    disk: Disk, clients: list[Client], appendfsync: str, chance: random.Random, outcome: Outcome
) -> None:
    """Start a server, check what it has, let it work until it kills itself, and cut."""
    environment = disk.environment(
        calls=round(chance.triangular(1, 250, 30)), sync_us=chance.choice((0, 500, 3000))
    )
    server = _start(disk, appendfsync, environment, outcome)
    if server is not None:
        timer = threading.Timer(LIFE_S, server.kill)
        timer.start()
        try:
            for client in clients:
                client.connect(server.socket)
            _work(clients, outcome)
            server.process.wait()
        finally:
            timer.cancel()
            server.kill()
            for client in clients:
                client.disconnect()
    disk.cut(chance)
    outcome.cuts += 1


def _work(clients: list[Client], outcome: Outcome) -> None:
    def one(client: Client) -> None:
        try:
            client.check(outcome.found)
        except TryAgain:
            return  # the cut came first; the next server is compared
        client.run()

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, clients))


def _start(
    disk: Disk, appendfsync: str, environment: Mapping[str, str], outcome: Outcome
) -> CutServer | None:
    """Start a server; repair its file if it refuses it. None if the power was cut before it was ready."""
    try:
        try:
            return CutServer(disk.root, disk.folder, appendfsync, environment)
        except Refused as refused:
            outcome.refused[refused.reason] += 1
            repair(disk.folder, refused)
            disk.plug_in()
            return CutServer(disk.root, disk.folder, appendfsync, environment)
    except CutAtStart:
        return None


def _check(disk: Disk, clients: list[Client], appendfsync: str, outcome: Outcome) -> None:
    """Compare what the last server has."""
    server = _start(disk, appendfsync, disk.environment(calls=0, sync_us=0), outcome)
    assert server is not None
    try:
        for client in clients:
            client.connect(server.socket)
            client.check(outcome.found)
            client.disconnect()
    finally:
        server.kill()
