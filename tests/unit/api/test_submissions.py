"""Submissions that wait at the same time are stored together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest

from stemline.api import submissions as module
from stemline.api.submissions import MANY, THREADS, Asked, Steps, Submissions, run_together
from stemline.jobs.errors import QueueFull, RequestRefused, StemlineError, StoreUnavailable
from stemline.jobs.job import Job
from stemline.jobs.store import Submission
from stemline.testing import InMemoryStore
from stemline.testing.samples import job_spec

NAME: ContextVar[str] = ContextVar("name", default="")


class Store(InMemoryStore):
    """Counts round trips, and may answer late or not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.trips: list[int] = []
        self.begun = threading.Semaphore(0)
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.error: StemlineError | None = None
        create_each = self.jobs.create_each

        def counted(submissions: Sequence[Submission]) -> list[list[Job] | Exception]:
            self.trips.append(len(submissions))
            self.begun.release()
            self.may_answer.wait(10)
            if self.error is not None:
                raise self.error
            return create_each(submissions)

        self.jobs.create_each = counted  # type: ignore[method-assign]


def submit(name: str) -> Steps[str]:
    """Store one job and return what was seen."""
    NAME.set(name)
    (job,) = yield Submission([replace(job_spec(), queue_id="", user_data=name)])
    assert job.spec.user_data == NAME.get()
    return f"{name} done"


def refuse() -> Steps[str]:
    """Store nothing."""
    yield from ()
    raise RequestRefused("no")


def test_each_gets_its_own_outcome() -> None:
    """What one is refused, or finds stored already, is not what the others are answered."""
    store = Store()

    def full() -> Steps[str]:
        try:
            yield Submission([replace(job_spec(), queue_id="p" + "0" * 32)])
        except StemlineError as error:
            return type(error).__name__
        return ""

    def before() -> Steps[str]:
        yield from ()
        return "stored before"

    asked = [Asked(steps) for steps in (submit("a"), refuse(), full(), before(), submit("b"))]
    run_together(store, asked)
    assert [3] == store.trips
    with pytest.raises(RequestRefused):
        asked[1].result()
    results = [asked[number].result() for number in (0, 2, 3, 4)]
    assert ["a done", "QueueNotFound", "stored before", "b done"] == results


def test_a_refusal_holds_nothing_that_only_the_garbage_collector_frees() -> None:
    """A refused body may be large, and the collector comes late."""

    class Body:
        pass

    seen = []

    def read() -> Steps[str]:
        yield from ()
        body = Body()
        seen.append(weakref.ref(body))
        raise RequestRefused("no")

    gc.collect()
    gc.disable()
    try:
        asked = [Asked(read())]
        run_together(Store(), asked)
        with contextlib.suppress(RequestRefused):
            asked.pop().result()
        assert seen[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("error", [StoreUnavailable(), QueueFull()])
def test_all_learn_that_the_store_fails(error: StemlineError) -> None:
    """A round trip that fails is the answer to each."""
    store = Store()
    store.error = error
    asked = [Asked(submit("a")), Asked(submit("b"))]
    run_together(store, asked)
    for each in asked:
        with pytest.raises(type(error)):
            each.result()


def test_a_store_that_hangs_is_asked_once() -> None:
    """Where a read has waited in vain, the next submissions are refused at once."""
    reads = []

    def read() -> Steps[str]:
        yield from ()
        reads.append(1)
        raise StoreUnavailable

    asked = [Asked(read()) for _ in range(5)]
    run_together(Store(), asked)
    assert [1] == reads
    for each in asked:
        with pytest.raises(StoreUnavailable):
            each.result()


async def begin(submissions: Submissions, store: Store, begun: Callable[[], Awaitable[object]]) -> list[Any]:
    """Have all threads work: the first on one submission, each other on many."""
    tasks = []
    for count in (1, *[MANY] * (THREADS - 1)):
        tasks += [asyncio.create_task(submissions.run(store, submit("first"))) for _ in range(count)]
        await begun()
    return tasks


def test_what_waits_is_stored_together() -> None:
    """While a thread waits for the store, submissions gather until they are worth another round trip."""
    store, submissions = Store(), Submissions()
    store.may_answer.clear()

    async def ask() -> list[str]:
        first = await begin(submissions, store, lambda: asyncio.to_thread(store.begun.acquire, timeout=10))
        others = [asyncio.create_task(submissions.run(store, submit(f"other {n}"))) for n in range(MANY + 1)]
        await asyncio.sleep(0)
        others[3].cancel()
        await asyncio.sleep(0)
        store.may_answer.set()
        found = await asyncio.gather(*first, *others, return_exceptions=True)
        return [each if isinstance(each, str) else type(each).__name__ for each in found]

    expected = [*(f"other {n} done" for n in range(MANY + 1))]
    expected[3] = "CancelledError"
    assert expected == asyncio.run(ask())[-len(expected) :]
    assert [1, *[MANY] * THREADS] == store.trips


def test_a_submission_that_arrives_while_the_threads_end_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have found nothing more to do, and neither is gone yet: the next one may not wait for them."""

    async def main() -> str:
        gate = asyncio.get_running_loop().create_future()

        async def in_thread(run: Any, *arguments: Any) -> None:
            run(*arguments)
            await asyncio.shield(gate)

        monkeypatch.setattr(module, "run_in_threadpool", in_thread)
        store, submissions = Store(), Submissions()
        first = await begin(submissions, store, lambda: asyncio.sleep(0.01))
        late = submissions.run(store, submit("late"))
        arrived: list[asyncio.Future[None]] = []
        gate.add_done_callback(
            lambda _: asyncio.get_running_loop().call_soon(lambda: arrived.append(late.send(None)))
        )
        gate.set_result(None)
        await asyncio.gather(*first)
        (waited_for,) = arrived
        await asyncio.wait_for(waited_for, 5)
        with pytest.raises(StopIteration) as ended:
            late.send(None)
        return str(ended.value.value)

    assert "late done" == asyncio.run(main())
