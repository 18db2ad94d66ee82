"""The job store against a model of it: random lives of jobs, with two clients, lost answers and lost workers.

Every step is done on the real store and on a page of Python that says what should have happened; after
every step each record and each index of the store is compared with the model.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from stemline.jobs.callback import CallbackRequest
from stemline.jobs.delivery import DeliveryAttempt
from stemline.jobs.errors import CancelAsked, IllegalTransition, LeaseLost, RequestRefused
from stemline.jobs.job import Job, JobSpec, Output, OutputFile, Result
from stemline.jobs.separation import AudioMode, Track, VoiceSeparate
from stemline.jobs.states import QueueState, State
from stemline.jobs.store import JobFilter, QueueFilter, RedisStore, Store, delivery_id
from stemline.jobs.tenant import Tenant
from stemline.runtime.settings import Settings
from stemline.runtime.store import store_options
from tests.conftest import ValkeyServer

SECOND = 1_000_000
DAY = 86_400 * SECOND
TENANTS = [Tenant(f"media-{n}", "ap-chongqing") for n in range(3)]
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})
ENDED = {State.SUCCESS, State.FAILED, State.CANCEL}
MOST_ATTEMPTS = 3
LEASE_S = 20.0
RETENTION_DAYS = 2.0


@dataclass
class Expected:
    """What the model knows of a job."""

    id: str
    spec: JobSpec
    created: int
    state: State = State.SUBMITTED
    attempt: int = 0
    token: int = 0
    lease_end: int = 0
    cancel: bool = False
    delayed: int | None = None
    ended: int = 0
    uploads: tuple[Any, ...] = ()
    ended_by_holder: bool = False

    @property
    def tenant(self) -> Tenant:
        return self.spec.tenant

    def held(self, token: int) -> bool:
        return self.state is State.RUNNING and self.token == token


@dataclass
class Lane:
    """What the model knows of a tenant's queue."""

    id: str
    state: QueueState = QueueState.ACTIVE
    room: int = 10


@dataclass
class Callback:
    """What the model knows of a delivery."""

    due: int
    status: str = "pending"
    tries: int = 0


@dataclass
class Model:
    jobs: dict[str, Expected] = field(default_factory=dict)
    lanes: dict[Tenant, Lane] = field(default_factory=dict)
    callbacks: dict[str, Callback] = field(default_factory=dict)
    pruned: int = 0

    def of(self, tenant: Tenant, *states: State) -> list[Expected]:
        return [j for j in self.jobs.values() if j.tenant == tenant and j.state in states]

    def waiting(self, tenant: Tenant, level: int) -> list[Expected]:
        found = [j for j in self.of(tenant, State.SUBMITTED) if j.spec.level == level and j.delayed is None]
        return sorted(found, key=lambda j: j.created)

    def open(self, tenant: Tenant) -> bool:
        lane = self.lanes[tenant]
        return lane.state is QueueState.ACTIVE and len(self.of(tenant, State.RUNNING)) < lane.room

    def startable(self, levels: set[int]) -> set[str]:
        """Ids that a claim may give: the oldest of each queue at the highest level that has any."""
        for level in sorted(levels, reverse=True):
            heads = [
                self.waiting(t, level)[0].id for t in self.lanes if self.open(t) and self.waiting(t, level)
            ]
            if heads:
                return set(heads)
        return set()


def raised(call: Callable[[], Any]) -> type[Exception] | None:
    """The kind of a call's refusal."""
    try:
        call()
    except (LeaseLost, CancelAsked, IllegalTransition, RequestRefused) as error:
        return type(error)
    return None


