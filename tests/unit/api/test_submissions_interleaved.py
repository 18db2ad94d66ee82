"""Submissions that share round trips, in every order of arrivals, cancellations, faults and answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemline.api import submissions as module
from stemline.api.submissions import Asked, Steps, Submissions, run_together
from stemline.jobs.errors import (
    IdempotencyConflict,
    QueueFull,
    RequestRefused,
    StoreUnavailable,
)
from stemline.jobs.job import Job
from stemline.jobs.store import Idempotency, JobFilter, StoreOptions, Submission
from stemline.testing import InMemoryStore
from stemline.testing.samples import job_spec

MAX_WAITING = 5
"""Waiting jobs of the queue."""
BODIES = ("a" * 64, "b" * 64)


class NoThreadError(RuntimeError):
    """As of `threading`: no new thread can be started."""


class OwnError(ValueError):
    """A fault of one request."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Arrive:
    """A request, by what becomes of it."""

    kind: str


@dataclass(frozen=True)
class Leave:
    """Cancel one of the requests so far."""

    number: int


@dataclass(frozen=True)
class Wait:
    """Rounds of the event loop."""

    rounds: int


@dataclass(frozen=True)
class Trip:
    """What becomes of a thread and of its round trip."""

    rounds: int
    thread: str
    store: str


Action: TypeAlias = Arrive | Leave | Wait
KINDS = (
    "plain",
    "refused",
    "fault",
    "late fault",
    "full",
    "once a",
    "once b",
    "unreachable",
    "out of memory",
)
ACTIONS = st.lists(
    st.one_of(
        st.builds(Arrive, st.sampled_from(KINDS)),
        st.builds(Leave, st.integers(0, 30)),
        st.builds(Wait, st.integers(1, 3)),
    ),
    max_size=30,
)
TRIPS = st.lists(
    st.builds(
        Trip,
        st.integers(0, 5),
        st.sampled_from(["runs", "runs", "none", "ends after it"]),
        st.sampled_from(["answers", "answers", "is lost", "stores and is lost", "faults"]),
    ),
    max_size=12,
)
USUAL = Trip(1, "runs", "answers")


def steps(name: str, kind: str) -> Steps[str]:
    """Return what a request does."""
    if kind == "refused":
        raise RequestRefused(name)
    if kind == "fault":
        raise OwnError(name)
    if kind == "unreachable":
        raise StoreUnavailable(name)
    if kind == "out of memory":
        raise StoreUnavailable(name, answered=True)
    once = Idempotency("once", BODIES[kind == "once b"]) if kind.startswith("once") else None
    spec = replace(job_spec(), queue_id="", user_data=name)
    jobs = yield Submission([spec] * (MAX_WAITING + 1 if kind == "full" else 1), once)
    assert once or [name] == [job.spec.user_data for job in jobs]
    if kind == "late fault":
        raise OwnError(name)
    return ",".join(job.id for job in jobs)


