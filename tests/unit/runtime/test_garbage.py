"""How often garbage is looked for: seldom in a start, as usual in a process that does jobs or requests."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.runtime.bootstrap import api_process
from stemline.runtime.garbage import collect_seldom
from stemline.testing.api_server import api_settings
from stemline.workers import process_init

USUAL = gc.get_threshold()
COUNTED = """
import atexit, gc, runpy, sys
before = gc.get_stats()[0]["collections"]
atexit.register(lambda: print(gc.get_stats()[0]["collections"] - before))
sys.argv = ["stemline", "jobs", "--help"]
"""


@pytest.fixture
def starting() -> Iterator[None]:
    """A process that starts; at the end this one is as it was."""
    collect_seldom()
    yield
    gc.set_threshold(*USUAL)


@pytest.mark.parametrize(
    "start",
    ["runpy.run_module('stemline', run_name='__main__')", "from stemline.cli.script import run; run()"],
    ids=["python -m stemline", "stemline"],
)
def test_a_start_is_seldom_searched_for_garbage(start: str) -> None:
    """New objects are looked through a few times, not at every 700th, however it is called."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", COUNTED + start], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    assert int(done.stdout.splitlines()[-1]) < 20


def test_a_process_of_the_api_collects_as_usual(starting: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once its application is there."""
    assert gc.get_threshold() != USUAL
    files: Any = None
    monkeypatch.setattr(api_process, "configure_logging", lambda _: files)
    monkeypatch.setattr(api_process, "api", lambda *_, **__: SimpleNamespace())
    metrics: Any = None
    api_process._only_api_process(api_settings(), metrics)
    assert gc.get_threshold() == USUAL


def test_a_process_that_does_jobs_collects_as_usual(starting: None, tmp_path: Path) -> None:
    """What an attempt holds in cycles may be large."""
    options = SimpleNamespace(preload_models=())
    settings = SimpleNamespace(engine=options, storage=SimpleNamespace(scratch_dir=tmp_path))
    context: Any = SimpleNamespace(settings=settings, decoder=SimpleNamespace(start=lambda: None))
    process_init.prepare(lambda: context, worker_pid=0)
    assert gc.get_threshold() == USUAL
