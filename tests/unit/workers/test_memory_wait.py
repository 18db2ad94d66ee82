"""Attempts wait while memory is short, but for one of the machine."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.runtime.settings import Settings
from stemline.separation.errors import Cancelled, MemoryShort
from stemline.workers import memory_wait
from stemline.workers.memory_wait import MemoryWait, Turn
from stemline.workers.metrics import WorkerMetrics
from stemline.workers.outcome import Outcome

MB = 1_000_000


class System:
    """A machine whose memory the test decides, and what an attempt shows meanwhile."""

    def __init__(self) -> None:
        self.free: int | None = 0
        self.metrics = WorkerMetrics()
        self.stages: list[str] = []
        self.looks = 0
        self.at_look: Callable[[int], None] = lambda _: None
        self.lease: Any = SimpleNamespace(stage="separate", should_stop=lambda: False)

    def available(self) -> int | None:
        self.looks += 1
        self.stages.append(self.lease.stage)
        self.at_look(self.looks)
        return self.free

    def waiting(self) -> float:
        return self.metrics.waiting_for_memory._value.get()


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> System:
    made = System()
    monkeypatch.setattr(memory_wait, "available_memory", made.available)
    monkeypatch.setattr(memory_wait, "POLL_S", 0.001)
    return made


@pytest.fixture
def wait(system: System, tmp_path: Path) -> Iterator[Callable[..., MemoryWait]]:
    """Make what lets an attempt wait; it keeps 100 MB free."""
    made: list[MemoryWait] = []

    def make(**changes: Any) -> MemoryWait:
        options = Settings(**{"memory_reserve_bytes": 100 * MB, "memory_wait_s": 60} | changes).workers
        one = MemoryWait(system.lease, options, tmp_path, system.metrics)
        made.append(one)
        return one

    yield make
    for one in made:
        one.__exit__(None, None, None)


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Turn]:
    """Another attempt of the machine, which began first."""
    turn = Turn(tmp_path)
    assert turn.take()
    yield turn
    turn.close()


def test_with_enough_memory_nobody_waits(system, wait, other):
    """An attempt that needs no more than is free shows no stage of waiting."""
    system.free = 100 * MB
    with wait() as memory:
        memory.ensure()
    assert set(system.stages) == {"separate"}


def test_the_first_attempt_never_waits(system, wait):
    """Otherwise all attempts could wait for each other, or a small machine would never do anything."""
    with wait() as memory:
        memory.ensure()
        memory.ensure(10**12)
    assert system.lease.stage == "separate"


def test_the_first_attempt_waits_for_what_a_network_takes(system, wait, monkeypatch):
    """Going on would get it killed; it waits unless the machine never has so much."""
    monkeypatch.setattr(memory_wait, "total_memory", lambda: 500 * MB)
    system.free, stop = 300 * MB, iter([False, False, True])
    system.lease.should_stop = lambda: next(stop)
    with wait() as memory:
        memory.ensure(401 * MB)
        assert "wait" not in system.stages
        with pytest.raises(Cancelled):
            memory.ensure(400 * MB)
        assert "wait" in system.stages


def test_what_one_attempt_is_going_to_take_is_not_free_for_another(system, wait):
    """Free memory is reserved for an attempt until its first segment, in which the network takes it."""
    system.free, stop = 500 * MB, iter([False, True, False, True])
    system.lease.should_stop = lambda: next(stop)
    with wait() as first, wait() as second:
        first.ensure(300 * MB)
        with pytest.raises(Cancelled):
            second.ensure(300 * MB)
        second.ensure(100 * MB)
        first.ensure()
        second.ensure(300 * MB)
        with pytest.raises(Cancelled):
            first.ensure(101 * MB)
    with wait() as third:
        third.ensure(400 * MB)


def test_what_a_killed_attempt_had_reserved_is_free(system, wait, tmp_path):
    """Its reservation remains as a file, which nobody keeps locked."""
    system.free = 500 * MB
    file = tmp_path / f"stemline-memory-{os.getuid()}-takes-dead"
    with file.open("wb") as reservation:
        reservation.truncate(400 * MB)
    with wait() as memory:
        memory.ensure(400 * MB)
    assert not file.exists()


def test_reservations_of_another_user_do_not_count(system, wait, tmp_path, monkeypatch):
    """In a shared folder a link, or another user's locked file, must not stop the jobs of this one."""
    system.free = 500 * MB
    (tmp_path / f"stemline-memory-{os.getuid()}-takes-link").symlink_to("/dev/null")
    (tmp_path / f"stemline-memory-{os.getuid()}-gate").symlink_to("/dev/null")
    with wait() as memory:
        memory.ensure(400 * MB)
    assert "wait" not in system.stages


