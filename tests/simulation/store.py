"""The job store of a run: the product's scripts on a Valkey without files, over faulty connections."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import redis
from redis.connection import ConnectionPool, UnixDomainSocketConnection

from stemline.deploy.local.servers import valkey_program
from stemline.jobs.store import RedisStore, StoreOptions
from stemline.jobs.store.client import client_options
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS, REPEATED_SCRIPTS
from stemline.jobs.store.scripts import source
from tests.simulation.bucket import freeze
from tests.simulation.scheduler import Scheduler

_FAULTS: Final = 9
_WRITING: Final = CONFIRMED_SCRIPTS | REPEATED_SCRIPTS
_CONFIRMED_KEY: Final = "stemline:confirmed"
_CONFIRMED_ANSWERS: Final = 3
"""Answers where a script is confirmed: its own, that of the marker, and that of WAIT."""
_TIME: Final = 4
"""Place of the time among the words of a script's command."""
_NAMES: Final = dict[str, str]()
"""Names of the scripts that the server has, by their digest."""

Listener = Callable[[str, Sequence[str], Any], None]
"""Called with the name of a script that has run, its arguments and its answer."""


@contextmanager
def server(folder: Path) -> Iterator[Path]:
    """Run a Valkey that keeps nothing; yield its socket."""
    socket = folder / "valkey.sock"
    options = {"port": "0", "unixsocket": str(socket), "save": "", "appendonly": "no", "dir": str(folder)}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    reload_scripts()
    process = subprocess.Popen([valkey_program(), *words], stdout=subprocess.DEVNULL, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        with redis.Redis(unix_socket_path=str(socket), retry=None) as client:
            while True:
                try:
                    client.ping()
                except redis.exceptions.ConnectionError:
                    if time.monotonic() > deadline or process.poll() is not None:
                        raise
                    time.sleep(0.01)
                else:
                    break
        yield socket
    finally:
        process.kill()
        process.wait()


def _load(client: redis.Redis) -> dict[str, str]:
    """Load the scripts, so that a run does not depend on those before it; return their names by digest."""
    if not _NAMES:
        for name in scripts_of_the_store():
            _NAMES[str(client.script_load(source(name)))] = name
    return _NAMES


def scripts_of_the_store() -> list[str]:
    """Return the names of all scripts."""
    folder = files("stemline.jobs.store") / "lua"
    return sorted({path.name.removesuffix(".lua") for path in folder.iterdir()} - {"schema", "lib"})


def reload_scripts() -> None:
    """Load the scripts again before the next run: their texts, or the server, are others."""
    source.cache_clear()
    _NAMES.clear()


@dataclass
class StoreServer:
    """The primary, and what of its changes its replica has."""

    socket: Path
    scheduler: Scheduler
    listeners: list[Listener] = field(default_factory=list)
    down_until: float = 0.0
    is_lagging: bool = False
    """Whether the replica receives nothing, so that nothing is confirmed."""

    def __post_init__(self) -> None:
        """Begin with an empty store."""
        self._direct = redis.Redis(unix_socket_path=str(self.socket), decode_responses=True)
        self._direct.flushdb()
        self._names = _load(self._direct)
        self._written: list[Sequence[Any]] = []
        self._confirmed = 0
        self.ended = set[str]()
        """Jobs whose end was answered to the process that ended them."""
        self._pools: list[ConnectionPool] = []
        self.lost = 0
        self.changes = 0
        """How often something was changed, also by a failover."""

    def close(self) -> None:
        """Close all connections."""
        self._direct.close()
        for pool in self._pools:
            pool.disconnect()

    def observer(self) -> RedisStore:
        """Return a store for the properties; nothing goes wrong with its calls."""
        return RedisStore(self._direct, clock=self.clock)

    def clock(self) -> int:
        """Return the time of the server, µs."""
        return round(self.scheduler.now * 1e6)

    def open(self, options: StoreOptions, **callbacks: Any) -> RedisStore:
        """Return the store of a process."""
        pool = ConnectionPool(
            connection_class=_Connection,
            path=str(self.socket),
            server=self,
            protocol=2,  # needs no greeting
            driver_info=None,
            decode_responses=True,
            retry=client_options()["retry"],
        )
        self._pools.append(pool)
        return RedisStore(redis.Redis(connection_pool=pool), options, clock=self.clock, **callbacks)

    def name_of(self, sha: str) -> str:
        """Return the name of a script."""
        return self._names.get(sha, "")

    def ran(self, command: Sequence[Any], answer: Any) -> None:
        """Note that a script has run."""
        sha = str(command[1])
        if command[0] == "EVAL":
            sha = hashlib.sha1(sha.encode()).hexdigest()
        name = self.name_of(sha)
        if name in _WRITING and not isinstance(answer, Exception):
            self.changes += 1
            self._written.append(command)
            self.scheduler.note(
                f"{name} {' '.join(str(each)[:40] for each in command[5:9])} -> {str(answer)[:60]}"
            )
        for listener in self.listeners:
            listener(name, [str(each) for each in command[3:]], answer)

    def answered(self, command: Sequence[Any], answer: Any) -> None:
        """Note that a process has the answer to a script."""
        name = self.name_of(str(command[1])) if len(command) > 1 else ""
        if name == "finish" and answer[0] == "ok":
            self.ended.add(str(command[5]))

    def confirm(self) -> None:
        """Note that the replica has everything."""
        self._confirmed = len(self._written)

    def fail_over(self, kept: int) -> None:
        """Let the replica take over with what was confirmed, and some of what follows.

        Args:
            kept: changes after the confirmed ones that it has.
        """
        self.scheduler.now += 0.001  # a failover takes some time
        self.changes += 1
        end = min(self._confirmed + kept, len(self._written))
        self.lost += len(self._written) - end
        self.scheduler.note(f"failover; the last {len(self._written) - end} changes are lost")
        del self._written[end:]
        self._direct.flushdb()
        with self._direct.pipeline(transaction=False) as pipe:
            for command in self._written:
                pipe.execute_command(*command)
            pipe.execute(raise_on_error=False)
        self._confirmed = len(self._written)

    def unconfirmed(self) -> int:
        """Return how many changes the replica may lack."""
        return len(self._written) - self._confirmed


class _Connection(UnixDomainSocketConnection):
    """A connection of a simulated process."""

    def __init__(self, *, server: StoreServer, **options: Any) -> None:
        self._server = server
        self._sent: list[Sequence[Any]] = []
        super().__init__(**options)

    def send_command(self, *args: Any, **options: Any) -> None:
        (command,) = self._begin([args])
        super().send_command(*command, **options)

    def pack_commands(self, commands: Any) -> Any:
        return super().pack_commands(self._begin(commands))

    def _wait(self) -> tuple[str, str]:
        """Return a command that answers as WAIT does: 1, or 0 while the replica lags."""
        if self._server.is_lagging:
            return ("EXISTS", "nothing")
        return ("EXISTS", _CONFIRMED_KEY)

    def _begin(self, commands: Sequence[Sequence[Any]]) -> list[Sequence[Any]]:
        """Let others go on before the commands are sent, and decide what goes wrong; return them as sent."""
        server = self._server
        scheduler = server.scheduler
        name = server.name_of(str(commands[0][1])) if len(commands[0]) > 1 else ""
        fault = scheduler.choices.rare(_FAULTS, name)
        scheduler.point()
        process = scheduler.process()
        if process.is_client:  # it asks again where another one would be dead
            fault = {1: 3, 2: 3, 5: 6, 7: 6}.get(fault, fault)
        if fault:
            scheduler.note(f"fault {fault} of {commands[0][0]} {name}")
        if fault == 1:
            scheduler.kill(process)
        if fault == 2:
            freeze(scheduler, process)
        if fault == 4:
            scheduler.sleep(1.0)
        if fault == 3 or scheduler.now < server.down_until:
            raise redis.exceptions.ConnectionError("simulated")
        self._sent = [self._as_sent(command) for command in commands]
        self._answers: list[Any] = []
        self._first, self._after = self._sent[0], fault
        return list(self._sent)

    def _as_sent(self, command: Sequence[Any]) -> Sequence[Any]:
        """Return a command with the time at which it arrives, where a server would take its own."""
        if command[0] == "WAIT":
            return self._wait()
        if command[0] in {"EVALSHA", "EVAL"} and len(command) > _TIME:
            return (*command[:_TIME], str(self._server.clock()), *command[_TIME + 1 :])
        return command

    def read_response(self, *args: Any, **options: Any) -> Any:
        command = self._sent.pop(0)
        try:
            answer = super().read_response(*args, **options)
        except redis.exceptions.ResponseError as refused:
            answer = refused
        self._answers.append(answer)
        if command[0] in {"EVALSHA", "EVAL"}:
            self._server.ran(command, answer)
        if command == ("EXISTS", _CONFIRMED_KEY):
            self._server.confirm()
        if not self._sent:
            self._end()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _end(self) -> None:
        """Break what is to break after the last answer."""
        server, scheduler = self._server, self._server.scheduler
        if self._after == 5:
            scheduler.kill(scheduler.process())
        if self._after == 6:
            raise redis.exceptions.ConnectionError("simulated")
        is_confirmed = len(self._answers) < _CONFIRMED_ANSWERS or self._answers[-1] == 1
        if is_confirmed and not any(isinstance(each, Exception) for each in self._answers):
            server.answered(self._first, self._answers[0])
        if self._after == 7:
            freeze(scheduler, scheduler.process())
        if self._after == 8:
            server.fail_over(scheduler.choices.pick(server.unconfirmed() + 1))
