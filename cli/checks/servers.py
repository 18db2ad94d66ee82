"""The store and the broker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

from stemline.cli.checks.findings import (
    GIB,
    TIMEOUT_S,
    Finding,
    Patient,
    Verdict,
    address_of,
    bad,
    ok,
    warning,
)

_CLOCKS_APART_S: Final = 2.0
"""A difference of the clocks above which leases and signatures become unsafe."""


def store(patient: Patient) -> Iterator[Finding]:
    """Valkey or Redis: reachable, durable, never evicting, with room, and of the same time."""
    yield from _server("store", patient.settings.store.url.get_secret_value())


def _server(part: str, url: str) -> Iterator[Finding]:
    import redis

    where = address_of(url)
    client = redis.Redis.from_url(
        url, decode_responses=True, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
    )
    try:
        began = time.time()
        seconds, micros = client.time()
        middle = (began + time.time()) / 2
        info: Any = client.info()
        yield from _version(part, info, where)
        yield from _durable(part, info)
        yield from _room(part, info)
        yield _clock(seconds + micros / 1e6 - middle)
    except redis.exceptions.AuthenticationError:
        yield bad(part, f"{where} refuses the password", "set the right one in the URL of the settings")
    except (redis.exceptions.RedisError, OSError) as error:
        why = f"{where} does not answer ({type(error).__name__})"
        yield bad(part, why, "start it, or correct STEMLINE_REDIS_URL; see the runbook, StemlineStoreDown")
    finally:
        client.close()


def _version(part: str, info: Mapping[str, Any], where: str) -> Iterator[Finding]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version", "?"))
    if info.get("redis_mode") == "cluster":
        yield bad(part, f"{where} is a cluster", "use one server, with replicas and Sentinel if you like")
    elif int(version.partition(".")[0]) < 7:
        yield bad(part, f"{name} {version} at {where}", "use Valkey 7.2 or Redis 7 and later")
    else:
        yield ok(part, f"{name} {version} at {where}")


def _durable(part: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield bad(part, "no append-only file: a crash loses accepted jobs", "set `appendonly yes`")
    elif info.get("aof_last_write_status") != "ok":
        yield bad(part, "the append-only file could not be written", "look at the room on the server's disk")
    else:
        yield ok(part, "writes its append-only file")
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield ok(part, "never evicts")
    else:
        yield bad(part, f"evicts keys ({policy}): jobs would vanish", "set `maxmemory-policy noeviction`")


def _room(part: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    used = int(info.get("used_memory", 0))
    limit = int(info.get("maxmemory", 0))
    of = limit or int(info.get("total_system_memory", 0))
    found = f"{used / GIB:.2f} of {of / GIB:.1f} GiB {'allowed' if limit else 'in the machine, no limit set'}"
    if of and used > 0.8 * of:
        yield warning(part, found, "raise maxmemory, or keep ended jobs for less long")
    else:
        yield ok(part, found)


def _clock(ahead_s: float) -> Finding:
    found = f"the store's clock is {abs(ahead_s):.2f} s {'ahead' if ahead_s > 0 else 'behind'}"
    if abs(ahead_s) <= _CLOCKS_APART_S:
        return ok("clock", found)
    return bad("clock", found, "let NTP keep the clocks of all machines")


def broker(patient: Patient) -> Iterator[Finding]:
    """The broker, and whether somebody takes what lies in each of its queues."""
    from kombu.exceptions import OperationalError

    from stemline.workers.app import CALLBACKS, LEVELS, SWEEPS, create_app, separate_queue

    if patient.settings.store.broker_url is not None:
        found = list(_server("broker", patient.settings.store.broker))
        yield from (each for each in found if each.part == "broker")
        if any(each.verdict is Verdict.BAD and "answer" in each.found for each in found):
            return
    app = create_app(patient.settings)
    try:
        answers = app.control.inspect(timeout=2.0).active_queues() or {}
    except (OperationalError, OSError, *app.connection().connection_errors) as error:
        yield bad("broker", f"it does not answer ({type(error).__name__})", "see what is said of the store")
        return
    finally:
        app.close()
    taken: dict[str, int] = {}
    for queues in answers.values():
        for queue in queues:
            taken[queue["name"]] = taken.get(queue["name"], 0) + 1
    wanted = {
        **{separate_queue(level): f"stemline worker separate --levels {level}" for level in LEVELS},
        CALLBACKS: "stemline worker callbacks",
        SWEEPS: "stemline worker callbacks",
    }
    for queue, command in wanted.items():
        if queue in taken:
            yield ok("broker", f"{queue} is served by {taken[queue]}")
        else:
            yield bad("broker", f"nobody serves {queue}", f"start `{command}`")
