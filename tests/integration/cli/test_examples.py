"""The examples in the help of commands do what they say, with ids in place of ID."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Service
from tests.unit.cli.test_examples import lines_of

pytestmark = pytest.mark.slow


def run(service: Service, command: str, name: str = "ID") -> str:
    """Run the examples of a command but for those that wait for something; all that they print."""
    lines = [line for line in lines_of(f"stemline {command}") if "--watch" not in line]
    words = [shlex.split(line)[1:] for line in lines if "|" not in line]
    done = [service.run(*[name if each == "ID" else each for each in line]) for line in words]
    return "".join(each.output for each in done)


def test_examples_about_files_and_jobs(service: Service) -> None:
    """A file and a folder are separated; jobs are shown, fetched, cancelled and retried."""
    Path("song.mp3").write_bytes(b"song")
    Path("album").mkdir()
    Path("album/1.mp3").write_bytes(b"one")
    run(service, "submit")
    assert {"song-background.wav", "1-drums.mp3"} <= {path.name for path in Path("stems").rglob("*")}
    service.worker.fails = {"bad"}
    bad = service.client.submit("in/bad.mp3")
    service.client.wait(bad.id, timeout_s=180, check=False)
    assert bad.id in run(service, "jobs")
    assert bad.id in run(service, "retry", bad.id)
    done = service.client.submit("in/song.mp3")
    service.client.wait(done.id, timeout_s=180)
    assert done.id in run(service, "job", done.id)
    service.worker.holds.set()
    held = service.client.submit("in/held.mp3")
    assert "cancelled" in run(service, "cancel", held.id)
    run(service, "usage")


def test_examples_about_batches(service: Service) -> None:
    """A batch of a list is created, listed, paused, resumed, retried and cancelled."""
    Path("keys.txt").write_text("in/a.mp3\nin/b.mp3\n")
    batch = run(service, "batches create").strip()
    assert batch in run(service, "batches list")
    for command in ("pause", "resume", "retry", "cancel"):
        assert run(service, f"batches {command}", batch)


def test_examples_about_queues_templates_and_callbacks(service: Service) -> None:
    """The bucket's queue is listed, paused and resumed; a template is made, listed and deleted."""
    job = service.client.submit("in/a.mp3", callback="http://127.0.0.1:9/")
    service.client.wait(job.id, timeout_s=180)
    (callback,) = service.client.get_callbacks(job.id)
    assert callback.id in run(service, "callbacks show", callback.id)
    run(service, "callbacks list")
    assert "Paused" in run(service, "pause")
    assert "Active" in run(service, "resume")
    assert "queue-speech-1" in run(service, "queues")
    assert run(service, "templates create")
    assert "karaoke" in run(service, "templates list")
    run(service, "templates delete")
    assert "karaoke" not in run(service, "templates list")
    assert "STEMLINE_REDIS_URL" in run(service, "settings")
    assert "compdef" in run(service, "completion")
