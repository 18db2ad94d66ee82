"""Mistakes that are planted in the product one by one; each must break a promise in some run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from unittest.mock import patch

from stemline.callbacks.delivery import DeliveryService
from stemline.jobs.store import scripts
from stemline.jobs.store.durability import CONFIRMED_SCRIPTS
from stemline.jobs.store.jobs import RedisJobs
from stemline.storage import publish
from stemline.workers import attempt, stages, sweep
from stemline.workers.sweep import Sweeper
from tests.simulation.store import reload_scripts, scripts_of_the_store

ANY: Final = "any"
"""Instead of the name of a script: all that have the text."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change of the product."""

    name: str
    lua: Sequence[tuple[str, str, str]] = ()
    """Name of a script or :data:`ANY`, a text that it has, and what stands in its place."""
    python: Sequence[tuple[object, str, Any]] = ()
    """An object, one of its attributes, and what stands in its place."""
    unconfirmed: str = ""
    """A script whose changes are not confirmed."""

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Have the product make the mistake.

        Raises:
            LookupError: A script does not have the text: the mistake cannot be planted any more.
        """
        original = scripts.source.__wrapped__
        missing = {before for _, before, _ in self.lua}

        @cache
        def source(name: str) -> str:
            text: str = original(name)
            for script, before, after in self.lua:
                if script in {name, ANY} and before in text:
                    missing.discard(before)
                    text = text.replace(before, after)
            return text

        with ExitStack() as stack:
            if self.lua:
                stack.enter_context(patch.object(scripts, "source", source))
                stack.enter_context(patch("tests.simulation.store.source", source))
                for path in scripts_of_the_store():
                    source(path)
                if missing:
                    raise LookupError(f"no script has {missing}")
            if self.unconfirmed:
                fewer = CONFIRMED_SCRIPTS - {self.unconfirmed}
                stack.enter_context(patch.object(scripts, "CONFIRMED_SCRIPTS", fewer))
            for owner, name, value in self.python:
                if not hasattr(owner, name):
                    raise LookupError(f"{owner} has no {name}")
                stack.enter_context(patch.object(owner, name, value))
            reload_scripts()
            try:
                yield
            finally:
                reload_scripts()


def _nothing(*_: object, **__: object) -> None:
    """Do nothing."""


def _no_leftovers(*_: object, **__: object) -> list[Any]:
    return []


_real_complete = publish.complete


def _late(*args: Any, expires_at: Callable[[], float], **values: Any) -> Any:
    """Complete uploads with requests that do not expire with the lease."""
    return _real_complete(*args, expires_at=lambda: expires_at() + 86_400.0, **values)


def _open_unregistered(work: Any) -> None:
    for track in work.job.spec.tracks():
        spec, job = work.job.spec, work.job
        upload = work.context.buckets.stems.open(
            spec.output.region,
            spec.output.bucket,
            spec.key(track, job.id),
            job_id=job.id,
            token=job.token,
            content_type="audio/mpeg",
        )
        work.uploads.append(upload)


def _ignore_size(_bucket: Any, upload: Any, _budget: Any) -> int:
    return int(upload.size)


def _publish_first_alone(work: Any) -> None:
    for upload in work.uploads[:1]:
        work.context.buckets.stems.complete(upload, expires_at=work.lease.expires_at)


def _recorded_first(self: Any, host: str, delivery_id: str) -> None:
    """Record a delivery as delivered before it is sent."""
    self._store.outbox.record(delivery_id, None, next_due=None, status="delivered")
    delivery = self._store.outbox.get(delivery_id)
    announced = self._announced(delivery)
    self._send(delivery, announced, self._store.now() / 1e6)


def _almost_expired(self: RedisJobs, limit: int = 100) -> list[str]:
    """Return running jobs whose lease has not ended."""
    connection = self._connection
    later = connection.now() + 60_000_000
    found = connection.client.zrangebyscore(connection.key("leases"), "-inf", later, start=0, num=limit)
    return [str(each) for each in found]


_IS_CURRENT = "if not is_current(job, ARGV[4]) then return {'lost'} end"
_RUNS = "if not job or job.state ~= 'Running' then return {'lost'} end"
_ACTIVE = "if first and q.state == 'Active' and room"
MISTAKES: Final = (
    Mistake("ends ignore the token", lua=[("finish", _IS_CURRENT, _RUNS)]),
    Mistake(
        "ends have no callback", lua=[(ANY, "if target ~= '' then announce(", "if false then announce(")]
    ),
    Mistake("ends are not confirmed", unconfirmed="finish"),
    Mistake(
        "success after a cancel", lua=[("finish", "ARGV[5] == 'Success' and job.cancel == '1'", "false")]
    ),
    Mistake("cancels are not confirmed", unconfirmed="cancel"),
    Mistake(
        "a running job does not see its cancel",
        lua=[("cancel", "redis.call('HSET', P .. ':job:' .. job.id, 'cancel', 1)", "")],
    ),
    Mistake(
        "releases forget a cancel",
        lua=[
            (
                "release",
                "if job.cancel == '1' then return {'cancel'} end",
                "redis.call('HDEL', P .. ':job:' .. job.id, 'cancel')",
            )
        ],
    ),
    Mistake("ends are announced before they are confirmed", unconfirmed="reserve"),
    Mistake("submissions are not confirmed", unconfirmed="create"),
    Mistake(
        "idempotency keys are forgotten",
        lua=[("create", "redis.call('SET', remembered", "redis.call('SET', remembered .. ARGV[18]")],
    ),
    Mistake(
        "claims ignore a pause",
        lua=[(ANY, _ACTIVE, _ACTIVE.replace(" and q.state == 'Active'", ""))],
    ),
    Mistake(
        "workers get jobs that they do not serve",
        lua=[("claim", "elseif not serves[wants_of(job)] then", "elseif false then")],
    ),
    Mistake("queue changes are not confirmed", unconfirmed="queue"),
    Mistake(
        "queues have no limit of running jobs",
        lua=[(ANY, "return slots.most - slots.running", "return 1000 + slots.most - slots.running")],
    ),
    Mistake(
        "tokens repeat",
        lua=[(ANY, "int(math.max(tonumber(job.token or 0) + 1, NOW))", "int(NOW - NOW % 60000000)")],
    ),
    Mistake("reclaims keep the token", lua=[("reclaim", "'token', next_token(job), ", "")]),
    Mistake(
        "jobs are reclaimed before their lease has ended",
        lua=[("reclaim", "> NOW then return nil end", "> NOW + 60000000 then return nil end")],
        python=[(RedisJobs, "expired", _almost_expired)],
    ),
    Mistake("nothing is reclaimed", python=[(Sweeper, "reclaim_expired", _nothing)]),
    Mistake("uploads are not registered", python=[(stages, "open_uploads", _open_unregistered)]),
    Mistake("uploads are not confirmed", unconfirmed="uploads"),
    Mistake(
        "nothing is cleaned up",
        python=[(attempt, "cleanup", _no_leftovers), (sweep, "cleanup", _no_leftovers)],
    ),
    Mistake("leftovers are not looked at again", python=[(Sweeper, "remove_leftovers", _nothing)]),
    Mistake(
        "completions do not expire, and uploads are not aborted",
        python=[(publish, "complete", _late), (publish, "abort", _nothing)],
    ),
    Mistake("the objects of a dead attempt are kept", python=[(publish, "delete_own", _nothing)]),
    Mistake("one stem alone is published", python=[(stages, "publish", _publish_first_alone)]),
    Mistake("what the bucket holds is not looked at", python=[(publish, "stored_size", _ignore_size)]),
    Mistake("lost wake-ups are not sent again", python=[(Sweeper, "resend_wake_ups", _nothing)]),
    Mistake(
        "lost requests for deliveries are not sent again", python=[(Sweeper, "resend_deliveries", _nothing)]
    ),
    Mistake(
        "deliveries are recorded before they are sent",
        python=[(DeliveryService, "_attempt", _recorded_first)],
    ),
    Mistake("delayed jobs stay delayed", python=[(RedisJobs, "promote", _nothing)]),
)
"""Each breaks one of the promises of docs/reliability.md."""
