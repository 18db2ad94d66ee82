"""Mistakes that are planted in the product one by one; each must break a promise in some run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from stemline.api import jobs as jobs_api
from stemline.api import submitter
from stemline.callbacks.delivery import DeliveryService
from stemline.jobs import batch as batch_rules
from stemline.jobs.store import jobs as jobs_store
from stemline.jobs.store.attempts import RedisAttempts
from stemline.jobs.store.jobs import RedisJobs
from stemline.jobs.store.values import Counted
from stemline.storage import publish
from stemline.workers import attempt, feeder, reuse, stages, sweep
from stemline.workers.lease_keeper import LeaseKeeper
from stemline.workers.sweep import Sweeper
from tests.simulation.mistake import ANY, Mistake


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


def _almost_expired(self: RedisAttempts, limit: int = 100) -> list[str]:
    """Return running jobs whose lease has not ended."""
    connection = self._connection
    later = connection.now() + 60_000_000
    found = connection.client.zrangebyscore(connection.key("leases"), "-inf", later, start=0, num=limit)
    return [str(each) for each in found]


_real_again = submitter.again


def _without_origin(context: Any, job: Any) -> Any:
    return replace(_real_again(context, job), origin="")


def _with_deadline(context: Any, job: Any) -> Any:
    return submitter.submitted_by(context, job.spec, origin=job.id, trace="", not_before=None)


def _another_row(batch: str, number: int) -> str:
    return batch_rules.row_job_id(batch, number + next(_numbers) * 1000)


_numbers = itertools.count()


def _fed_first(self: Any, batch: Any, most: int) -> bool:
    """Count rows as fed, and then make jobs of them."""
    first, rows = self._store.batches.take(batch.id, most=most, max_waiting=feeder.MAX_WAITING)
    if rows:
        self._store.batches.fed(batch.id, first, len(rows))
        ids = [batch_rules.row_job_id(batch.id, first + number) for number in range(len(rows))]
        self._store.jobs.create_many([batch_rules.row_spec(batch, row) for row in rows], ids)
    return bool(rows)


def _none_cancelled(*_: object) -> Counted:
    return Counted(0, None)


def _without_timeout(self: LeaseKeeper) -> bool:
    return self.stop_reason is not None


def _digest_without_source(work: Any) -> str:
    return str(len(work.job.spec.tracks())) if work.job.spec.reuse else ""


_IS_CURRENT = "if not is_current(job, ARGV[4]) then return {'lost'} end"
_RUNS = "if not job or job.state ~= 'Running' then return {'lost'} end"
_ACTIVE = "if first and q.state == 'Active' and room"
MISTAKES: Final = (
    Mistake("submissions ignore their key", python=[(jobs_api, "_idempotency", _nothing)]),
    Mistake("cancels are answered and not made", python=[(RedisJobs, "cancel", _nothing)]),
    Mistake("retries do not name their origin", python=[(jobs_api, "again", _without_origin)]),
    Mistake("retries keep a deadline that has passed", python=[(jobs_api, "again", _with_deadline)]),
    Mistake("records are deleted when they have ended", python=[(jobs_store, "_DAY_US", 0)]),
    Mistake(
        "a repeated batch begins anew",
        lua=[("batch_rows", "if batch.state and batch.state ~= 'Loading' then", "if false then")],
    ),
    Mistake("batches are not confirmed", unconfirmed="batch"),
    Mistake("rows that are fed again are other jobs", python=[(feeder, "row_job_id", _another_row)]),
    Mistake("rows are counted as fed before they are jobs", python=[(feeder.Feeder, "_feed", _fed_first)]),
    Mistake("rows of batches are not fed", python=[(feeder.Feeder, "feed", _nothing)]),
    Mistake(
        "jobs of a paused batch start",
        lua=[("batch", "move_waiting(what == 'resume')", "what == 'resume' and move_waiting(true) or {}")],
    ),
    Mistake(
        "a paused batch stays paused",
        lua=[
            (
                "batch",
                "return {'ok', move_waiting(what == 'resume')} end",
                "return {'ok', what == 'pause' and move_waiting(false) or {}} end",
            )
        ],
    ),
    Mistake("the jobs of a cancelled batch go on", python=[(RedisJobs, "cancel_where", _none_cancelled)]),
    Mistake(
        "batches end before their last row",
        lua=[
            (
                ANY,
                "if over < tonumber(b.rows) then return end",
                "if over < tonumber(b.rows) - 1 then return end",
            )
        ],
    ),
    Mistake(
        "the end of a batch is not announced",
        lua=[(ANY, "if b.target and b.target ~= '' then announce(", "if false then announce(")],
    ),
    Mistake(
        "a batch whose row is retried stays at its end",
        lua=[(ANY, "if redis.call('HEXISTS', key, 'ended') == 0 then return end", "do return end")],
    ),
    Mistake(
        "jobs start before their time",
        lua=[
            (ANY, "if job.starts and job.starts > NOW then\n    wait_until", "if false then\n    wait_until")
        ],
    ),
    Mistake(
        "jobs start after their deadline",
        lua=[(ANY, "or not job.deadline or tonumber(job.deadline) > NOW then", "or true then")],
    ),
    Mistake(
        "jobs are cancelled before their deadline",
        lua=[
            (ANY, "or tonumber(job.deadline) > NOW then", "or tonumber(job.deadline) > NOW + 60000000 then"),
            ("expire", "':deadlines', '-inf', int(NOW),", "':deadlines', '-inf', int(NOW + 60000000),"),
        ],
    ),
    Mistake("jobs run longer than their Timeout", python=[(LeaseKeeper, "should_stop", _without_timeout)]),
    Mistake(
        "equal jobs run at a time", lua=[("reuse", "if leader and leader ~= job.id then", "if false then")]
    ),
    Mistake(
        "stems are never used again", lua=[("finish", "ARGV[5] == 'Success' and ARGV[15] ~= ''", "false")]
    ),
    Mistake("stems of any source are used again", python=[(reuse, "digest_of", _digest_without_source)]),
    Mistake(
        "a job waits for an equal one for ever",
        lua=[
            ("reuse", "put_back(job, tonumber(wait),", "put_back(job, 8.64e10,"),
            (
                ANY,
                "local function free_followers(job)",
                "local function free_followers(job)\n  if true then return {} end",
            ),
        ],
    ),
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
        python=[(RedisAttempts, "expired", _almost_expired)],
    ),
    Mistake("nothing is reclaimed", python=[(Sweeper, "reclaim_expired", _nothing)]),
    Mistake("uploads are not registered", python=[(stages, "open_uploads", _open_unregistered)]),
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
    Mistake("ends ignore the token", lua=[("finish", _IS_CURRENT, _RUNS)]),
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
    Mistake("queue changes are not confirmed", unconfirmed="queue"),
    Mistake("uploads are not confirmed", unconfirmed="uploads"),
)
"""Each breaks one of the promises of docs/reliability.md."""
