"""Tasks of simulated processes, one at a time, in virtual time.

A task is a greenlet: the product's own code runs in it, with threads, clocks and sleeps replaced. It is
interrupted only where it calls a server, sleeps, or waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import greenlet  # type: ignore[import-untyped]

from stemline.workers.eta import Eta
from tests.simulation.choices import Choices

BEGIN: Final = 1_800_000_000.0
"""The time at which every run begins, Unix s."""


class Dead(BaseException):
    """Raised in the tasks of a killed process. Nothing that they still do has an effect."""


@dataclass(eq=False)
class Process:
    """A simulated process on a machine of its own."""

    name: str
    offset: float = 0.0
    """By how much its clock is wrong, s."""
    is_client: bool = False
    """Whether it is outside of the service; it never dies."""
    is_dead: bool = False
    frozen_until: float = 0.0
    """It does nothing until then, as when its machine is paused."""


@dataclass(eq=False)
class Task:
    """A thread of a process."""

    process: Process
    greenlet: Any
    wake: float | None = None
    condition: Callable[[], object] | None = None

    def next_wake(self) -> float | None:
        """Return when it can go on without anything else happening."""
        frozen = self.process.frozen_until
        if self.wake is None:
            return frozen if frozen and self.condition is None else frozen or None
        return max(self.wake, frozen)


@dataclass
class Scheduler:
    """Runs tasks in an order that the choices decide.

    Each task of a process that is not frozen goes on when its time has come or its condition holds; without
    either, at once. A step is one such going on: up to the next call of a server, sleep, or wait of the task.
    """

    choices: Choices
    now: float = BEGIN
    steps: int = 0
    tasks: list[Task] = field(default_factory=list)
    current: Task | None = None
    log: list[str] = field(default_factory=list)
    """What happened, for people; kept only if :attr:`is_logged`."""
    is_logged: bool = False
    faults: list[str] = field(default_factory=list)
    """Broken promises, and errors that the product did not expect."""
    _has_killed: bool = False
    """Whether there may be tasks of dead processes."""

    def note(self, text: str) -> None:
        """Keep a line about what happens now."""
        if self.is_logged:
            who = self.current.process.name if self.current else "-"
            self.log.append(f"{self.now - BEGIN:9.3f} {who:12} {text}")

    def spawn(self, process: Process, function: Callable[[], object]) -> Task:
        """Start a task."""

        def run() -> None:
            with suppress(Dead):
                function()

        task = Task(process, greenlet.greenlet(run, parent=self._hub()))
        self.tasks.append(task)
        return task

    def _hub(self) -> Any:
        found = greenlet.getcurrent()
        return found if found.parent is None else found.parent

    def process(self) -> Process:
        """Return the process of the task that runs."""
        assert self.current is not None
        return self.current.process

    # -- in tasks

    def block(self, condition: Callable[[], object] | None, timeout: float | None = None) -> None:
        """Let other tasks go on until a condition holds, or a time has passed.

        Raises:
            Dead: The process was killed.
        """
        task = self.current
        assert task is not None
        if task.process.is_dead:
            raise Dead
        task.condition = condition
        # Shorter times would be lost in the digits of the time.
        task.wake = None if timeout is None else self.now + max(timeout, 1e-6)
        task.greenlet.parent.switch()
        if task.process.is_dead:
            raise Dead

    def point(self) -> None:
        """Let other tasks go on."""
        self.block(None)

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        self.block(_never, seconds)

    def kill(self, process: Process) -> None:
        """Kill a process; its tasks end before any other one goes on.

        Raises:
            Dead: It is the process of the task that runs.
        """
        process.is_dead = self._has_killed = True
        self.note(f"kill -9 of {process.name}")
        if self.current is not None and self.current.process is process:
            raise Dead

    # -- outside of them

    def run(self, is_over: Callable[[], bool], *, max_steps: int) -> bool:
        """Run tasks until it is over; return whether it was within the number of steps."""
        last = self.steps + max_steps
        while not is_over():
            if self.steps >= last:
                return False
            if self._has_killed:
                self._reap()
            ready = self._ready()
            if not ready:
                wakes = [wake for task in self.tasks if (wake := task.next_wake()) is not None]
                later = [wake for wake in wakes if wake > self.now]
                if not later:
                    return False
                self.now = min(later)
                continue
            self.steps += 1
            self._resume(ready[self.choices.pick(len(ready))])
        return True

    def _ready(self) -> list[Task]:
        """Return the tasks that can go on. Most of the time of a run without the product's is spent here."""
        now, found = self.now, []
        for task in self.tasks:
            if task.process.frozen_until > now:
                continue
            wake, condition = task.wake, task.condition
            if wake is not None and wake <= now:
                found.append(task)
            elif condition is None:
                if wake is None:
                    found.append(task)
            elif condition is not _never and condition():
                found.append(task)
        return found

    def _resume(self, task: Task) -> None:
        task.wake, task.condition, self.current = None, None, task
        try:
            task.greenlet.switch()
        finally:
            self.current = None
        self.tasks.remove(task)
        if not task.greenlet.dead:
            self.tasks.append(task)  # the others come first now

    def _reap(self) -> None:
        self._has_killed = False
        for task in [each for each in self.tasks if each.process.is_dead]:
            self._end(task)

    def _end(self, task: Task) -> None:
        """Unwind a task whose process is dead."""
        self.tasks.remove(task)
        self.current = task
        try:
            if task.greenlet:  # one that has not begun has nothing to unwind
                task.greenlet.throw(Dead)
        finally:
            self.current = None

    def close(self) -> None:
        """End everything."""
        for task in self.tasks:
            task.process.is_dead = True
        self._reap()


