"""The job store against a model of it: random operations by two clients, with lost answers and lost workers.

Every step is done on a store and on its model; after every step each record of the store, and each index of
the one on a server, is compared with the model.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
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
from stemline.jobs.store import JobFilter, QueueFilter, RedisStore, Store, StoreOptions, delivery_id
from stemline.jobs.tenant import Tenant
from stemline.testing import InMemoryStore
from tests.conftest import ValkeyServer
from tests.integration.jobs.model import Expected, ExpectedCallback, ExpectedQueue, Model
from tests.support.rounds import rounds

SECOND = 1_000_000
DAY = 86_400 * SECOND
TENANTS = [Tenant(f"media-{n}", "ap-chongqing") for n in range(3)]
DONE = Result(files=(OutputFile(Track.VOICE, "v.wav", "0" * 32, 1),), media_info={"Format": {}})
ENDED = {State.SUCCESS, State.FAILED, State.CANCEL}
MAX_ATTEMPTS = 3
LEASE_S = 20.0
RETENTION_DAYS = 2.0


def raised(call: Callable[[], Any]) -> type[Exception] | None:
    """The kind of a call's refusal."""
    try:
        call()
    except (LeaseLost, CancelAsked, IllegalTransition, RequestRefused) as error:
        return type(error)
    return None


class StoreMachine(RuleBasedStateMachine):
    """Random operations on jobs of three tenants, in an in-memory store."""

    stores: Sequence[Store]
    """Two clients of one store."""
    repeats_submissions = False
    """Whether a lost answer can make a submission arrive twice."""

    @initialize()
    def begin(self) -> None:
        self.now = 1_790_000_000 * SECOND
        self.prefix = f"m{uuid.uuid4().hex[:8]}"
        self.open_stores(
            StoreOptions(
                key_prefix=self.prefix,
                lease_s=LEASE_S,
                retention_days=RETENTION_DAYS,
                dead_letter_days=RETENTION_DAYS,
            )
        )
        self.turns = itertools.cycle(self.stores)
        self.model = Model()
        self.held: list[Job] = []
        self.templates: dict[str, VoiceSeparate] = {}
        self.names = itertools.count()

    def open_stores(self, options: StoreOptions) -> None:
        self.stores = [InMemoryStore(options, clock=lambda: self.now)] * 2

    @property
    def store(self) -> Store:
        """One of two clients, by turns."""
        return next(self.turns)

    def twice(self, call: Callable[[Store], Any], lost: bool) -> Any:
        """Make a call; when its answer gets lost, it is made again."""
        if lost:
            raised(lambda: call(self.store))
        return call(self.store)

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
        made = self.twice(lambda store: store.jobs.create(specs), lost and self.repeats_submissions)
        assert len(specs) == len(made)
        if tenant not in self.model.queues:
            (queue,) = self.store.queues.search(tenant, QueueFilter()).items
            self.model.queues[tenant] = ExpectedQueue(queue.id)
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

    @precondition(lambda self: self.model.queues)
    @rule(data=st.data(), state=st.sampled_from(QueueState), room=st.none() | st.integers(1, 3))
    def turn_queue(self, data: st.DataObject, state: QueueState, room: int | None) -> None:
        tenant = data.draw(st.sampled_from(sorted(self.model.queues)))
        known = self.model.queues[tenant]
        queue = self.store.queues.update(tenant, known.id, state=state, max_concurrent=room)
        known.state, known.room = state, room or known.room
        assert (known.state, known.room) == (queue.state, queue.max_concurrent)

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
        """Ids of the jobs that run now."""
        which = JobFilter(states=frozenset({State.RUNNING}), size=1000)
        return {job.id for tenant in TENANTS for job in self.store.jobs.search(tenant, which).items}

    @rule(levels=st.sets(st.integers(0, 2), min_size=1), lost=st.booleans())
    def claim(self, levels: set[int], lost: bool) -> None:
        before = {j.id for j in self.model.jobs.values() if j.state is State.RUNNING}
        job = self.twice(lambda store: store.attempts.claim("w", sorted(levels)), lost)
        taken = self.running() - before
        # Of two claims, the answer to the first was lost.
        unanswered = taken - {job.id} if job is not None else taken
        assert len(unanswered) <= int(lost)
        for job_id in (*unanswered, *([job.id] if job is not None else [])):
            assert job_id in self.model.startable(levels)
            known = self.model.jobs[job_id]
            known.state = State.RUNNING
            known.attempt += 1
            known.token = self.next_token(known)
            known.lease_end = self.now + round(LEASE_S * SECOND)
        if job is None:
            assert not self.model.startable(levels)
        else:
            assert (State.RUNNING, self.model.jobs[job.id].token) == (job.state, job.token)
            self.held.append(job)

    def next_token(self, known: Expected) -> int:
        """A token is above the one before and not below the time."""
        return max(known.token + 1, self.now)

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
                self.twice(lambda store: store.attempts.heartbeat(job.id, job.token, progress), lost)
            return
        asked = self.twice(lambda store: store.attempts.heartbeat(job.id, job.token, progress), lost)
        assert known.cancel == asked
        known.lease_end = self.now + round(LEASE_S * SECOND)

    @precondition(lambda self: self.held)
    @rule(data=st.data(), lost=st.booleans())
    def register(self, data: st.DataObject, lost: bool) -> None:
        job, known = self.handle(data)
        staged = [{"upload_id": f"{job.id}-{job.token}"}]
        held = known is not None and known.held(job.token)
        call = lambda: self.twice(lambda s: s.attempts.register_uploads(job.id, job.token, staged), lost)
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
            State.SUCCESS: lambda store: store.attempts.succeed(job, DONE),
            State.FAILED: lambda store: store.attempts.fail(job, "InternalError", "it broke"),
            State.CANCEL: lambda store: store.attempts.confirm_cancel(job),
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
        refusal = raised(
            lambda: self.twice(lambda s: s.attempts.release(job, delay_s=delay, counts=counts), lost)
        )
        if known is None or not held:
            assert refusal is LeaseLost
        elif asked:
            assert refusal is CancelAsked
        else:
            # The repeated call finds the lease released already.
            assert refusal is (LeaseLost if lost else None)
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
        seen = [store.attempts.expired() for store in self.stores]
        assert [over, over] == [set(s) for s in seen]
        for job_id in sorted(seen[0]):
            order = self.stores if back else self.stores[::-1]
            reclaimed = [store.attempts.reclaim(job_id, "sweeper") for store in order]
            assert reclaimed[1] is None
            job, known = reclaimed[0], self.model.jobs[job_id]
            assert job is not None
            known.token = self.next_token(known)
            known.lease_end = self.now + round(LEASE_S * SECOND)
            assert (known.token, known.uploads) == (job.token, job.uploads)
            self.held.append(job)
            if dies:
                continue
            if known.cancel:
                self.store.attempts.confirm_cancel(job)
                self.end(known, State.CANCEL)
            elif known.attempt >= MAX_ATTEMPTS:
                self.store.attempts.fail(job, "InternalError", "The worker died on every attempt.")
                self.end(known, State.FAILED)
            else:
                self.store.attempts.release(job, counts=True)
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
            self.model.callbacks[delivery_id(job.id)] = ExpectedCallback(self.now)

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
        for tenant in model.queues:
            mine = [j for j in model.jobs.values() if j.tenant == tenant]
            found = self.store.jobs.get(tenant, [j.id for j in mine])
            paused = model.queues[tenant].state is QueueState.PAUSED
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


