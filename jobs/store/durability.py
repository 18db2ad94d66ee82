"""What an answered change survives, and how the server confirms it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import redis

from stemline.jobs.errors import NotConfirmed


class Durability(StrEnum):
    """What a change survives once it was answered."""

    PROCESS = "process"
    """Kill -9 of every process of the service; of the server, what its `appendfsync` promises."""
    DISK = "disk"
    """Also a crash of the server's machine: the append-only file is synced before the answer."""
    REPLICA = "replica"
    """Also the loss of that machine: a replica has received the change before the answer."""


CONFIRMED_SCRIPTS: Final = frozenset(
    {
        "batch",
        "batch_rows",
        "cancel",
        "close",
        "create",
        "delete_template",
        "file_deliveries",
        "finish",
        "open",
        "queue",
        "reclaim",  # its sweeper deletes stems, so the former attempt must never be current again
        "record_attempt",
        "replay",
        "reserve",  # what is announced after it must not be undone
        "select",
        "share",
        "template",
        "uploads",
    }
)
"""Scripts whose changes somebody relies on once they are answered."""

REPEATED_SCRIPTS: Final = frozenset(
    {
        "acquire_slot",
        "claim",
        "deliveries",
        "drop_leftover",
        "expire",
        "heartbeat",
        "promote",
        "probe",
        "prune",
        "release",
        "release_slot",
        "report_worker",
        "reuse",
        "statistics",
        "reserve_leftover",
        "use_nonce",
        "warn",
    }
)
"""Scripts whose changes, if they are lost, are made again: when a lease ends, or by the next sweep."""

_TIMEOUT_MS: Final = 3000
"""How long the server may take to confirm, ms; below the client's timeout of 5 s."""
_REFUSALS: Final = {
    "appendonly": "it has no append-only file: set `appendonly yes`",
    "unknown command": "it has no WAITAOF: use Valkey, or Redis 7.2 or later",
}
"""The meaning of the words with which the server refuses WAITAOF."""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What the server is asked to confirm."""

    durability: Durability = Durability.PROCESS
    replicas: Callable[[], int] = lambda: 1
    """Returns how many replicas must have a change, with `replica`."""

    def command(self, timeout_ms: int) -> tuple[str | int, ...]:
        """Return the command that waits for it."""
        if self.durability is Durability.DISK:
            return ("WAITAOF", 1, 0, timeout_ms)
        return ("WAIT", self.replicas(), timeout_ms)


def run_confirmed(
    client: redis.Redis, confirmation: Confirmation, marker: str, commands: Sequence[Sequence[str | float]]
) -> list[Any]:
    """Run commands, wait until their changes are as durable as asked for, and return their answers.

    Args:
        client: Client of the server.
        confirmation: `disk` or `replica`.
        marker: A key that is written as well. The server confirms what this connection wrote last, and a
            command that is repeated, because its first answer was lost, may have nothing left to write.
        commands: Each with its arguments.

    Returns:
        The answer of each command, or the error with which it ended.

    Raises:
        NotConfirmed: Changes were made, but the server did not confirm them in time.
        RedisError: The server cannot be asked, or refuses to confirm.
    """
    wait = confirmation.command(_TIMEOUT_MS)
    with client.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)  # type: ignore[no-untyped-call]
        pipe.set(marker, "")
        pipe.execute_command(*wait)  # type: ignore[no-untyped-call]
        *answers, marked, confirmed = pipe.execute(raise_on_error=False)
    if all(isinstance(each, Exception) for each in answers):
        return answers  # nothing was changed
    for each in (marked, confirmed):
        if isinstance(each, Exception):
            raise each
    if not _suffices(wait, confirmed):
        raise NotConfirmed(retry_after_s=1.0, reason=f"{wait[0]}: not confirmed within {_TIMEOUT_MS} ms")
    return answers


def shortcoming(client: redis.Redis, confirmation: Confirmation) -> str:
    """Return why the server cannot confirm changes; empty if it can.

    Raises:
        RedisError: The server cannot be asked.
    """
    if confirmation.durability is Durability.PROCESS:
        return ""
    wait = confirmation.command(200)
    try:
        confirmed: Any = client.execute_command(*wait)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError as error:
        return f"the user lacks a permission ({error})"
    except redis.exceptions.ResponseError as error:
        for word, reason in _REFUSALS.items():
            if word in str(error):
                return reason
        raise
    if confirmation.durability is Durability.REPLICA:
        return "" if _suffices(wait, confirmed) else f"replicas that keep up: {confirmed} of {wait[1]}"
    return _lazy_sync(client)


def _lazy_sync(client: redis.Redis) -> str:
    """Return whether the server confirms what it has not synced; empty if not, or if the user may not ask.

    Valkey 9.1.2 with `everysec` answers WAITAOF as soon as it has written, up to a second before it syncs.
    """
    try:
        found: Any = client.config_get("appendfsync")
    except redis.exceptions.ResponseError:
        return ""
    policy = found.get("appendfsync", "always")
    return (
        "" if policy == "always" else f"with `appendfsync {policy}` it confirms before it syncs: set `always`"
    )


def _suffices(wait: tuple[str | int, ...], answer: Any) -> bool:
    """Return whether the answer to WAITAOF (files and replicas) or WAIT (replicas) has what was asked for."""
    return bool((answer[0] if isinstance(answer, list) else answer) >= wait[1])
