"""Checks of the store, the broker and the queues."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from stemline.cli.checks.findings import (
    GIB,
    TIMEOUT_S,
    CheckContext,
    Finding,
    Verdict,
    address_of,
    fail,
    ok,
    warn,
)
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    import redis

    from stemline.runtime.settings.groups import StoreSettings

_MAX_CLOCK_SKEW_S: Final = 2.0
"""Leases and signatures need clocks that differ by less."""


def store(context: CheckContext) -> Iterator[Finding]:
    """Check Valkey or Redis: connection, version, durability, eviction, memory and clock."""
    settings = context.settings.store
    yield from _server("store", settings, settings.url.get_secret_value())


def _server(check: str, settings: StoreSettings, url: str) -> Iterator[Finding]:
    import redis

    from stemline.runtime.sentinel_address import is_sentinel
    from stemline.runtime.store import connect

    where = address_of(url)
    if is_sentinel(url):
        yield from _sentinels(check, settings, url)
    client = connect(settings, url, timeout_s=TIMEOUT_S)
    try:
        began = time.time()
        seconds, micros = client.time()
        middle = (began + time.time()) / 2
        info: Any = client.info()
        yield from _version(check, info, where)
        yield from _durable(check, info)
        if check == "store":
            yield _confirmed(settings, client)
        yield from _memory(check, info)
        yield _clock(seconds + micros / 1e6 - middle)
    except redis.exceptions.AuthenticationError:
        yield fail(check, f"{where} refuses the password", "correct it in the URL of the settings")
    except (redis.exceptions.RedisError, OSError) as error:
        message = f"{where} does not answer: {reason_of(error)}"
        fix = "start it, or correct STEMLINE_REDIS_URL; see the runbook, StemlineStoreDown"
        yield fail(check, message, fix)
    finally:
        client.close()


def _sentinels(check: str, settings: StoreSettings, url: str) -> Iterator[Finding]:
    """Check that a majority of the Sentinels answers, which a failover needs, and that there is a replica."""
    from stemline.runtime.redis_client import ask_sentinels

    answers = ask_sentinels(settings, url)
    silent = [where for where, answer in answers.items() if answer is None]
    known = [answer for answer in answers.values() if answer is not None]
    if silent:
        message = f"{len(silent)} of {len(answers)} Sentinels do not answer: {', '.join(silent)}"
        fix = "start them, or correct hosts, master and sentinel_password of the URL"
        yield (fail if 2 * len(silent) >= len(answers) else warn)(check, message, fix)
    elif len(answers) < 3:
        message = f"only {len(answers)} of the Sentinels are named in the URL"
        yield warn(check, message, "name all of them, at least three: a failover needs a majority")
    else:
        yield ok(check, f"all {len(answers)} Sentinels answer")
    replicas = max((len(answer) - 1 for answer in known), default=0)
    if known and not replicas:
        yield warn(check, "the primary has no replica, so nothing can take its place", "add one")


def _version(check: str, info: Mapping[str, Any], where: str) -> Iterator[Finding]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version", "?"))
    if info.get("redis_mode") == "cluster":
        yield fail(check, f"{where} is a cluster", "use one server; it may have replicas and Sentinel")
    elif int(version.partition(".")[0]) < 7:
        yield fail(check, f"{name} {version} at {where}", "use Valkey 7.2 or Redis 7, or later")
    else:
        yield ok(check, f"{name} {version} at {where}")


def _durable(check: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    if not info.get("aof_enabled"):
        yield fail(check, "no append-only file: a crash loses accepted jobs", "set `appendonly yes`")
    elif info.get("aof_last_write_status") != "ok":
        yield fail(check, "the append-only file cannot be written", "check the space on the server's disk")
    else:
        yield ok(check, "the append-only file is written")
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield ok(check, "keys are never evicted")
    else:
        message = f"keys may be evicted, and jobs with them ({policy})"
        yield fail(check, message, "set `maxmemory-policy noeviction`")


def _confirmed(settings: StoreSettings, client: redis.Redis) -> Finding:
    from stemline.jobs.store.durability import shortcoming
    from stemline.runtime.store import confirmation_of

    durability = settings.durability
    if reason := shortcoming(client, confirmation_of(settings)):
        message = f"STEMLINE_DURABILITY is {durability}, which the server cannot confirm: {reason}"
        return fail(
            "store", message, "change the server, or STEMLINE_DURABILITY; until then requests get 503"
        )
    return ok("store", f"answered changes survive what STEMLINE_DURABILITY={durability} promises")


def _memory(check: str, info: Mapping[str, Any]) -> Iterator[Finding]:
    used = int(info.get("used_memory", 0))
    limit = int(info.get("maxmemory", 0))
    available = limit or int(info.get("total_system_memory", 0))
    source = "of maxmemory" if limit else "of the machine; maxmemory is not set"
    message = f"uses {used / GIB:.2f} of the {available / GIB:.1f} GiB {source}"
    if available and used > 0.8 * available:
        yield warn(check, message, "raise maxmemory, or shorten the retention of ended jobs")
    else:
        yield ok(check, message)


def _clock(ahead_s: float) -> Finding:
    message = f"the store's clock is {abs(ahead_s):.2f} s {'ahead' if ahead_s > 0 else 'behind'}"
    if abs(ahead_s) <= _MAX_CLOCK_SKEW_S:
        return ok("clock", message)
    return fail("clock", message, "synchronise the clocks of all machines with NTP")


def broker(context: CheckContext) -> Iterator[Finding]:
    """Check the broker, and that each of its queues is consumed."""
    from kombu.exceptions import OperationalError

    from stemline.runtime import bootstrap
    from stemline.workers.app import CALLBACKS, LEVELS, SWEEPS, separate_queue

    if context.settings.store.broker_url is not None:
        findings = list(_server("broker", context.settings.store, context.settings.store.broker))
        yield from (each for each in findings if each.check == "broker")
        if any(each.verdict is Verdict.ERROR and "does not answer" in each.message for each in findings):
            return
    app = bootstrap.celery_app(context.settings)
    try:
        queues_by_worker = app.control.inspect(timeout=2.0).active_queues() or {}
    except (OperationalError, OSError, *app.connection().connection_errors) as error:
        yield fail("broker", f"it does not answer: {reason_of(error)}", "see the check of the store")
        return
    finally:
        app.close()
    workers: dict[str, int] = {}
    for queues in queues_by_worker.values():
        for queue in queues:
            workers[queue["name"]] = workers.get(queue["name"], 0) + 1
    commands = {
        **{separate_queue(level): f"stemline worker separate --levels {level}" for level in LEVELS},
        CALLBACKS: "stemline worker callbacks",
        SWEEPS: "stemline worker callbacks",
    }
    for queue, command in commands.items():
        if queue in workers:
            yield ok("broker", f"workers that consume {queue}: {workers[queue]}")
        else:
            yield fail("broker", f"no worker consumes {queue}", f"start `{command}`")
