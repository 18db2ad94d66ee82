"""The Lua scripts of the store.

The text of a script is the transition table and some constants, written as Lua, followed by
``schema.lua`` (the keys), ``lib.lua`` (shared functions) and the script's own file.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Final

import redis
from redis.commands.core import Script

from stemline.jobs.batch import BATCHES_KEPT
from stemline.jobs.event import EVENTS_KEPT, EVENTS_MS
from stemline.jobs.history import STEPS_KEPT
from stemline.jobs.queue import USUAL_WEIGHT
from stemline.jobs.serving import COMMON, MOST_WANTED
from stemline.jobs.states import TRANSITIONS, State
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS, Confirmation, Durability, run_confirmed
from stemline.jobs.store.records import PAGE_BYTES, RECORD_BYTES, RECORD_VERSION
from stemline.jobs.store.server_errors import CLIENT_ERRORS, translate
from stemline.jobs.worker import ALIVE_S

LEFTOVER_WAIT_US: Final = 60_000_000
"""After this time a sweep first tries to remove what an attempt left in a bucket, µs."""

MOST_PASSED: Final = 1000
"""Cancelled or damaged jobs that one call of claim passes."""
MOST_MOVED: Final = 50
"""Jobs that one call of claim gives a line apart."""

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
        "MOST_WANTED": MOST_WANTED,
        "MOST_PASSED": MOST_PASSED,
        "MOST_MOVED": MOST_MOVED,
        "ALIVE": round(ALIVE_S * 1e6),
    }
    lines = "".join(f"local {name} = {value}\n" for name, value in numbers.items())
    common = ", ".join(f"['{name}'] = true" for name in sorted(COMMON))
    return f"{lines}local COMMON = {{{common}}}\nlocal TRANSITIONS = {{{', '.join(rows)}}}\n"


@cache
def source(name: str) -> str:
    """Return the whole text of a script."""
    folder = files("stemline.jobs.store") / "lua"
    flags = "" if name in _REFUSED_WHEN_FULL else " flags=allow-oom"
    parts = "".join((folder / f"{part}.lua").read_text() for part in ("schema", "lib", name))
    return f"#!lua{flags}\n{_constants()}{parts}"


class Scripts:
    """Runs the scripts on a server."""

    def __init__(
        self, client: redis.Redis, confirmation: Confirmation = _UNCONFIRMED, *, marker: str = ""
    ) -> None:
        """Use a client that decodes answers to ``str``.

        Args:
            client: of the server.
            confirmation: of the changes of :data:`CONFIRMED_SCRIPTS`, before their script returns.
            marker: a key that is written with them; see :func:`run_confirmed`.
        """
        self._client = client
        self._confirmation = confirmation
        self._marker = marker
        self._registered: dict[str, Script] = {}

    def run(self, name: str, *args: str | float) -> Any:
        """Run a script.

        Raises:
            StoreUnavailable: the server cannot be reached, is full, or does not answer.
            NotConfirmed: the change was made, but may not survive what it should.
            RecordTooNew: a record was written by a newer release.
        """
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        try:
            if self._confirmation.durability is not Durability.PROCESS and name in CONFIRMED_SCRIPTS:
                return self._run_confirmed(name, script.sha, args)
            try:
                return self._client.evalsha(script.sha, 0, *args)
            except redis.exceptions.NoScriptError:
                # The server was restarted between the loading of the script and its use.
                return self._client.eval(source(name), 0, *args)
        except CLIENT_ERRORS as error:
            raise translate(error) from error

    def read_confirmed(self, *command: str) -> Any:
        """Run a reading command; what it has found survives what answered changes survive.

        Raises:
            StoreUnavailable: the server cannot be reached or does not answer.
            NotConfirmed: what it has found may not survive what it should.
        """
        try:
            if self._confirmation.durability is Durability.PROCESS:
                return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
            return run_confirmed(self._client, self._confirmation, self._marker, command)
        except CLIENT_ERRORS as error:
            raise translate(error) from error

    def _run_confirmed(self, name: str, sha: str, args: tuple[str | float, ...]) -> Any:
        client, confirmation, marker = self._client, self._confirmation, self._marker
        try:
            return run_confirmed(client, confirmation, marker, ("EVALSHA", sha, 0, *args))
        except redis.exceptions.NoScriptError:
            return run_confirmed(client, confirmation, marker, ("EVAL", source(name), 0, *args))
