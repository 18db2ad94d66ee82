"""What an error of the job store's server means, by the word its reply begins with.

One table for every process. Whatever the word, a call of the store ends in :class:`StoreUnavailable`: the API
answers ``503 SlowDown`` with ``Retry-After``, and a worker repeats the call within its time limit, or leaves
the work to the sweeper. No word ends a process or a thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import redis

from stemline.jobs.errors import RecordTooNew, StoreUnavailable
from stemline.jobs.store.records import RECORD_VERSION


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reply means for its callers."""

    retry_after_s: float
    """When clients of the API should try again, s."""
    passes: bool
    """Whether it ends without an operator: the server starts, fails over, or is busy for a while."""
    cause: str


UNREACHABLE: Final = "unreachable"
"""Instead of a word, where there was no reply: no connection, or none in time."""
UNKNOWN: Final = "unknown"
"""Instead of a word, for one that is not in the table, ``ERR`` among them."""

_SOON_S, _LATER_S = 1.0, 10.0

MEANINGS: Final[Mapping[str, Meaning]] = {
    UNREACHABLE: Meaning(_SOON_S, passes=True, cause="no connection, or no reply in time"),
    "LOADING": Meaning(_SOON_S, passes=True, cause="the server loads its data"),
    "BUSY": Meaning(_SOON_S, passes=True, cause="a script has run for too long"),
    "TRYAGAIN": Meaning(_SOON_S, passes=True, cause="keys are being moved"),
    "UNBLOCKED": Meaning(_SOON_S, passes=True, cause="the server became a replica while a read waited"),
    "EXECABORT": Meaning(_SOON_S, passes=True, cause="a command of a transaction was refused"),
    "NOSCRIPT": Meaning(_SOON_S, passes=True, cause="the server was restarted; the script is sent again"),
    "READONLY": Meaning(_SOON_S, passes=True, cause="a replica: a failover, or a wrong address"),
    "MASTERDOWN": Meaning(_SOON_S, passes=True, cause="the server is a replica without its primary"),
    "NOREPLICAS": Meaning(_SOON_S, passes=True, cause="fewer replicas than min-replicas-to-write"),
    "CLUSTERDOWN": Meaning(_LATER_S, passes=False, cause="a Redis Cluster, which is not supported"),
    "MOVED": Meaning(_LATER_S, passes=False, cause="a Redis Cluster, which is not supported"),
    "ASK": Meaning(_LATER_S, passes=False, cause="a Redis Cluster, which is not supported"),
    "CROSSSLOT": Meaning(_LATER_S, passes=False, cause="a Redis Cluster, which is not supported"),
    "MISCONF": Meaning(_LATER_S, passes=False, cause="the server cannot write its data to disk"),
    "OOM": Meaning(_LATER_S, passes=False, cause="the server has reached maxmemory"),
    "NOAUTH": Meaning(_LATER_S, passes=False, cause="the URL has no password"),
    "WRONGPASS": Meaning(_LATER_S, passes=False, cause="wrong user name or password"),
    "NOPERM": Meaning(_LATER_S, passes=False, cause="the user lacks a permission"),
    UNKNOWN: Meaning(_LATER_S, passes=False, cause="an unexpected reply; see the message"),
}

_WORD: Final = re.compile(rf"\b({'|'.join(word for word in MEANINGS if word.isupper())})\b")
_TOO_NEW: Final = re.compile(r"record (?P<id>\S+) has version (?P<version>\d+)")
CLIENT_ERRORS: Final = (redis.exceptions.RedisError, OSError, ValueError)
"""What a call of the client may raise; ValueError is that of a MOVED or ASK that names no node."""
_NETWORK: Final = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)


def word_of(error: Exception) -> str:
    """Return the word of an error, a key of :data:`MEANINGS`.

    A script's own error, and that of a pipeline, contain the reply that stopped them.
    """
    code = str(getattr(error, "status_code", None) or "")
    if code in MEANINGS:
        return code
    if found := _WORD.search(str(error)):
        return found[1]
    return UNREACHABLE if isinstance(error, (*_NETWORK, OSError)) else UNKNOWN


def translate(error: Exception) -> RecordTooNew | StoreUnavailable:
    """Return the error that callers of the store see."""
    if found := _TOO_NEW.search(str(error)):
        return RecordTooNew(
            f"The record of job {found['id']} has version {found['version']}; this release reads versions up "
            f"to {RECORD_VERSION}. Update this process."
        )
    word = word_of(error)
    meaning = MEANINGS[word]
    reason = f"{word}: {meaning.cause}"
    if not meaning.passes:
        reason += f" ({error})"
    return StoreUnavailable(retry_after_s=meaning.retry_after_s, reason=reason, answered=word != UNREACHABLE)
