"""The job store of a run: the product's scripts on a Valkey without files, over faulty connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import SimpleNamespace
from typing import Any, Final

import redis
from redis.client import Pipeline

from stemline.jobs.store import RedisStore, StoreOptions
from stemline.jobs.store.client import client_options
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS, REPEATED_SCRIPTS
from stemline.jobs.store.scripts import source
from tests.simulation.bucket import freeze
from tests.simulation.scheduler import Scheduler
from tests.simulation.valkey import Valkey, sha1

_FAULTS: Final = 9
_WRITING: Final = CONFIRMED_SCRIPTS | REPEATED_SCRIPTS
_SCRIPTS: Final = {"EVALSHA", "EVAL"}
_CONFIRMED: Final = ("EXISTS", "stemline:confirmed")
_CONFIRMED_ANSWERS: Final = 3
"""Answers where a script is confirmed: its own, that of the marker, and that of WAIT."""
_TIME: Final = 4
"""Place of the time among the words of a script's command."""
_UNUSED: Final = redis.ConnectionPool(protocol=2, decode_responses=True)
"""Tells redis-py how answers look; no connection is made."""
_NAMES: Final = dict[str, str]()
"""Names of the scripts that the server has, by their digest."""

Listener = Callable[[str, Sequence[str], Any], None]
"""Called with the name of a script that has run, its arguments and its answer."""


def _load(valkey: Valkey) -> dict[str, str]:
    """Load the scripts, so that a run does not depend on those before it; return their names by digest."""
    if not _NAMES:
        for name in scripts_of_the_store():
            _NAMES[valkey.load(source(name))] = name
    return _NAMES


def scripts_of_the_store() -> list[str]:
    """Return the names of all scripts."""
    folder = files("stemline.jobs.store") / "lua"
    return sorted(
        {path.name.removesuffix(".lua") for path in folder.iterdir() if path.is_file()} - {"schema"}
    )


def reload_scripts() -> None:
    """Load the scripts again before the next run: their texts, or the server, are others."""
    source.cache_clear()
    _NAMES.clear()