def test_others_wait_until_there_is_memory(system, wait, other):
    """An attempt that waits says so, and goes on where it was."""
    seen = []

    def free_some(looks: int) -> None:
        if looks == 5:
            seen.append(system.waiting())
            system.free = 250 * MB

    system.at_look = free_some
    with wait() as memory:
        memory.ensure(150 * MB)
    assert "wait" in system.stages
    assert ([1.0], 0.0, "separate") == (seen, system.waiting(), system.lease.stage)


def test_what_loading_takes_is_waited_for(system, wait, other):
    """Memory that is enough for the next segment may be too little for a network."""
    system.free, stop = 200 * MB, iter([False, False, True])
    system.lease.should_stop = lambda: next(stop)
    with wait() as memory:
        memory.ensure()
        with pytest.raises(Cancelled):
            memory.ensure(101 * MB)


def test_others_go_on_when_the_first_has_ended(system, wait, other):
    """The turn passes to an attempt that waited."""
    system.at_look = lambda looks: other.close() if looks == 4 else None
    with wait() as memory:
        memory.ensure()
        assert not Turn.take(other), "the attempt that waited has the turn now"


def test_a_killed_attempt_lets_others_go_on(system, wait, tmp_path):
    """The system takes the turn from a process that was killed."""
    code = (
        "import sys, time; from pathlib import Path; from stemline.workers.memory_wait import Turn\n"
        "turn = Turn(Path(sys.argv[1])); print(turn.take(), flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        system.at_look = lambda looks: process.kill() if looks == 4 else None
        with wait() as memory:
            memory.ensure()
    assert "wait" in system.stages


def test_waiting_ends_with_the_attempt(system, wait, other):
    """A cancelled job, or one whose worker stops, does not wait any longer."""
    stop = iter([False, False, True])
    system.lease.should_stop = lambda: next(stop)
    with wait() as memory, pytest.raises(Cancelled):
        memory.ensure()
    assert system.waiting() == 0.0


def test_waiting_has_an_end(system, wait, other):
    """After a time the job is put off, and says what was missing."""
    system.free = 30 * MB
    with wait(memory_wait_s=0.01) as memory, pytest.raises(MemoryShort, match=r"needs 100 MB .* has 30 MB"):
        memory.ensure()


@pytest.mark.parametrize(("changes", "free"), [({"memory_reserve_bytes": 0}, 0), ({}, None)])
def test_where_nobody_waits(system, wait, other, changes, free):
    """Without a reserve, and where the system does not tell what is free."""
    system.free = free
    with wait(**changes) as memory:
        memory.ensure(10**12)
    assert set(system.stages) <= {"separate"}


def test_a_folder_without_locks(system, wait, other, monkeypatch):
    """There every attempt goes on."""

    def refuse(*_: object) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with wait() as memory:
        memory.ensure()
    assert system.lease.stage == "separate"


def test_a_file_of_another_user_is_not_waited_for(system, wait, tmp_path, monkeypatch):
    """In a shared folder, another user's lock, or a link, must not stop the jobs of this one."""
    (tmp_path / f"stemline-memory-{os.getuid()}").symlink_to("/dev/null")
    with wait() as memory:
        memory.ensure()
    assert system.lease.stage == "separate"


def test_an_attempt_that_waited_in_vain_puts_its_job_off(make, tmp_path, monkeypatch):
    """The job is tried again later, uncounted, and nothing was fetched for it; and the turn passes on."""
    monkeypatch.setattr(memory_wait, "available_memory", lambda: 1)
    monkeypatch.setattr(memory_wait, "POLL_S", 0.001)
    first = Turn(tmp_path)
    assert first.take()
    bench = make(memory_wait_s=0.01)
    result = bench.run()
    assert (Outcome.POSTPONED, "InternalError", False) == (result.outcome, result.code, result.counts)
    assert "download" not in bench.buckets.names()
    first.close()
    assert Outcome.SUCCESS is make().run().outcome
    assert first.take(), "an attempt that has ended lets the turn go"
    first.close()


def test_an_attempt_waits_between_its_segments(make, monkeypatch):
    """The pipeline is given what waits, and the memory of the model is asked for before it is loaded."""
    bench, asked, order = make(), [], []
    monkeypatch.setattr(MemoryWait, "ensure", lambda _, more=0: asked.append(more))
    bench.context.loading_bytes = lambda model: {"2stems": 300}[model]
    load = bench.context.engine

    def loading(*names: str) -> Any:
        order.append(list(asked))
        return load(*names)

    bench.context.engine = loading
    separate = bench.engine.results["separate_file"]
    bench.engine.results["separate_file"] = lambda *args, pause, **options: (
        pause(),
        separate(*args, **options),
    )[1]
    assert Outcome.SUCCESS is bench.run().outcome
    assert ([[300]], [300, 0]) == (order, asked)
