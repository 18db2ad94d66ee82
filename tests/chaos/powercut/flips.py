"""Flip bits in the files of a server that was killed, and see that no damaged job is ever started."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import redis

from stemline.jobs.errors import StemlineError
from stemline.jobs.job import JobSpec
from stemline.jobs.states import State
from stemline.jobs.store import RedisStore
from stemline.jobs.tenant import Tenant
from stemline.testing.samples import job_spec
from tests.chaos.powercut.server import CutServer, Refused

JOBS: Final = 12
_LEVELS: Final = (2, 1, 0)


@dataclass
class Flips:
    """What became of servers whose file had one wrong bit."""

    outcomes: Counter[str] = field(default_factory=Counter)
    run: list[str] = field(default_factory=list)
    """Jobs that would have been run with another specification than was submitted."""


def run(count: int, seed: int, *, log: Callable[[str], None] = print) -> Flips:
    """Flip so many bits, one at a time, in a file written while jobs were submitted."""
    chance, flips = random.Random(seed), Flips()
    root = Path(tempfile.mkdtemp(prefix="stemline-flips-"))
    origin = root / "origin"
    origin.mkdir()
    specs = _write(root, origin)
    for number in range(count):
        folder = root / "damaged"
        shutil.copytree(origin, folder)
        place = _flip(folder, chance)
        try:
            flips.outcomes[_try(root, folder, specs, flips, place)] += 1
        finally:
            shutil.rmtree(folder)
        if number % 100 == 99:
            log(f"{number + 1} bits flipped: {dict(flips.outcomes)}")
    shutil.rmtree(root)
    return flips


def _write(root: Path, folder: Path) -> dict[str, JobSpec]:
    """Submit jobs, half of them before the file is rewritten, and return what was asked for."""
    server = CutServer(root, folder, "always", {})
    specs: dict[str, JobSpec] = {}
    with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
        store = RedisStore(client)
        for number in range(JOBS):
            tenant = Tenant(f"bucket-{number % 3}-1250000000", "ap-chongqing")
            spec = replace(
                job_spec(), tenant=tenant, queue_id="", level=number % 3, input_object=f"in/{number}"
            )
            (job,) = store.jobs.create([spec])
            specs[job.id] = job.spec
            if number == JOBS // 2:
                client.bgrewriteaof()
                while client.info("persistence")["aof_rewrite_in_progress"]:
                    pass
    server.kill()
    return specs


def _flip(folder: Path, chance: random.Random) -> str:
    files = [path for path in folder.rglob("*") if path.is_file()]
    path = chance.choices(files, [path.stat().st_size for path in files])[0]
    data, at, bit = bytearray(path.read_bytes()), chance.randrange(path.stat().st_size), chance.randrange(8)
    data[at] ^= 1 << bit
    path.write_bytes(bytes(data))
    return f"{path.name} byte {at} bit {bit}: {bytes(data[max(0, at - 30) : at + 10])!r}"


def _try(root: Path, folder: Path, specs: dict[str, JobSpec], flips: Flips, place: str) -> str:
    """Start the server and claim every job; return what was noticed."""
    try:
        server = CutServer(root, folder, "always", {})
    except Refused:
        return "refused by the server at its start"
    try:
        with redis.Redis(unix_socket_path=str(server.socket), decode_responses=True) as client:
            store = RedisStore(client)
            try:
                return _claim(store, specs, flips, place)
            except (StemlineError, ValueError, KeyError, TypeError) as error:
                return f"refused when it was read: {type(error).__name__}"
    finally:
        server.kill()


def _claim(store: RedisStore, specs: dict[str, JobSpec], flips: Flips, place: str) -> str:
    claimed = set()
    while (job := store.attempts.claim("worker", _LEVELS)) is not None:
        claimed.add(job.id)
        wanted = specs.get(job.id)
        if wanted is None or replace(job.spec, level=wanted.level) != wanted:
            flips.run.append(place)
    found = {job_id: store.jobs.find(job_id) for job_id in specs}
    if any(job is not None and job.state is State.FAILED for job in found.values()):
        return "the job ended as Failed, with the reason"
    if None in found.values():
        return "a job was gone"
    return "all jobs as submitted" if claimed == set(specs) else "a job was not started"