def _never() -> bool:
    return False


class Thread:
    """Stands in for :class:`threading.Thread` in the product's modules."""

    scheduler: Scheduler

    def __init__(self, target: Callable[..., object], args: tuple[Any, ...] = (), **_: object) -> None:
        self._target, self._args = target, args
        self._task: Task | None = None

    def start(self) -> None:
        scheduler = self.scheduler
        self._task = scheduler.spawn(scheduler.process(), lambda: self._target(*self._args))

    def join(self) -> None:
        task = self._task
        assert task is not None
        self.scheduler.block(lambda: task.greenlet.dead)


class Event:
    """Stands in for :class:`threading.Event`."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def clear(self) -> None:
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float | None = None) -> bool:
        Thread.scheduler.block(self.is_set, timeout)
        return self._is_set


def _wait(futures: list[Future[Any]], timeout: float | None = None) -> Any:
    """Stand in for :func:`concurrent.futures.wait` of one future."""
    (future,) = futures
    Thread.scheduler.block(future.done, timeout)
    return SimpleNamespace(done={future} if future.done() else set())


def _enough_memory() -> None:
    """Stand in for the memory of this machine, which would make runs differ."""


@contextmanager
def virtual_time() -> Iterator[None]:
    """Replace clocks, sleeps and threads of the product by those of :attr:`Thread.scheduler`."""

    def now() -> float:
        scheduler = Thread.scheduler
        return scheduler.now + (scheduler.current.process.offset if scheduler.current else 0.0)

    def monotonic() -> float:
        return Thread.scheduler.now - BEGIN + 1000.0

    def sleep(seconds: float) -> None:
        Thread.scheduler.sleep(seconds)

    threads = SimpleNamespace(Thread=Thread, Event=Event, get_native_id=threading.get_native_id)
    with (
        patch.object(time, "time", now),
        patch.object(time, "monotonic", monotonic),
        patch.object(time, "sleep", sleep),
        patch("redis.retry.sleep", sleep),
        patch.object(Eta.__init__, "__defaults__", (monotonic,)),
        patch("stemline.workers.lease_keeper.threading", threads),
        patch("stemline.storage.retry.Thread", Thread),
        patch("stemline.storage.retry.wait", _wait),
        patch("stemline.workers.memory_wait.available_memory", _enough_memory),
    ):
        yield
