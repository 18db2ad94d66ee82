"""The Lua scripts and how they are run.

Each script is put together from the table of legal transitions, ``lua/lib.lua`` and its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.commands.core import Script

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.states import TRANSITIONS, State

_NEEDS_TENANTS = {"create", "open"}
_REFUSED_WHEN_FULL = {"create", "open", "template"}
"""Scripts that begin something. At ``maxmemory`` they are refused before they write; all others carry on."""


def _legal() -> str:
    """The transition table as Lua; Pause is kept as Submitted, so it is left out."""
    rows = (
        f"{before} = {{{', '.join(f'{after} = true' for after in sorted(afters) if after != State.PAUSE)}}}"
        for before, afters in TRANSITIONS.items()
        if before != State.PAUSE
    )
    return f"local LEGAL = {{{', '.join(rows)}}}\n"


@cache
def source(name: str) -> str:
    """The whole text of a script."""
    folder = files("stemline.jobs.store") / "lua"
    flags = "" if name in _REFUSED_WHEN_FULL else " flags=allow-oom"
    parts = ["lib", *(["tenants"] if name in _NEEDS_TENANTS else []), name]
    return f"#!lua{flags}\n" + _legal() + "".join((folder / f"{part}.lua").read_text() for part in parts)


class Scripts:
    """Runs the store's scripts under one key prefix.

    Args:
        client: answers decoded to ``str``.
        prefix: first part of every key.
        clock: gives µs since the epoch in place of the server's clock; for tests.
    """

    def __init__(self, client: redis.Redis, prefix: str, clock: Callable[[], int] | None = None) -> None:
        self.client = client
        self.prefix = prefix
        self.clock = clock
        self._registered: dict[str, Script] = {}

    def run(self, name: str, *args: str | float) -> Any:
        """Run a script.

        Raises:
            StoreUnavailable: the store cannot be reached, is full, or does not answer.
        """
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self.client.register_script(source(name))
        given = [self.prefix, self.clock() if self.clock else 0, *args]
        try:
            try:
                return script(args=given)
            except redis.exceptions.NoScriptError:
                # The server was restarted between the loading of the script and its use.
                return self.client.eval(source(name), 0, *given)
        except redis.exceptions.RedisError as error:
            raise unavailable(error) from error

    def key(self, *parts: str) -> str:
        """A key under the prefix."""
        return ":".join((self.prefix, *parts))


def unavailable(error: redis.exceptions.RedisError) -> Exception:
    """What a Redis error means to the caller; errors of our own scripts stay what they are."""
    passing = (
        redis.exceptions.ConnectionError,
        redis.exceptions.TimeoutError,
        redis.exceptions.OutOfMemoryError,
        redis.exceptions.ReadOnlyError,
        redis.exceptions.ClusterDownError,
        redis.exceptions.TryAgainError,
    )
    text = str(error)
    if isinstance(error, passing) or text.startswith(
        ("OOM", "MISCONF", "READONLY", "LOADING", "BUSY", "MASTERDOWN")
    ):
        return StoreUnavailable()
    if "OOM" in text or "MISCONF" in text:  # raised inside a script
        return StoreUnavailable()
    return error