class World:
    """A process with its store, whose threads end when they are told to."""

    def __init__(self, trips: Sequence[Trip]) -> None:
        self.store = InMemoryStore(StoreOptions(queue_max_size=MAX_WAITING))
        self.submissions = Submissions()
        self.trips = list(trips)
        self.requests: list[tuple[str, asyncio.Task[str]]] = []
        self.others: set[str] = set()
        """Names of errors that the round trips of this world may have."""

    async def in_thread(self, run: Callable[..., None], store: InMemoryStore, asked: Any) -> None:
        assert asked
        trip = self.trips.pop(0) if self.trips else USUAL
        for _ in range(trip.rounds):
            await asyncio.sleep(0)
        if trip.thread == "none":
            self.others.add("NoThreadError")
            raise NoThreadError
        create_each = self.store.jobs.create_each

        def trip_to_store(submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
            if trip.store == "is lost":
                raise StoreUnavailable
            if trip.store == "faults":
                raise RuntimeError("a fault of the store")
            found = create_each(submissions)
            if trip.store == "stores and is lost":
                raise StoreUnavailable
            return found

        store.jobs.create_each = trip_to_store  # type: ignore[method-assign]
        try:
            run(store, asked)
        finally:
            store.jobs.create_each = create_each  # type: ignore[method-assign]
        for _ in range(trip.rounds):
            await asyncio.sleep(0)
        if trip.thread == "ends after it":
            raise NoThreadError

    async def play(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Arrive(kind):
                    name = f"{len(self.requests)}"
                    asked = self.submissions.run(self.store, steps(name, kind))
                    self.requests.append((kind, asyncio.create_task(asked)))
                case Leave(number):
                    if number < len(self.requests):
                        self.requests[number][1].cancel()
                case Wait(rounds):
                    for _ in range(rounds):
                        await asyncio.sleep(0)
        for _ in range(200):  # far more than all of it takes
            await asyncio.sleep(0)

    def check(self) -> None:
        tasks = [task for _, task in self.requests]
        assert all(task.done() for task in tasks), "a request waits for nobody"
        assert not self.submissions._tasks
        assert not self.submissions._waiting
        found = self.store.jobs.search(job_spec().tenant, JobFilter(size=1000)).items
        stored = Counter(job.spec.user_data for job in found)
        ids = {job.id for job in found}
        assert len(found) <= MAX_WAITING
        bodies = set()
        for number, (kind, task) in enumerate(self.requests):
            name = f"{number}"
            assert stored[name] <= 1
            if kind == "full":
                assert not stored[name]
            if task.cancelled():
                continue
            error = task.exception()
            if error is None:
                assert kind in {"plain", "once a", "once b"}
                assert task.result() in ids
                assert stored[name] == 1 or kind != "plain"
                bodies.add(kind)
            elif isinstance(error, OwnError):
                assert (error.name, kind in {"fault", "late fault"}) == (name, True)
            elif isinstance(error, RequestRefused) and not isinstance(error, IdempotencyConflict):
                assert (error.message, kind) == (name, "refused")
            elif isinstance(error, StoreUnavailable) and error.answered:
                assert (error.message, kind) == (name, "out of memory")
            elif isinstance(error, IdempotencyConflict):
                assert kind.startswith("once")
            else:
                assert isinstance(error, StoreUnavailable | QueueFull | NoThreadError | RuntimeError), error
        assert len({body for body in bodies if body.startswith("once")}) <= 1


@settings(max_examples=25)
@given(ACTIONS, TRIPS)
def test_each_request_ends_with_its_own_outcome(actions: list[Action], trips: list[Trip]) -> None:
    """None waits for ever, none learns of another's fault, each accepted one is stored, and once."""

    async def main() -> None:
        world = World(trips)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "run_in_threadpool", world.in_thread)
            await world.play(actions)
        world.check()

    asyncio.run(main())


def test_what_is_done_for_all_is_done_in_the_name_of_none() -> None:
    """A log line of the round trip does not say that it was the request that began it."""
    name: ContextVar[str] = ContextVar("name", default="nobody")
    seen = []

    class Store(InMemoryStore):
        def __init__(self) -> None:
            super().__init__()
            create_each = self.jobs.create_each

            def noted(submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
                seen.append(name.get())
                return create_each(submissions)

            self.jobs.create_each = noted  # type: ignore[method-assign]

    def own() -> Steps[str]:
        yield Submission([replace(job_spec(), queue_id="")])
        return name.get()

    async def main() -> str:
        name.set("request")
        return await Submissions().run(Store(), own())

    assert "request" == asyncio.run(main())
    assert ["nobody"] == seen


@pytest.mark.parametrize("answered", [True, False])
def test_what_the_store_answers_to_one_is_not_the_answer_to_others(*, answered: bool) -> None:
    """Only a store that does not answer is not asked again for the others."""
    asked = [
        Asked(steps("first", "out of memory" if answered else "unreachable")),
        Asked(steps("second", "plain")),
    ]
    run_together(InMemoryStore(), asked)
    with pytest.raises(StoreUnavailable, match="first"):
        asked[0].result()
    if answered:
        assert asked[1].result()
    else:
        with pytest.raises(StoreUnavailable):
            asked[1].result()