class StoreMachine(RuleBasedStateMachine):
    """Random lives of jobs of three tenants."""

    server: ValkeyServer

    @initialize()
    def begin(self) -> None:
        self.now = 1_790_000_000 * SECOND
        self.prefix = f"m{uuid.uuid4().hex[:8]}"
        config = Settings(
            key_prefix=self.prefix,
            lease_s=LEASE_S,
            max_attempts=MOST_ATTEMPTS,
            retention_days=RETENTION_DAYS,
            dead_letter_days=RETENTION_DAYS,
        )
        self.clients = [redis.Redis.from_url(self.server.url, decode_responses=True) for _ in range(2)]
        self.stores = [RedisStore(c, store_options(config), clock=lambda: self.now) for c in self.clients]
        self.turns = itertools.cycle(self.stores)
        self.model = Model()
        self.held: list[Job] = []
        self.templates: dict[str, VoiceSeparate] = {}
        self.names = itertools.count()

    def teardown(self) -> None:
        for client in getattr(self, "clients", []):
            client.close()

    @property
    def store(self) -> RedisStore:
        """One of two clients, by turns."""
        return next(self.turns)

    def twice(self, call: Callable[[Store], Any], lost: bool) -> Any:
        """Make a call; when its answer gets lost, the client library makes it again."""
        store = self.store
        if not lost:
            return call(store)
        connection = store._connection
        run = connection.run
        connection.run = lambda *args: (run(*args), run(*args))[1]  # type: ignore[method-assign]
        try:
            return call(store)
        finally:
            connection.run = run  # type: ignore[method-assign]

    # -- clients

    @rule(
        tenant=st.sampled_from(TENANTS),
        levels=st.lists(st.integers(0, 2), min_size=1, max_size=3),
        announced=st.booleans(),
        template=st.integers(0, 3),
        lost=st.booleans(),
    )
    def submit(self, tenant: Tenant, levels: list[int], announced: bool, template: int, lost: bool) -> None:
        separate = VoiceSeparate(AudioMode.IS_AUDIO)
        if template < len(self.templates):
            separate = list(self.templates.values())[template]
        callback = CallbackRequest(url="http://receiver.example/") if announced else CallbackRequest()
        output = Output(tenant.region, tenant.bucket, au_object="out/${jobid}")
        specs = [
            JobSpec(tenant, f"in/{level}", separate, output, level=level, callback=callback)
            for level in levels
        ]
        made = self.twice(lambda store: store.jobs.create(specs), lost)
        assert len(specs) == len(made)
        if tenant not in self.model.lanes:
            self.model.lanes[tenant] = Lane(self.store.queues.search(tenant, QueueFilter()).items[0].id)
        for job in made:
            assert job.id not in self.model.jobs
            self.model.jobs[job.id] = Expected(job.id, job.spec, job.created)

    @precondition(lambda self: self.model.jobs)
    @rule(data=st.data(), count=st.integers(1, 3))
    def cancel(self, data: st.DataObject, count: int) -> None:
        ids = [data.draw(st.sampled_from(list(self.model.jobs))) for _ in range(count)]
        tenant = self.model.jobs[ids[0]].tenant
        jobs = [self.model.jobs[i] for i in ids]
        expected: type[Exception] | None = None
        for job in jobs:
            if job.tenant != tenant:
                expected = RequestRefused
                break
            if job.state in {State.SUCCESS, State.FAILED}:
                expected = IllegalTransition
                break
        assert expected == raised(lambda: self.store.jobs.cancel(tenant, ids))
        if expected is None:
            for job in jobs:
                if job.state is State.SUBMITTED:
                    self.end(job, State.CANCEL)
                elif job.state is State.RUNNING:
                    job.cancel = True

    @precondition(lambda self: self.model.lanes)
    @rule(data=st.data(), state=st.sampled_from(QueueState), room=st.none() | st.integers(1, 3))
    def turn_queue(self, data: st.DataObject, state: QueueState, room: int | None) -> None:
        tenant = data.draw(st.sampled_from(sorted(self.model.lanes)))
        lane = self.model.lanes[tenant]
        queue = self.store.queues.update(tenant, lane.id, state=state, max_concurrent=room)
        lane.state, lane.room = state, room or lane.room
        assert (lane.state, lane.room) == (queue.state, queue.max_concurrent)

    @rule(mode=st.sampled_from(AudioMode))
    def keep_template(self, mode: AudioMode) -> None:
        name = f"t{next(self.names)}"
        made = self.store.templates.create(TENANTS[0], name, VoiceSeparate(mode))
        self.templates[made.id] = made.separate

    @precondition(lambda self: self.templates)
    @rule(mode=st.none() | st.sampled_from(AudioMode))
    def change_template(self, mode: AudioMode | None) -> None:
        """Jobs keep the parameters they were submitted with, whatever becomes of the template."""
        template_id = next(iter(self.templates))
        if mode is None:
            self.store.templates.delete(TENANTS[0], template_id)
            del self.templates[template_id]
            return
        self.store.templates.update(TENANTS[0], template_id, separate=VoiceSeparate(mode))
        self.templates[template_id] = VoiceSeparate(mode)

    # -- workers

    def running(self) -> set[str]:
        """Ids of the jobs that run now, as the store's leases show them."""
        found = self.clients[0].zrange(f"{self.prefix}:leases", 0, -1)
        return {str(job_id) for job_id in found}

    @rule(levels=st.sets(st.integers(0, 2), min_size=1), lost=st.booleans())
    def claim(self, levels: set[int], lost: bool) -> None:
        before = {j.id for j in self.model.jobs.values() if j.state is State.RUNNING}
        job = self.twice(lambda store: store.jobs.claim("w", sorted(levels)), lost)
        taken = self.running() - before
        # Of two claims the first one's answer went to nobody.
        nobodys = taken - {job.id} if job is not None else taken
        assert len(nobodys) <= int(lost)
        for job_id in (*nobodys, *([job.id] if job is not None else [])):
            assert job_id in self.model.startable(levels)
            known = self.model.jobs[job_id]
            known.state = State.RUNNING
            known.attempt += 1
            known.token += 1
            known.lease_end = self.now + round(LEASE_S * SECOND)
        if job is None:
            assert not self.model.startable(levels)
        else:
            assert (State.RUNNING, self.model.jobs[job.id].token) == (job.state, job.token)
            self.held.append(job)

    def handle(self, data: st.DataObject) -> tuple[Job, Expected | None]:
        """Any attempt there ever was: live, stale, long over."""
        job = self.held[data.draw(st.integers(0, len(self.held) - 1))]
        return job, self.model.jobs.get(job.id)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), progress=st.integers(0, 100), lost=st.booleans())
    def heartbeat(self, data: st.DataObject, progress: int, lost: bool) -> None:
        job, known = self.handle(data)
        if known is None or not known.held(job.token):
            with pytest.raises(LeaseLost):
                self.twice(lambda store: store.jobs.heartbeat(job.id, job.token, progress), lost)
            return
        asked = self.twice(lambda store: store.jobs.heartbeat(job.id, job.token, progress), lost)
        assert known.cancel == asked
        known.lease_end = self.now + round(LEASE_S * SECOND)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), lost=st.booleans())
    def register(self, data: st.DataObject, lost: bool) -> None:
        job, known = self.handle(data)
        staged = [{"upload_id": f"{job.id}-{job.token}"}]
        held = known is not None and known.held(job.token)
        call = lambda: self.twice(lambda s: s.jobs.register_uploads(job.id, job.token, staged), lost)
        assert (None if held else LeaseLost) == raised(call)
        if known is not None and held:
            known.uploads = tuple(staged)

    @precondition(lambda self: self.held)
    @rule(
        data=st.data(),
        to=st.sampled_from([State.SUCCESS, State.FAILED, State.CANCEL]),
        lost=st.booleans(),
    )
    def finish(self, data: st.DataObject, to: State, lost: bool) -> None:
        job, known = self.handle(data)
        calls: dict[State, Callable[[Store], None]] = {
            State.SUCCESS: lambda store: store.jobs.succeed(job, DONE),
            State.FAILED: lambda store: store.jobs.fail(job, "InternalError", "it broke"),
            State.CANCEL: lambda store: store.jobs.confirm_cancel(job),
        }
        expected: type[Exception] | None = LeaseLost
        if known is not None and known.held(job.token):
            expected = CancelAsked if known.cancel and to is State.SUCCESS else None
        elif known is not None and known.state is to and known.token == job.token and known.ended_by_holder:
            expected = None
        assert expected == raised(lambda: self.twice(calls[to], lost))
        if expected is None and known is not None and known.state is State.RUNNING:
            self.end(known, to)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), delay=st.sampled_from([0.0, 7.0]), counts=st.booleans(), lost=st.booleans())
    def release(self, data: st.DataObject, delay: float, counts: bool, lost: bool) -> None:
        job, known = self.handle(data)
        held = known is not None and known.held(job.token)
        asked = known is not None and known.cancel
        told = raised(lambda: self.twice(lambda s: s.jobs.release(job, delay_s=delay, counts=counts), lost))
        if known is None or not held:
            assert told is LeaseLost
        elif asked:
            assert told is CancelAsked
        else:
            # Said twice, the second saying finds the lease given up already.
            assert told is (LeaseLost if lost else None)
            self.give_back(known, delay, counts)

    # -- time, sweepers, callbacks

    @rule(seconds=st.sampled_from([0.001, 1, 5, 19, 21, 60]))
    def time_passes(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @rule(dies=st.booleans(), back=st.booleans())
    def sweep(self, dies: bool, back: bool) -> None:
        """Two sweepers look at once; each job whose lease ran out falls to exactly one of them."""
        over = {
            j.id for j in self.model.jobs.values() if j.state is State.RUNNING and j.lease_end <= self.now
        }
        seen = [store.jobs.expired() for store in self.stores]
        assert [over, over] == [set(s) for s in seen]
        for job_id in sorted(seen[0]):
            order = self.stores if back else self.stores[::-1]
            seized = [store.jobs.reclaim(job_id, "sweeper") for store in order]
            assert seized[1] is None
            job, known = seized[0], self.model.jobs[job_id]
            assert job is not None
            known.token += 1
            known.lease_end = self.now + round(LEASE_S * SECOND)
            assert (known.token, known.uploads) == (job.token, job.uploads)
            self.held.append(job)
            if dies:
                continue
            if known.cancel:
                self.store.jobs.confirm_cancel(job)
                self.end(known, State.CANCEL)
            elif known.attempt >= MOST_ATTEMPTS:
                self.store.jobs.fail(job, "InternalError", "The worker died on every attempt.")
                self.end(known, State.FAILED)
            else:
                self.store.jobs.release(job, counts=True)
                self.give_back(known, 0, counts=True)

    @rule()
    def promote(self) -> None:
        for store in self.stores:
            store.jobs.promote()
        for job in self.model.jobs.values():
            if job.delayed is not None and job.delayed <= self.now:
                job.delayed = None

    @precondition(lambda self: self.model.callbacks)
    @rule(data=st.data(), ending=st.sampled_from(["delivered", "later", "dead", "dies"]))
    def deliver(self, data: st.DataObject, ending: str) -> None:
        """Two callback workers take one delivery at once: one of them gets it, when it is due."""
        delivery = data.draw(st.sampled_from(list(self.model.callbacks)))
        known = self.model.callbacks[delivery]
        due = known.status == "pending" and known.due <= self.now
        taken = [store.outbox.reserve(delivery, 15) for store in self.stores]
        assert [due, False] == [t is not None for t in taken]
        if not due:
            return
        known.due = self.now + 15 * SECOND
        if ending == "dies":
            return
        known.tries += 1
        later = self.now + 5 * SECOND if ending == "later" else None
        known.status = "pending" if later else ending
        known.due = later or 0
        tried = DeliveryAttempt(self.now, "200", 3)
        self.store.outbox.record(delivery, tried, next_due=later, status=known.status)

    @precondition(lambda self: any(j.state in ENDED for j in self.model.jobs.values()))
    @rule(days=st.sampled_from([0.5, 3.0]))
    def retention(self, days: float) -> None:
        """Only what ended long enough ago is dropped; two sweepers may drop at once."""
        self.now += round(days * DAY)
        for store in self.stores:
            store.jobs.prune()
        before = self.now - round(RETENTION_DAYS * DAY)
        for job in list(self.model.jobs.values()):
            if job.state in ENDED and job.ended < before:
                del self.model.jobs[job.id]
                self.model.callbacks.pop(delivery_id(job.id), None)
                self.model.pruned += 1

    def end(self, job: Expected, to: State) -> None:
        was_running = job.state is State.RUNNING
        job.state, job.ended, job.delayed, job.uploads = to, self.now, None, ()
        job.ended_by_holder = was_running
        if to is not State.CANCEL and job.spec.callback.url:
            self.model.callbacks[delivery_id(job.id)] = Callback(self.now)

    def give_back(self, job: Expected, delay: float, counts: bool) -> None:
        job.state, job.uploads = State.SUBMITTED, ()
        job.attempt -= 0 if counts else 1
        job.delayed = self.now + round(delay * SECOND) if delay else None

    # -- what must hold after every step

    @invariant()
    def records_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model = self.model
        for tenant in model.lanes:
            mine = [j for j in model.jobs.values() if j.tenant == tenant]
            found = self.store.jobs.get(tenant, [j.id for j in mine])
            paused = model.lanes[tenant].state is QueueState.PAUSED
            for known, job in zip(mine, found, strict=True):
                assert job is not None, "an accepted job is gone"
                shown = State.PAUSE if paused and known.state is State.SUBMITTED else known.state
                assert (shown, known.attempt, known.token, known.cancel) == (
                    job.state,
                    job.attempt,
                    job.token,
                    job.cancel_requested,
                )
                assert (known.spec, known.created, known.uploads) == (job.spec, job.created, job.uploads)
                assert (known.state in ENDED) == (job.ended is not None)
            listed = self.store.jobs.search(tenant, JobFilter(order="Asc", size=1000))
            in_order = [j.id for j in sorted(mine, key=lambda j: j.created)]
            assert in_order == [j.id for j in listed.items]

    @invariant()
    def indexes_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        model, prefix = self.model, self.prefix
        client: Any = self.clients[0]

        def zset(*parts: str) -> list[tuple[str, float]]:
            return client.zrange(":".join((prefix, *parts)), 0, -1, withscores=True)

        running = [j for j in model.jobs.values() if j.state is State.RUNNING]
        assert sorted((j.id, float(j.lease_end)) for j in running) == sorted(zset("leases"))
        ended = [j for j in model.jobs.values() if j.state in ENDED]
        assert sorted((j.id, float(j.ended)) for j in ended) == sorted(zset("ended"))
        delayed = [j for j in model.jobs.values() if j.delayed is not None]
        assert sorted((j.id, float(j.delayed or 0)) for j in delayed) == sorted(zset("delayed"))
        pending = [(d, float(c.due)) for d, c in model.callbacks.items() if c.status == "pending"]
        assert sorted(pending) == sorted(zset("outbox"))
        for level in range(3):
            ready = {lane.id for t, lane in model.lanes.items() if model.open(t) and model.waiting(t, level)}
            assert ready == {name for name, _ in zset("ready", str(level))}
        for tenant, lane in model.lanes.items():
            assert {j.id for j in running if j.tenant == tenant} == client.smembers(
                f"{prefix}:running:{lane.id}"
            )
            for level in range(3):
                waiting = [(j.id, float(j.created)) for j in model.waiting(tenant, level)]
                assert waiting == zset("waiting", lane.id, str(level))
            for state in State:
                expected = {j.id for j in model.of(tenant, state)}
                assert expected == {name for name, _ in zset("index", str(tenant), state)}
        counts = {name: int(value) for name, value in client.hgetall(f"{prefix}:counts").items()}
        over = sum(value for name, value in counts.items() if name.startswith("ended:"))
        assert (len(model.jobs) + model.pruned, len(ended) + model.pruned) == (counts.get("created", 0), over)


def test_the_store_agrees_with_its_model(
    valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever clients, workers, sweepers and lost answers do, in whatever order, nothing goes astray."""
    # Shrinking needs the same ids again in every run.
    numbers = itertools.count()
    monkeypatch.setattr("stemline.jobs.store.jobs.new_job_id", lambda: f"j{next(numbers):032x}")
    monkeypatch.setattr("stemline.jobs.store.jobs.new_queue_id", lambda: f"p{next(numbers):032x}")

    class Machine(StoreMachine):
        server = valkey_server

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=int(os.environ.get("MACHINE_EXAMPLES", "40")),
            stateful_step_count=50,
            deadline=None,
            database=None,
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        ),
    )
