"""Submissions that wait at the same time are stored together: one thread, and one round trip of the store.

A thread and a round trip cost more processor time than the work on one submission. So submissions that
arrive while a thread works wait for the next one, which takes them all; a single one waits for nothing. Where
the store confirms changes on disk or on a replica, it does so once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeAlias, TypeVar

from starlette.concurrency import run_in_threadpool

from stemline.jobs.errors import StoreUnavailable
from stemline.jobs.job import Job
from stemline.jobs.store import Store, Submission

THREADS: Final = 2
"""One works on submissions while the other waits for the store."""
MANY: Final = 8
"""The second thread begins when this many wait; a round trip costs as much as two submissions."""

T = TypeVar("T")

Steps: TypeAlias = Generator[Submission, list[Job], T]
"""The steps of a request: they yield what is to be stored, get the jobs, and return a result.

It runs in a thread. It may read from the store, and return without having stored anything.
"""


@dataclass(slots=True)
class Asked(Generic[T]):
    """A request whose steps are run together with those of others."""

    steps: Steps[T]
    _context: Context = field(default_factory=copy_context)
    """Variables of the request, such as those of its log lines."""
    _results: list[T] = field(default_factory=list)
    error: Exception | None = None

    def proceed(self, step: Callable[..., Submission], *values: Any) -> Submission | None:
        """Run the steps until there is something to store, which is returned, or until they end."""
        try:
            return self._context.run(step, *values)
        except StopIteration as end:
            self._results.append(end.value)
        except Exception as error:  # noqa: BLE001 - raised again for the request
            self.error = error
        return None

    def end(self, error: Exception) -> None:
        """Give an error to a request whose steps have not ended, because what runs them has."""
        if self.error is None and not self._results:
            self.error = error

    def result(self) -> T:
        """Return the result of the steps, or raise the error with which they ended, once.

        An error refers to the frames that it has passed, with the body in them, and those to this object: in
        a cycle they would stay until the garbage collector comes.
        """
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self._results[0]
        finally:
            del error


def run_together(store: Store, asked: Sequence[Asked[Any]]) -> None:
    """Run the steps of requests, with one round trip of the store for what they store."""
    waiting: list[tuple[Asked[Any], Submission]] = []
    unavailable: StoreUnavailable | None = None
    for each in asked:
        if unavailable is not None:  # the next one would wait as long for the same answer
            each.proceed(each.steps.throw, unavailable)
        elif submission := each.proceed(next, each.steps):
            waiting.append((each, submission))
        elif isinstance(each.error, StoreUnavailable) and not each.error.answered:
            unavailable = each.error
    if not waiting:
        return
    try:
        found = store.jobs.create_each([submission for _, submission in waiting])
    except Exception as error:  # noqa: BLE001 - raised again for each request
        found = [error] * len(waiting)
    for (each, _), jobs in zip(waiting, found, strict=True):
        if isinstance(jobs, Exception):
            each.proceed(each.steps.throw, jobs)
        else:
            each.proceed(each.steps.send, jobs)


class Submissions:
    """The submissions of one process."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Asked[Any], asyncio.Future[None]]] = []
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def run(self, store: Store, steps: Steps[T]) -> T:
        """Return the result of a submission's steps.

        Args:
            store: Where jobs are stored.
            steps: What is done for it.

        Raises:
            StemlineError: It is refused.
        """
        loop = asyncio.get_running_loop()
        asked, done = Asked(steps), loop.create_future()
        self._waiting.append((asked, done))
        if len(self._tasks) < THREADS and self._are_enough(len(self._tasks)):
            # In no request's context: log lines of what is done for all would name one of them.
            self._tasks.add(loop.create_task(self._work(store), context=Context()))
        await done
        return asked.result()

    def _are_enough(self, others: int) -> bool:
        """Return whether enough submissions wait for another thread to take them."""
        return len(self._waiting) >= (MANY if others else 1)

    async def _work(self, store: Store) -> None:
        """Run what waits, until too little does."""
        try:
            while self._are_enough(len(self._tasks) - 1):
                # Whoever has been cancelled would not learn what became of it, so nothing is stored for it.
                taken, self._waiting = [each for each in self._waiting if not each[1].done()], []
                try:
                    await run_in_threadpool(run_together, store, [asked for asked, _ in taken])
                except Exception as error:  # noqa: BLE001 - no thread can be started: raised again for each
                    for asked, _ in taken:
                        asked.end(error)
                for _, done in taken:
                    if not done.done():
                        done.set_result(None)
        finally:
            # Not when the task is done, a moment later: what arrives in between would wait for nobody.
            self._tasks.discard(asyncio.current_task())
