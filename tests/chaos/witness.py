"""Every state change of every job, read from the append-only file of the service's Valkey."""

from __future__ import annotations

import itertools
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from stemline.jobs.states import TRANSITIONS, State
from tests.chaos.ledger import Ledger

ENDS = {State.SUCCESS, State.FAILED, State.CANCEL}


class Witness:
    """Follows the append-only file while the service runs, through crashes and rewrites.

    The file holds what Valkey wrote for each script, so it shows every change, also one that a later change
    has overwritten, and no change that a crash undid.
    """

    def __init__(self, folder: Path, prefix: str, ledger: Ledger) -> None:
        """Follow the server with this data folder; jobs have keys under the prefix."""
        self.histories: dict[str, list[State]] = defaultdict(list)
        """Job id to its states, in order."""
        self.claims: dict[str, list[int]] = defaultdict(list)
        """Job id to the times of its claims, µs."""
        self._folder = folder / "appendonlydir"
        self._key = f"{prefix}:job:".encode()
        self._ledger = ledger
        self._sequence = 0
        self._file: BinaryIO | None = None
        self._position = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Read to the end."""
        self._over.set()
        self._thread.join()
        self._read()
        if self._file is not None:
            self._file.close()

    def illegal(self) -> list[str]:
        """Return the histories that the table of transitions does not allow."""
        return [
            f"{job_id}: {states}"
            for job_id, states in self.histories.items()
            if states[0] is not State.SUBMITTED
            or any(after not in TRANSITIONS[before] for before, after in itertools.pairwise(states))
        ]

    def done_twice(self) -> list[str]:
        """Return the jobs that ended more than once."""
        return [job_id for job_id, states in self.histories.items() if sum(s in ENDS for s in states) > 1]

    def claim_gaps(self) -> list[float]:
        """Return, for every job claimed again, the time from claim to claim, s."""
        return [
            (after - before) / 1e6
            for claims in self.claims.values()
            for before, after in itertools.pairwise(claims)
        ]

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self._read()

    def _read(self) -> None:
        """Read what is new, in this file and in those that rewrites began after it."""
        while self._file is not None or self._open_next():
            assert self._file is not None
            self._file.seek(self._position)
            data = self._file.read()
            end = 0
            for transaction, after in transactions(data):
                end = after
                self._note_transaction(transaction)
            self._position += end
            if not self._open_next():
                return

    def _open_next(self) -> bool:
        """Open the file after the current one, if there is one."""
        numbers = [int(path.name.split(".")[2]) for path in self._folder.glob("*.incr.aof")]
        later = [number for number in numbers if number > self._sequence]
        if not later:
            return False
        if self._file is not None:
            self._file.close()
        self._sequence, self._position = min(later), 0
        self._file = (self._folder / f"appendonly.aof.{self._sequence}.incr.aof").open("rb")
        return True

    def _note_transaction(self, transaction: list[list[bytes]]) -> None:
        for command in transaction:
            self._note(command)

    def _note(self, command: list[bytes]) -> None:
        if command[0].upper() != b"HSET" or not command[1].startswith(self._key):
            return
        job_id = command[1][len(self._key) :].decode()
        fields = dict(zip(command[2::2], command[3::2], strict=True))
        if b"state" in fields:
            self.histories[job_id].append(State(fields[b"state"].decode()))
        if b"started" in fields:
            self.claims[job_id].append(int(fields[b"started"]))
            self._ledger.beat("claimed")


def transactions(data: bytes) -> Iterator[tuple[list[list[bytes]], int]]:
    """Yield each complete transaction, or command outside of one, with its end; the rest is not written yet.

    A server that was killed cuts off an incomplete transaction at its restart.
    """
    open_commands: list[list[bytes]] | None = None
    for command, end in commands(data):
        name = command[0].upper()
        if name == b"MULTI":
            open_commands = []
        elif name == b"EXEC":
            yield open_commands or [], end
            open_commands = None
        elif open_commands is None:
            yield [command], end
        else:
            open_commands.append(command)


def commands(data: bytes) -> Iterator[tuple[list[bytes], int]]:
    """Yield each complete command of an append-only file with the position of its end."""
    position = 0
    while True:
        count, at = _number(data, position, b"*")
        command: list[bytes] = []
        for _ in range(count):
            size, at = _number(data, at, b"$")
            command.append(data[at : at + size])
            at += size + 2
        if not command or at > len(data):
            return
        yield command, at
        position = at


def _number(data: bytes, at: int, mark: bytes) -> tuple[int, int]:
    """Read ``*3`` or ``$5`` with its line end; zero where the data ends first."""
    line_end = data.find(b"\r\n", at)
    if line_end < 0:
        return 0, len(data) + 1
    assert data[at : at + 1] == mark, data[at : at + 40]
    return int(data[at + 1 : line_end]), line_end + 2