@dataclass
class StoreServer:
    """The primary, and what of its changes its replica has."""

    valkey: Valkey
    scheduler: Scheduler
    listeners: list[Listener] = field(default_factory=list)
    down_until: float = 0.0
    is_lagging: bool = False
    """Whether the replica receives nothing, so that nothing is confirmed."""

    def __post_init__(self) -> None:
        """Begin with an empty store."""
        self._client, self._looking_on = _Client(_Calls(self)), _Client(_Undisturbed(self))
        self.valkey.clear()
        self._names = _load(self.valkey)
        self._written: list[Sequence[Any]] = []
        self._confirmed = 0
        self.ended = set[str]()
        """Jobs whose end was answered to the process that ended them."""
        self.lost = 0
        self.changes = 0
        """How often something was changed, also by a failover."""

    def observer(self) -> RedisStore:
        """Return a store for the properties; nothing goes wrong with its calls."""
        return RedisStore(self._looking_on, clock=self.clock)

    def clock(self) -> int:
        """Return the time of the server, µs."""
        return round(self.scheduler.now * 1e6)

    def open(self, options: StoreOptions, **callbacks: Any) -> RedisStore:
        """Return the store of a process."""
        return RedisStore(self._client, options, clock=self.clock, **callbacks)

    def name_of(self, sha: str) -> str:
        """Return the name of a script."""
        return self._names.get(sha, "")

    def ran(self, command: Sequence[Any], answer: Any) -> None:
        """Note that a script has run."""
        sha = str(command[1])
        if command[0] == "EVAL":
            sha = sha1(sha)
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
            kept: Changes after the confirmed ones that it has.
        """
        self.scheduler.now += 0.001  # a failover takes some time
        self.changes += 1
        end = min(self._confirmed + kept, len(self._written))
        self.lost += len(self._written) - end
        self.scheduler.note(f"failover; the last {len(self._written) - end} changes are lost")
        del self._written[end:]
        self.valkey.clear()
        if self._written:
            self.valkey.execute(self._written)
        self._confirmed = len(self._written)

    def unconfirmed(self) -> int:
        """Return how many changes the replica may lack."""
        return len(self._written) - self._confirmed


class _Client(redis.Redis):
    """The client of the simulated processes. Where a call breaks it is made again, as redis-py does."""

    def __init__(self, calls: _Calls) -> None:
        super().__init__(connection_pool=_UNUSED)
        self._calls = calls
        self._callbacks = dict(self.response_callbacks)

    def register_script(self, script: Any) -> Any:
        return _registered(script)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        (answer,) = self._calls.make([args])
        return self._answer(answer, args, options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:
        return _Pipeline(self, transaction, shard_hint)

    def _answer(self, answer: Any, args: Sequence[Any], options: dict[str, Any]) -> Any:
        if isinstance(answer, Exception):
            raise answer
        options.pop("keys", None)
        callback = self._callbacks.get(args[0])
        return callback(answer, **options) if callback else answer


class _Pipeline(Pipeline):
    """Commands that are sent together."""

    def __init__(self, client: _Client, transaction: bool, shard_hint: str | None) -> None:
        super().__init__(client.connection_pool, client.response_callbacks, transaction, shard_hint)
        self._client = client

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        commands = list(self.command_stack)
        if not commands:
            return []
        answers: list[Any] = self._client._calls.make([args for args, _ in commands])
        for place, (args, options) in enumerate(commands):
            try:
                answers[place] = self._client._answer(answers[place], args, options)
            except redis.exceptions.RedisError:
                if raise_on_error:
                    raise
        return answers


@cache
def _registered(script: str) -> SimpleNamespace:
    return SimpleNamespace(sha=sha1(script))


class _Calls:
    """The way of the process whose task runs to the server."""

    def __init__(self, server: StoreServer) -> None:
        self._server = server
        self._retry = client_options()["retry"]

    def make(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send commands and return their answers, again where that breaks.

        Raises:
            ConnectionError: It breaks again and again.
        """
        answers: list[Any] = self._retry.call_with_retry(lambda: self._once(commands), _ignore)
        return answers

    def _once(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        server = self._server
        fault = self._begin(commands[0])
        sent = [self._as_sent(command) for command in commands]
        answers = server.valkey.execute(sent)
        for command, answer in zip(sent, answers, strict=True):
            if command[0] in _SCRIPTS:
                server.ran(command, answer)
            elif command == _CONFIRMED:
                server.confirm()
        self._end(fault, sent[0], answers)
        return answers

    def _begin(self, command: Sequence[Any]) -> int:
        """Let others go on before the commands are sent, and decide what goes wrong."""
        server = self._server
        scheduler = server.scheduler
        name = server.name_of(str(command[1])) if len(command) > 1 else ""
        fault = scheduler.choices.rare(_FAULTS, name)
        scheduler.point()
        process = scheduler.process()
        if process.is_client:  # it asks again where another one would be dead
            fault = {1: 3, 2: 3, 5: 6, 7: 6}.get(fault, fault)
        if fault:
            scheduler.note(f"fault {fault} of {command[0]} {name}")
        if fault == 1:
            scheduler.kill(process)
        if fault == 2:
            freeze(scheduler, process)
        if fault == 4:
            scheduler.sleep(1.0)
        if fault == 3 or scheduler.now < server.down_until:
            raise redis.exceptions.ConnectionError("simulated")
        return fault

    def _as_sent(self, command: Sequence[Any]) -> Sequence[Any]:
        """Return a command with the time at which it arrives, where a server would take its own.

        Instead of WAIT one that answers as it does: 1, or 0 while the replica lags.
        """
        if command[0] == "WAIT":
            return ("EXISTS", "nothing") if self._server.is_lagging else _CONFIRMED
        if command[0] in _SCRIPTS and len(command) > _TIME:
            return (*command[:_TIME], str(self._server.clock()), *command[_TIME + 1 :])
        return command

    def _end(self, fault: int, command: Sequence[Any], answers: Sequence[Any]) -> None:
        """Break what is to break after the last answer."""
        server, scheduler = self._server, self._server.scheduler
        if fault == 5:
            scheduler.kill(scheduler.process())
        if fault == 6:
            raise redis.exceptions.ConnectionError("simulated")
        is_confirmed = len(answers) < _CONFIRMED_ANSWERS or answers[-1] == 1
        if is_confirmed and not any(isinstance(each, Exception) for each in answers):
            server.answered(command, answers[0])
        if fault == 7:
            freeze(scheduler, scheduler.process())
        if fault == 8:
            server.fail_over(scheduler.choices.pick(server.unconfirmed() + 1))


class _Undisturbed(_Calls):
    """The way of those who look on."""

    def make(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        return self._server.valkey.execute(commands)


def _ignore(*_: object) -> None:
    """Do nothing."""
