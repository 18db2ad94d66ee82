"""One call of each method of a store."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from stemline.jobs.batch import Row
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.job import Job, Result
from stemline.jobs.probe import Probe, Question
from stemline.jobs.states import State
from stemline.jobs.store import DeliveryFilter, JobFilter, QueueFilter, RedisStore, TemplateFilter
from stemline.jobs.store.migrations import Phase
from stemline.jobs.store.values import BucketFilter, Idempotency, Submission
from stemline.jobs.worker import Worker

Calls = dict[str, Callable[[], object]]


def calls(store: RedisStore, job: Job) -> Calls:
    """Return a call of every method, by its name; none needs that what it names is there."""
    return {
        **calls_of_jobs(store, job),
        **calls_of_attempts(store, job),
        **calls_of_deliveries(store, job),
        **calls_of_others(store, job),
    }


def methods(store: RedisStore) -> set[str]:
    """Return the names of all methods of all parts of a store."""
    parts = {
        name: part for name, part in vars(store).items() if not name.startswith("_") and name != "client"
    }
    found = {f"{name}.{method}" for name, part in parts.items() for method, _ in public(part)}
    return found | {"now"}


def public(part: object) -> list[tuple[str, object]]:
    return [each for each in inspect.getmembers(part, inspect.ismethod) if not each[0].startswith("_")]


def only(outcomes: list[list[Job] | Exception]) -> list[Job]:
    """Return the jobs of the only submission, or raise what it was refused with."""
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def calls_of_jobs(store: RedisStore, job: Job) -> Calls:
    tenant, jobs = job.spec.tenant, store.jobs
    return {
        "jobs.browse": lambda: jobs.browse(tenant, State.SUBMITTED, offset=0, size=5),
        "jobs.cancel": lambda: jobs.cancel(tenant, [job.id]),
        "jobs.cancel_where": lambda: jobs.cancel_where(tenant, JobFilter()),
        "jobs.count": lambda: jobs.count(tenant, JobFilter()),
        "jobs.create": lambda: jobs.create([job.spec]),
        "jobs.create_each": lambda: only(jobs.create_each([Submission([job.spec])])),
        "jobs.create_many": lambda: jobs.create_many([job.spec]),
        "jobs.demands": jobs.demands,
        "jobs.expire": jobs.expire,
        "jobs.find": lambda: jobs.find(job.id),
        "jobs.get": lambda: jobs.get(tenant, [job.id]),
        "jobs.history": lambda: jobs.history(job.id),
        "jobs.promote": jobs.promote,
        "jobs.prune": jobs.prune,
        "jobs.repeated": lambda: jobs.repeated(tenant, Idempotency("k", "0" * 64)),
        "jobs.search": lambda: jobs.search(tenant, JobFilter(size=5)),
        "jobs.startable": lambda: jobs.startable(1, 5),
        "jobs.waveforms": lambda: jobs.waveforms(tenant, job.id),
    }


def calls_of_attempts(store: RedisStore, job: Job) -> Calls:
    attempts = store.attempts
    return {
        "attempts.claim": lambda: attempts.claim("w", (2, 1, 0)),
        "attempts.confirm_cancel": lambda: attempts.confirm_cancel(job),
        "attempts.expired": attempts.expired,
        "attempts.fail": lambda: attempts.fail(job, "c", "m"),
        "attempts.heartbeat": lambda: attempts.heartbeat(job.id, job.token, 5),
        "attempts.reclaim": lambda: attempts.reclaim(job.id, "s"),
        "attempts.register_uploads": lambda: attempts.register_uploads(job.id, job.token, []),
        "attempts.release": lambda: attempts.release(job),
        "attempts.reuse": lambda: attempts.reuse(job.id, job.token, "digest"),
        "attempts.succeed": lambda: attempts.succeed(job, Result((), {})),
    }


def calls_of_deliveries(store: RedisStore, job: Job) -> Calls:
    tenant, outbox, slots = job.spec.tenant, store.outbox, store.host_slots
    attempt = DeliveryAttempt(0, "2xx", 1, "")
    return {
        "outbox.dead": outbox.dead,
        "outbox.due": outbox.due,
        "outbox.for_job": lambda: outbox.for_job(job.id),
        "outbox.get": lambda: outbox.get(job.id),
        "outbox.record": lambda: outbox.record(job.id, attempt, next_due=None, status="delivered"),
        "outbox.replay": lambda: outbox.replay([job.id]),
        "outbox.replay_all": lambda: outbox.replay_all(tenant, [job.id]),
        "outbox.replay_where": outbox.replay_where,
        "outbox.reserve": lambda: outbox.reserve(job.id, 5.0),
        "outbox.search": lambda: outbox.search(tenant, DeliveryFilter()),
        "outbox.send": lambda: outbox.send(tenant, [job.id]),
        "outbox.send_where": lambda: outbox.send_where(tenant, DeliveryFilter()),
        "host_slots.acquire": lambda: slots.acquire("host", job.id, limit=1, ttl_s=5.0),
        "host_slots.release": lambda: slots.release("host", job.id, limit=1, ttl_s=5.0),
    }


def calls_of_others(store: RedisStore, job: Job) -> Calls:
    tenant, batches, templates = job.spec.tenant, store.batches, store.templates
    question = Question("q", (job.spec,), 0)
    worker = Worker("w", "separation", 1, (0,), "cpu", "1", 0)
    return {
        "batches.append": lambda: batches.append("b", "u", 0, [Row("in/a.mp3")]),
        "batches.begin": lambda: batches.begin("b", "name", job.spec, None, "u"),
        "batches.cancel": lambda: batches.cancel(tenant, "b"),
        "batches.drop": lambda: batches.drop("b", "u"),
        "batches.fed": lambda: batches.fed("b", 0, 1),
        "batches.find": lambda: batches.find("b"),
        "batches.get": lambda: batches.get(tenant, "b"),
        "batches.pause": lambda: batches.pause(tenant, "b"),
        "batches.resume": lambda: batches.resume(tenant, "b"),
        "batches.seal": lambda: batches.seal("b", "u", "sha"),
        "batches.search": lambda: batches.search(tenant),
        "batches.take": lambda: batches.take("b", most=1, max_waiting=1),
        "batches.with_pending_rows": batches.with_pending_rows,
        "events.begin": lambda: store.events.begin(tenant),
        "events.read": lambda: store.events.read(tenant, "0-0"),
        "events.wait": lambda: store.events.wait({tenant: "0-0"}, 0.01),
        "leftovers.drop": lambda: store.leftovers.drop("l", removed=True),
        "leftovers.reserve": store.leftovers.reserve,
        "migrations.apply": lambda: store.migrations.apply(Phase.PRE),
        "migrations.pending": lambda: store.migrations.pending(Phase.PRE),
        "nonces.is_used": lambda: store.nonces.is_used("c", "n"),
        "nonces.use": lambda: store.nonces.use("c", "n", request_id="r", ttl_s=5),
        "probes.answer": lambda: store.probes.answer("q", Probe()),
        "probes.answered": lambda: store.probes.answered("q"),
        "probes.ask": lambda: store.probes.ask(question),
        "probes.spend": lambda: store.probes.spend(question, 1.0),
        "probes.take": lambda: store.probes.take(0.01),
        "queues.search": lambda: store.queues.search(tenant, QueueFilter()),
        "queues.update": lambda: store.queues.update(tenant, "q", name="n"),
        "shares.get": lambda: store.shares.get("c"),
        "shares.override": lambda: store.shares.override("c", 1, 1),
        "statistics.of_tenant": lambda: store.statistics.of_tenant(tenant),
        "statistics.read": store.statistics.read,
        "templates.create": lambda: templates.create(tenant, "name", job.spec.separate),
        "templates.delete": lambda: templates.delete(tenant, "t"),
        "templates.get": lambda: templates.get(tenant, "t"),
        "templates.search": lambda: templates.search(tenant, TemplateFilter()),
        "templates.update": lambda: templates.update(tenant, "t", name="other"),
        "tenants.close": lambda: store.tenants.close(tenant),
        "tenants.is_open": lambda: store.tenants.is_open(tenant),
        "tenants.open": lambda: store.tenants.open(tenant),
        "tenants.search": lambda: store.tenants.search(BucketFilter()),
        "usage.read": lambda: store.usage.read(tenant, 0, 1),
        "usage.spent": lambda: store.usage.spent("c"),
        "usage.warn": lambda: store.usage.warn(tenant, "c", 90),
        "workers.latest": store.workers.latest,
        "workers.leave": lambda: store.workers.leave("w"),
        "workers.report": lambda: store.workers.report(worker),
        "now": store.now,
    }
