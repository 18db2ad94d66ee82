"""The Lua scripts of the store.

The text of a script is the transition table and some constants, written as Lua, followed by
``schema.lua`` (the keys), the files of ``lib/`` (shared functions) and the script's own file.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import redis
from redis.commands.core import Script

from stemline.jobs.batch import BATCHES_KEPT
from stemline.jobs.errors import StemlineError
from stemline.jobs.event import EVENTS_KEPT, EVENTS_MS
from stemline.jobs.history import STEPS_KEPT
from stemline.jobs.queue import USUAL_WEIGHT
from stemline.jobs.serving import COMMON, MAX_WANTED
from stemline.jobs.states import TRANSITIONS, State
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS, Confirmation, Durability, run_confirmed
from stemline.jobs.store.records import PAGE_BYTES, RECORD_BYTES, RECORD_VERSION
from stemline.jobs.store.server_errors import CLIENT_ERRORS, translate
from stemline.jobs.worker import ALIVE_S

LEFTOVER_WAIT_US: Final = 60_000_000
"""After this time a sweep first tries to remove what an attempt left in a bucket, µs."""

MAX_PASSED: Final = 1000
"""Cancelled or damaged jobs that one call of claim passes."""
MAX_MOVED: Final = 50
"""Jobs that one call of claim gives a line apart."""
SHARES_COUNTED: Final = 100
"""Shares of a line whose jobs are counted for a position; of more, as many are taken for all."""

_LIBRARY: Final = (
    "records",
    "lines",
    "sums",
    "events",
    "usage",
    "slots",
    "turns",
    "queues",
    "callbacks",
    "room",
    "batches",
    "jobs",
    "views",
    "search",
    "limits",
    "attempts",
    "tenants",
)
"""Files of ``lua/lib/``; each uses only functions of itself and of those before it."""
_REFUSED_WHEN_FULL: Final = {"batch_rows", "create", "open", "template", "use_nonce"}
"""Scripts that add something. At ``maxmemory`` the server refuses them before they write; all others run."""

_UNCONFIRMED: Final = Confirmation()


def _constants() -> str:
    """Return the transition table, the common wants and some numbers as Lua.

    Pause is stored as Submitted, so the table leaves it out.
    """
    rows = (
        f"{before} = {{{', '.join(f'{after} = true' for after in sorted(afters) if after != State.PAUSE)}}}"
        for before, afters in TRANSITIONS.items()
        if before != State.PAUSE
    )
    numbers = {
        "RECORD_VERSION": RECORD_VERSION,
        "RECORD_BYTES": RECORD_BYTES,
        "PAGE_BYTES": PAGE_BYTES,
        "BATCHES_KEPT": BATCHES_KEPT,
        "EVENTS_KEPT": EVENTS_KEPT,
        "EVENTS_MS": EVENTS_MS,
        "USUAL_WEIGHT": USUAL_WEIGHT,
        "STEPS_KEPT": STEPS_KEPT,
        "LEFTOVER_WAIT": LEFTOVER_WAIT_US,
        "MAX_WANTED": MAX_WANTED,
        "MAX_PASSED": MAX_PASSED,
        "MAX_MOVED": MAX_MOVED,
        "SHARES_COUNTED": SHARES_COUNTED,
        "ALIVE": round(ALIVE_S * 1e6),
    }
    lines = "".join(f"local {name} = {value}\n" for name, value in numbers.items())
    common = ", ".join(f"['{name}'] = true" for name in sorted(COMMON))
    return f"{lines}local COMMON = {{{common}}}\nlocal TRANSITIONS = {{{', '.join(rows)}}}\n"


@cache
def library() -> str:
    """Return the text of the functions that scripts share."""
    return "".join(_text(f"lib/{name}") for name in _LIBRARY)


@cache
def source(name: str) -> str:
    """Return the whole text of a script."""
    flags = "" if name in _REFUSED_WHEN_FULL else " flags=allow-oom"
    return f"#!lua{flags}\n{_constants()}{_text('schema')}{library()}{_text(name)}"


def _text(name: str) -> str:
    """Return the text of a file in ``lua/``, named without its ending."""
    return files("stemline.jobs.store").joinpath("lua", f"{name}.lua").read_text()


class Scripts:
    """Runs the scripts on a server."""

    def __init__(
        self, client: redis.Redis, confirmation: Confirmation = _UNCONFIRMED, *, marker: str = ""
    ) -> None:
        """Use a client that decodes answers to ``str``.

        Args:
            client: Client of the server.
            confirmation: Of the changes of :data:`CONFIRMED_SCRIPTS`, before their script returns.
            marker: A key that is written with them; see :func:`run_confirmed`.
        """
        self._client = client
        self._confirmation = confirmation
        self._marker = marker
        self._registered: dict[str, Script] = {}

    def run(self, name: str, *args: str | float) -> Any:
        """Run a script.

        Raises:
            StoreUnavailable: The server cannot be reached, is full, or does not answer.
            NotConfirmed: The change was made, but may not survive what it should.
            RecordTooNew: A record was written by a newer release.
        """
        if self._is_confirmed(name):
            (answer,) = self.run_each(name, [args])
            if isinstance(answer, StemlineError):
                raise answer
            return answer
        sha = self._sha(name)
        try:
            try:
                return self._client.evalsha(sha, 0, *args)
            except redis.exceptions.NoScriptError:
                # The server was restarted between the loading of the script and its use.
                return self._client.eval(source(name), 0, *args)
        except CLIENT_ERRORS as error:
            raise translate(error) from error

    def read_confirmed(self, *command: str) -> Any:
        """Run a reading command; what it has found survives what answered changes survive.

        Raises:
            StoreUnavailable: The server cannot be reached or does not answer.
            NotConfirmed: What it has found may not survive what it should.
        """
        try:
            if self._confirmation.durability is Durability.PROCESS:
                return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
            (answer,) = run_confirmed(self._client, self._confirmation, self._marker, [command])
        except CLIENT_ERRORS as error:
            raise translate(error) from error
        if isinstance(answer, CLIENT_ERRORS):
            raise translate(answer)
        return answer

    def run_each(self, name: str, calls: Sequence[Sequence[str | float]]) -> list[Any]:
        """Run a script with each of several lists of arguments, in one round trip.

        Returns:
            For each list the answer, or the error with which it ended, as :meth:`run` raises it.

        Raises:
            StoreUnavailable: The server cannot be reached, or does not answer.
            NotConfirmed: Changes were made, but may not survive what they should.
        """
        commands = [("EVALSHA", self._sha(name), 0, *args) for args in calls]
        try:
            answers = self._send(name, commands)
            if any(isinstance(each, redis.exceptions.NoScriptError) for each in answers):
                # The server was restarted since the script was loaded; every script may be repeated.
                self._client.script_load(source(name))
                answers = self._send(name, commands)
        except CLIENT_ERRORS as error:
            raise translate(error) from error
        return [translate(each) if isinstance(each, CLIENT_ERRORS) else each for each in answers]

    def _send(self, name: str, commands: Sequence[Sequence[str | float]]) -> list[Any]:
        if self._is_confirmed(name):
            return run_confirmed(self._client, self._confirmation, self._marker, commands)
        with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)  # type: ignore[no-untyped-call]
            return list(pipe.execute(raise_on_error=False))

    def _is_confirmed(self, name: str) -> bool:
        return self._confirmation.durability is not Durability.PROCESS and name in CONFIRMED_SCRIPTS

    def _sha(self, name: str) -> str:
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        return str(script.sha)
