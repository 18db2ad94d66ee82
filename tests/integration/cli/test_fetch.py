"""`stemline fetch`: the stems of jobs that are there already."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemline.testing.processes import eventually
from stemline.workers.feeder import Feeder
from tests.integration.cli.conftest import Service

pytestmark = pytest.mark.slow


def submitted(service: Service, name: str = "my song.mp3") -> str:
    """Submit a file without waiting; return the id of its job once that has succeeded."""
    Path(name).write_bytes(b"music")
    job_id = service.run("submit", name, "--no-wait").stdout.strip()
    service.client.wait(job_id)
    return job_id


def test_stems_of_a_job_are_fetched(service: Service) -> None:
    """The hint of --no-wait names the command, which fetches the stems once and replaces no other file."""
    Path("my song.mp3").write_bytes(b"music")
    ran = service.run("submit", "my song.mp3", "-o", "my stems", "--no-wait")
    job_id = ran.stdout.strip()
    assert f"stemline fetch {job_id} -o 'my stems' --wait` fetches its stems" in ran.stderr
    found = service.run("fetch", job_id, "-o", "my stems", "--wait")
    assert ["my stems/my song-voice.wav", "my stems/my song-background.wav"] == found.stdout.splitlines()
    assert "AuObject" in Path("my stems/my song-voice.wav").read_text()
    Path("my stems/my song-voice.wav").unlink()
    service.run("fetch", job_id, "-o", "my stems")
    Path("my stems/my song-voice.wav").write_text("mine")
    assert "is there already" in service.run("fetch", job_id, "-o", "my stems", code=1).stderr
    service.run("fetch", job_id, "-o", "my stems", "--overwrite", "--names", "{stem}.{ext}")
    assert Path("my stems/voice.wav").is_file()


def test_stems_of_a_batch_are_fetched(service: Service) -> None:
    """Each job of a batch has files of its own, also where sources have the same name."""
    for key in ("in/a/1.mp3", "in/b/1.mp3"):
        service.s3.client.put_object(Bucket=service.s3.bucket, Key=key, Body=b"x")
    batch = service.client.create_batch(["in/a/1.mp3", "in/b/1.mp3"])
    Feeder(service.worker.store).feed()
    eventually(lambda: service.client.batch(batch.id).has_ended, what="the batch has ended")
    lines = service.run("fetch", "--batch", batch.id, "-o", "out", "--json").stdout.splitlines()
    assert 4 == len({path for line in lines for path in json.loads(line)["Files"].values()})
    assert {"a-1-voice.wav", "b-1-voice.wav"} == {path.name for path in Path("out").glob("*voice*")}


def test_what_cannot_be_fetched_is_said(service: Service) -> None:
    """Unknown jobs, jobs without stems, folders that take no files and lost stems each have their line."""
    assert "there is no job" in service.run("fetch", "j" + "0" * 32, code=5).stderr
    service.run("fetch", code=2)
    service.run("fetch", "--batch", "b" + "0" * 32, code=5)
    for words in (["jobs"], ["submit", "none.mp3"], ["queues"]):
        ran = service.run(*words, "--bucket", "mistyped-1250000000", code=5)
        assert "there is no bucket mistyped-1250000000" in ran.stderr
    service.worker.fails = {"bad"}
    Path("bad.mp3").write_bytes(b"x")
    service.run("submit", "bad.mp3", code=1)
    (failed,) = service.client.list()
    assert "is Failed: InvalidContent" in service.run("fetch", failed.id, code=1).stderr
    job_id = submitted(service)
    assert "/proc/none takes no files" in service.run("fetch", job_id, "-o", "/proc/none", code=1).stderr
    before = len(list(service.client.list()))
    ran = service.run("submit", "my song.mp3", "-o", "/proc/none", code=1)
    assert "/proc/none takes no files" in ran.stderr
    assert before == len(list(service.client.list()))
    for stem in service.client.get(job_id).stems:
        service.s3.client.delete_object(Bucket=service.s3.bucket, Key=stem.key)
    assert "is in the bucket no more" in service.run("fetch", job_id, code=1).stderr


def test_a_file_is_looked_at_before_it_is_sent(service: Service) -> None:
    """--dry-run of a file of this machine says its size, and its length where it can be read."""
    Path("my song.mp3").write_bytes(b"music")
    answer = json.loads(service.run("submit", "my song.mp3", "--dry-run").stdout)
    assert {"File": "my song.mp3", "Size": 5} == answer["Source"]
    assert [] == list(service.client.list())
