"""What an answered change survives, and how the server confirms it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        "record_attempt",
        "replay",
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
        "prune",
        "reclaim",
        "release",
        "release_slot",
        "report_worker",
        "reserve",
        "reuse",
        "statistics",
        "take_leftover",
        "use_nonce",
        "warn",
    }
)
"""Scripts whose changes, if they are lost, are made again: when a lease ends, or by the next sweep."""

_TIMEOUT_MS: Final = 3000
"""How long the server may take to confirm, ms; below the client's timeout of 5 s."""
_COMMANDS: Final[Mapping[Durability, tuple[str | int, ...]]] = {
    Durability.DISK: ("WAITAOF", 1, 0, _TIMEOUT_MS),
    Durability.REPLICA: ("WAIT", 1, _TIMEOUT_MS),
}


def run_confirmed(
    client: redis.Redis, durability: Durability, marker: str, run: Sequence[str | float]
) -> Any:
    """Run a command, wait until its change is as durable as asked for, and return its answer.

    Args:
        client: of the server.
        durability: `disk` or `replica`.
        marker: A key that is written as well. The server confirms what this connection wrote last, and a
            command that is repeated, because its first answer was lost, may have nothing left to write.
        run: The command and its arguments.

    Raises:
        NotConfirmed: The change was made, but the server did not confirm it in time.
        RedisError: Of any of the commands.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.execute_command(*run)  # type: ignore[no-untyped-call]
        pipe.set(marker, "")
        pipe.execute_command(*_COMMANDS[durability])  # type: ignore[no-untyped-call]
        answer, marked, confirmed = pipe.execute(raise_on_error=False)
    for each in (answer, marked, confirmed):
        if isinstance(each, Exception):
            raise each
    # WAITAOF counts files and replicas, WAIT replicas.
    if not (confirmed[0] if isinstance(confirmed, list) else confirmed):
        raise NotConfirmed(
            retry_after_s=1.0, reason=f"{_COMMANDS[durability][0]}: not confirmed within {_TIMEOUT_MS} ms"
        )
    return answer


def shortcoming(client: redis.Redis, durability: Durability) -> str:
    """Return why the server cannot confirm changes; empty if it can.

    Raises:
        RedisError: The server cannot be asked.
    """
    if durability is Durability.PROCESS:
        return ""
    try:
        confirmed: Any = client.execute_command(*_COMMANDS[durability][:-1], 200)  # type: ignore[no-untyped-call]
    except redis.exceptions.NoPermissionError as error:
        return f"the user lacks a permission ({error})"
    except redis.exceptions.ResponseError as error:
        text = str(error)
        if "appendonly" in text:
            return "it has no append-only file: set `appendonly yes`"
        if "unknown command" in text:
            return "it has no WAITAOF: use Valkey, or Redis 7.2 or later"
        raise
    if durability is Durability.REPLICA and not confirmed:
        return "it has no replica that keeps up"
    return ""
