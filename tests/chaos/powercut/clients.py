"""Clients of the store that remember what was answered, and what of it a restarted server must still have."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import redis

from stemline.jobs.batch import BatchState, Row, batch_id
from stemline.jobs.errors import NoSuchQueue, TryAgain
from stemline.jobs.ids import queue_id_of
from stemline.jobs.job import JobSpec
from stemline.jobs.states import ENDED, QueueState, State
from stemline.jobs.store import Idempotency, QueueFilter, RedisStore, StoreOptions
from stemline.jobs.store.durability import Durability
from stemline.jobs.tenant import Tenant
from stemline.testing.samples import job_spec

_ROWS: Final = 3


@dataclass
class Kept:
    """What is known of one thing: the value that was answered last, and those that may have followed."""

    answered: Any = None
    possible: list[Any] = field(default_factory=list)


@dataclass
class Found:
    """What the servers have after their cuts."""

    answered: int = 0
    """Changes that were answered."""
    lost: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


class Client:
    """One client, with a tenant and a level of jobs of its own; its store has a connection of its own."""

    def __init__(self, number: int, durability: Durability, chance: random.Random) -> None:
        """Remember nothing yet."""
        self.tenant = Tenant(f"bucket-{number}-1250000000", "ap-chongqing")
        self._queue = queue_id_of(self.tenant)
        self._level = number
        self._options = StoreOptions(durability=durability)
        self._chance = chance
        self._numbers = itertools.count()
        self._specs: dict[str, JobSpec] = {}
        self._kept: dict[tuple[str, str], Kept] = {}
        self._store: RedisStore | None = None
        self._templates: list[str] = []
        self.answers = 0

    def connect(self, socket: Path) -> None:
        """Use the server at a socket from now on."""
        client = redis.Redis(
            unix_socket_path=str(socket), decode_responses=True, socket_timeout=10, retry=None
        )
        self._store = RedisStore(client, self._options)

    def disconnect(self) -> None:
        """Close the connections."""
        if self._store is not None:
            self._store.close()

    @property
    def store(self) -> RedisStore:
        """The store of the server that runs now."""
        assert self._store is not None
        return self._store

    def run(self) -> None:
        """Make changes until the server does not answer any more."""
        steps = (self._submit, self._cancel, self._pause, self._template, self._batch, self._work)
        while True:
            try:
                self._chance.choices(steps, (2, 1, 1, 1, 1, 1))[0]()
            except TryAgain:
                return

    # -- changes

    def _change(self, kind: str, name: str, value: Any, change: Callable[[], Any]) -> Any:
        """Make a change; until it is answered both the old and the new value are possible."""
        kept = self._kept.setdefault((kind, name), Kept())
        kept.possible.append(value)
        answer = change()
        kept.answered, kept.possible = value, []
        self.answers += 1
        return answer

    def _submit(self) -> None:
        number = next(self._numbers)
        spec = replace(
            job_spec(),
            tenant=self.tenant,
            queue_id="",
            level=self._level,
            input_object=f"in/{number}",
        )
        idempotency = Idempotency(f"key-{self._level}-{number}", "body")
        (job,) = self.store.jobs.create([spec], idempotency=idempotency)
        self._specs[job.id] = replace(spec, queue_id=self._queue)
        self._kept["job", job.id] = Kept(State.SUBMITTED)
        self.answers += 1

    def _waiting(self) -> list[str]:
        return [
            name
            for (kind, name), kept in self._kept.items()
            if kind == "job" and kept.answered is State.SUBMITTED and not kept.possible
        ]

    def _cancel(self) -> None:
        waiting = self._waiting()
        if waiting:
            job_id = self._chance.choice(waiting)
            self._change("job", job_id, State.CANCEL, lambda: self.store.jobs.cancel(self.tenant, [job_id]))

    def _work(self) -> None:
        """Claim a job and end it as failed; a claim is made again if it is lost."""
        job = self.store.attempts.claim("worker", [self._level])
        if job is None:
            return
        kept = self._kept.get(("job", job.id))
        if kept is None:
            kept = self._kept["job", job.id] = Kept(None, [State.SUBMITTED])
        self._change(
            "job", job.id, State.FAILED, lambda: self.store.attempts.fail(job, "InternalError", "as planned")
        )

    def _pause(self) -> None:
        state = self._chance.choice((QueueState.PAUSED, QueueState.ACTIVE))
        self._kept.setdefault(("queue", self._queue), Kept(QueueState.ACTIVE))
        with suppress(NoSuchQueue):  # nothing was submitted yet, or it was lost
            self._change(
                "queue",
                self._queue,
                state,
                lambda: self.store.queues.update(self.tenant, self._queue, state=state),
            )

    def _template(self) -> None:
        separate = job_spec().separate
        if not self._templates or self._chance.random() < 0.3:
            name = f"template-{next(self._numbers)}"
            made = self.store.templates.create(self.tenant, name, separate)
            self._templates.append(made.id)
            self._kept["template", made.id] = Kept(name)
            self.answers += 1
            return
        template_id = self._chance.choice(self._templates)
        if self._chance.random() < 0.2:
            self._templates.remove(template_id)
            self._change(
                "template", template_id, None, lambda: self.store.templates.delete(self.tenant, template_id)
            )
            return
        name = f"template-{next(self._numbers)}"
        self._change(
            "template",
            template_id,
            name,
            lambda: self.store.templates.update(self.tenant, template_id, name=name),
        )

    def _batch(self) -> None:
        batches = [
            name for (kind, name), kept in self._kept.items() if kind == "batch" and kept.answered is not None
        ]
        open_batches = [
            name
            for name in batches
            if self._kept["batch", name].answered in (BatchState.ACTIVE, BatchState.PAUSED)
            and not self._kept["batch", name].possible
        ]
        if len(open_batches) < 3:
            self._submit_batch()
            return
        name = self._chance.choice(open_batches)
        changes = {
            BatchState.PAUSED: self.store.batches.pause,
            BatchState.ACTIVE: self.store.batches.resume,
            BatchState.CANCEL: self.store.batches.cancel,
        }
        state = self._chance.choice(list(changes))
        self._change("batch", name, state, lambda: changes[state](self.tenant, name))

    def _submit_batch(self) -> None:
        key = f"batch-{next(self._numbers)}"
        name, batches = batch_id(self.tenant, key), self.store.batches
        spec = replace(job_spec(), tenant=self.tenant, queue_id="", level=self._level)
        batches.begin(name, key, spec, None, "upload")
        batches.append(name, "upload", 0, [Row(f"in/{key}-{row}") for row in range(_ROWS)])
        self._change("batch", name, BatchState.ACTIVE, lambda: batches.seal(name, "upload", "body"))

    # -- what must still be there

    def check(self, found: Found) -> None:
        """Compare a restarted server with what was answered, and go on from what it has."""
        found.answered += self.answers
        self.answers = 0
        for (kind, name), kept in self._kept.items():
            value = self._value(kind, name, found)
            allowed = [kept.answered, *kept.possible]
            if State.SUBMITTED in allowed and kind == "job":
                allowed.append(State.RUNNING)  # a claim whose answer was lost
            if value not in allowed:
                found.lost.append(f"{kind} {name}: {value}, not {kept.answered} or any of {kept.possible}")
            kept.answered, kept.possible = value, []
        self._templates = [each for each in self._templates if self._kept["template", each].answered]
        self._kept = {
            key: kept
            for key, kept in self._kept.items()
            if kept.answered is not None and kept.answered not in ENDED and kept.answered != BatchState.CANCEL
        }

    def _value(self, kind: str, name: str, found: Found) -> Any:
        if kind == "job":
            try:
                job = self.store.jobs.find(name)
            except KeyError as error:  # the file that created it was lost, a later one was not
                found.damaged.append(f"job {name}: no {error}")
                return None
            if job is None:
                return None
            spec = self._specs.get(name)
            if spec is not None and job.spec != spec:
                found.damaged.append(f"job {name}: another specification")
            if job.state is State.FAILED and job.message != "as planned":
                found.damaged.append(f"job {name}: {job.message}")
            return State.SUBMITTED if job.state is State.PAUSE else job.state
        if kind == "queue":
            (queue,) = self.store.queues.search(self.tenant, QueueFilter()).items
            return queue.state
        if kind == "template":
            template = self.store.templates.get(self.tenant, name)
            return template.name if template else None
        batch = self.store.batches.get(self.tenant, name)
        if batch is not None and batch.rows != _ROWS:
            found.damaged.append(f"batch {name}: {batch.rows} rows")
        return batch.state if batch else None