class RedisMachine(StoreMachine):
    """The same with a store on a server, whose indexes must agree as well."""

    server: ValkeyServer
    stores: Sequence[RedisStore]
    repeats_submissions = True

    def open_stores(self, options: StoreOptions) -> None:
        self.clients = [redis.Redis.from_url(self.server.url, decode_responses=True) for _ in range(2)]
        self.stores = [RedisStore(client, options, clock=lambda: self.now) for client in self.clients]

    def teardown(self) -> None:
        for client in getattr(self, "clients", []):
            client.close()

    def twice(self, call: Callable[[Store], Any], lost: bool) -> Any:
        """Make a call; when its answer gets lost, the client library sends the script again."""
        store = self.store
        assert isinstance(store, RedisStore)
        if not lost:
            return call(store)
        connection = store._connection
        run = connection.run
        connection.run = lambda *args: (run(*args), run(*args))[1]  # type: ignore[method-assign]
        try:
            return call(store)
        finally:
            connection.run = run  # type: ignore[method-assign]

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
        for tenant in model.queues:
            own = [each for each in pending if model.jobs["j" + each[0][1:]].tenant == tenant]
            assert sorted(own) == sorted(zset("outbox", str(tenant)))
            first = [(str(tenant), min(due for _, due in own))] if own else []
            assert first == [each for each in zset("outboxes") if each[0] == str(tenant)]
        for level in range(3):
            ready = {q.id for t, q in model.queues.items() if model.open(t) and model.waiting(t, level)}
            assert ready == {name for name, _ in zset("ready", str(level))}
        for tenant, queue in model.queues.items():
            assert {j.id for j in running if j.tenant == tenant} == client.smembers(
                f"{prefix}:running:{queue.id}"
            )
            for level in range(3):
                waiting = [(j.id, float(j.created)) for j in model.waiting(tenant, level)]
                assert waiting == zset("waiting", queue.id, str(level))
            for state in State:
                expected = {j.id for j in model.of(tenant, state)}
                assert expected == {name for name, _ in zset("index", str(tenant), state)}
        counts = {name: int(value) for name, value in client.hgetall(f"{prefix}:counts").items()}
        over = sum(value for name, value in counts.items() if name.startswith("ended:"))
        assert (len(model.jobs) + model.pruned, len(ended) + model.pruned) == (counts.get("created", 0), over)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [RedisMachine, StoreMachine])
def test_the_store_agrees_with_its_model(
    kind: type[StoreMachine], valkey_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever clients, workers, sweepers and lost answers do, in whatever order, nothing goes astray."""
    # Shrinking needs the same ids again in every run.
    numbers = itertools.count()
    for module in ("jobs.store.jobs", "testing.in_memory_store.submissions"):
        monkeypatch.setattr(f"stemline.{module}.new_job_id", lambda: f"j{next(numbers):032x}")
    monkeypatch.setattr(RedisMachine, "server", valkey_server, raising=False)
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=rounds(25, 300),
            stateful_step_count=50,
            deadline=None,
            database=None,
            verbosity=Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        ),
    )
