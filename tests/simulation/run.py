"""One run from a seed or from given choices."""

from __future__ import annotations

import gc
import itertools
import logging
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NoReturn
from unittest.mock import patch

import structlog

from stemline.separation.media import OutputSpec
from stemline.separation.pipeline import Report
from tests.chaos import stub
from tests.simulation.api import without_event_loop
from tests.simulation.choices import Choices
from tests.simulation.properties import Properties
from tests.simulation.scheduler import Scheduler, Thread, virtual_time
from tests.simulation.store import reload_scripts
from tests.simulation.valkey import Model, Valkey, real_valkey
from tests.simulation.world import Parts, World, make_settings

MAX_STEPS: Final = 4000
"""Of a part of a run; more means that work does not end."""
_AFTERWARDS_S: Final = 45.0
_UNFORESEEN: Final = {
    *("attempt.crashed", "callback.crashed", "reclaim.failed", "leftovers.failed"),
    *("request.crashed", "tick.failed"),
}
"""Log events of errors that no part of the product expects."""


@dataclass(frozen=True)
class Result:
    """What a run found."""

    steps: int
    faults: list[str]
    choices: list[int]
    log: list[str]


@dataclass(frozen=True)
class Simulator:
    """Makes runs, one after the other, on one server."""

    parts: Parts
    valkey: Valkey

    def run(self, seed: int = 0, given: Sequence[int] | None = None, *, is_logged: bool = False) -> Result:
        """Make a run."""
        choices = Choices(seed, given)
        random.seed(1)  # the waits between retries are drawn from it
        numbers = itertools.count(1)
        with (
            patch("stemline.jobs.store.jobs.new_job_id", lambda: f"j{next(numbers):032x}"),
            patch("stemline.api.middleware.new_request_id", lambda: f"request-{next(numbers)}"),
        ):
            world = World(self.parts, self.valkey, choices)
            scheduler = Thread.scheduler = world.scheduler
            scheduler.is_logged = is_logged
            properties = Properties(world)
            separation = patch("stemline.workers.stages.separate_file", _followed(properties))
            try:
                with separation:
                    faults = _run(world, properties)
            finally:
                scheduler.close()
        return Result(scheduler.steps, faults, choices.taken, scheduler.log)


def _run(world: World, properties: Properties) -> list[str]:
    scheduler = world.scheduler
    world.start()
    scheduler.run(lambda: world.is_quiet or bool(world.seen.faults), max_steps=MAX_STEPS)
    world.calm_down()
    if not scheduler.run(
        lambda: bool(world.seen.faults) or (world.is_quiet and properties.is_settled()), max_steps=MAX_STEPS
    ):
        return [properties.unfinished()]
    if not world.seen.faults:
        end = scheduler.now + _AFTERWARDS_S
        scheduler.run(lambda: scheduler.now >= end, max_steps=MAX_STEPS)
        world.repeat_messages()
        end = scheduler.now + _AFTERWARDS_S
        scheduler.run(lambda: scheduler.now >= end, max_steps=MAX_STEPS)
    return properties.check()


def _followed(properties: Properties) -> Callable[..., Report]:
    """Return the stand-in for the separator; the properties follow what it does."""

    def separate_file(engine: Any, path: Path, outputs: Mapping[str, OutputSpec], **options: Any) -> Report:
        with properties.separation(path.read_bytes(), outputs):
            return stub.separate_file(engine, path, outputs, **options)

    return separate_file


def _note_error(_logger: object, _level: str, event: MutableMapping[str, Any]) -> NoReturn:
    """Note an error that the product logs about itself: none is foreseen in a run."""
    scheduler = Thread.scheduler
    if event["event"] in _UNFORESEEN and not scheduler.process().is_dead:
        error = event.get("exc_info")
        found = error if isinstance(error, BaseException) else sys.exception()
        text = "".join(traceback.format_exception(found)) if found else ""
        scheduler.faults.append(f"{event['event']}: {text[-600:]}")
    raise structlog.DropEvent


@contextmanager
def simulator(*, is_real: bool = False) -> Iterator[Simulator]:
    """Yield a simulator; until then the product's clocks, sleeps and threads are virtual.

    Args:
        is_real: Whether there is a real Valkey instead of the model.
    """
    folder = Path(tempfile.mkdtemp(prefix="stemline-simulation-", dir=_memory()))
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), processors=[_note_error]
    )
    try:
        with real_valkey(folder) if is_real else nullcontext(Model()) as valkey:
            reload_scripts()
            parts = Parts(make_settings(folder))
            Thread.scheduler = Scheduler(Choices())
            versions = patch("stemline.workers.reuse.version", cache(version))  # reads files
            with virtual_time(), without_event_loop(), versions:
                gc.collect()
                gc.freeze()  # what all runs share is not looked at again
                yield Simulator(parts, valkey)
    finally:
        gc.unfreeze()
        structlog.configure(**before)
        shutil.rmtree(folder, ignore_errors=True)


def _memory() -> str | None:
    """Return a folder in memory, where there is one."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def describe(result: Any) -> str:
    """Return a run for people."""
    return "\n".join([*result.log[-80:], *result.faults])
