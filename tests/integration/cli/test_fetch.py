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
    ran = service.run("fetch", job_id, "-o", "my stems", code=1)
    assert "is there already" in ran.stderr
    assert "Hint: --overwrite replaces" in ran.stderr
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


def test_what_can_be_fetched_is(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ids and of a batch, stems that are there are fetched, each job without is named: status 1."""
    for name in ("good", "bad", "good2"):
        service.s3.client.put_object(Bucket=service.s3.bucket, Key=f"in/{name}.mp3", Body=b"x")
    service.worker.fails = {"in/bad"}
    service.worker.holds.set()
    monkeypatch.setattr("stemline.cli.fetchable.sleep", lambda _: service.worker.holds.clear())
    ids = [service.client.submit(f"in/{name}.mp3").id for name in ("good", "bad", "good2")]
    ran = service.run("fetch", ids[0], ids[1], "j" + "0" * 32, ids[2], "-o", "out", "--wait", code=1)
    assert {"good-voice.wav", "good2-voice.wav"} == {path.name for path in Path("out").glob("*voice*")}
    assert 4 == len(ran.stdout.splitlines())
    said = ran.stderr
    assert f"job {ids[1]} is Failed: InvalidContent: The source has no audio stream.; it has no stems" in said
    assert f"there is no job j{'0' * 32}" in said
    assert "Error: the stems of 2 jobs were not fetched" in said
    assert "3 of 3 jobs ended" in said
    Path("out/good-voice.wav").write_text("mine")
    ran = service.run("fetch", ids[0], ids[2], "-o", "out", code=1)
    assert f"job {ids[0]}: out/good-voice.wav is there already" in ran.stderr
    assert "--overwrite" in ran.stderr
    assert ["out/good2-voice.wav", "out/good2-background.wav"] == ran.stdout.splitlines()
    service.worker.fails = {"in/bad"}
    batch = service.client.create_batch(["in/good.mp3", "in/bad.mp3"])
    Feeder(service.worker.store).feed()
    ran = service.run("fetch", "--batch", batch.id, "-o", "rows", "--wait", code=1)
    assert {"good-voice.wav", "good-background.wav"} == {path.name for path in Path("rows").iterdir()}
    assert "is Failed: InvalidContent" in ran.stderr
    assert "2 of 2 rows ended" in ran.stderr
    service.client.retry_batch(batch.id)
    service.run("fetch", "--batch", batch.id, "-o", "rows", "--wait")
    service.worker.holds.set()
    held = service.client.submit("in/good.mp3").id
    ran = service.run("fetch", held, ids[2], "-o", "held", code=1)
    assert "it has no stems" in ran.stderr
    assert "--wait waits" in ran.stderr
    assert Path("held/good2-voice.wav").is_file()


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
    assert "nothing was sent" not in service.run("fetch", job_id, "-o", "/proc/none", code=1).stderr
    for words in (
        ["submit", "my song.mp3"],
        ["submit", "my song.mp3", "--dry-run"],
        ["submit", "my song.mp3", "bad.mp3"],
    ):
        ran = service.run(*words, "-o", "/proc/none", code=1)
        assert "/proc/none takes no files" in ran.stderr
    service.run("fetch", "j" + "0" * 32, "-o", "made/for/nothing", code=5)
    assert not Path("made").exists()
    assert before == len(list(service.client.list()))
    for stem in service.client.get(job_id).stems:
        service.s3.client.delete_object(Bucket=service.s3.bucket, Key=stem.key)
    assert "is in the bucket no more" in service.run("fetch", job_id, code=1).stderr


def test_a_file_is_looked_at_before_it_is_sent(service: Service) -> None:
    """--dry-run of a file says its size, and its length if it can be read; the service checks the rest."""
    Path("my song.mp3").write_bytes(b"music")
    answer = json.loads(service.run("submit", "my song.mp3", "--dry-run").stdout)
    assert {"File": "my song.mp3", "Size": 5} == answer["Source"]
    refused = service.run("submit", "my song.mp3", "--model", "other", "--dry-run", code=4)
    assert "may not choose the model other" in refused.stderr
    assert [] == list(service.client.list())


def test_a_dry_run_is_refused_where_the_command_is(service: Service) -> None:
    """Files that are there, a pattern without {stem} and other options than the manifest's: each says no."""
    Path("my song.mp3").write_bytes(b"music")
    Path("album").mkdir()
    Path("album/a.mp3").write_bytes(b"x")
    service.run("submit", "my song.mp3", "-o", "out")
    service.run("submit", "album", "-o", "done")
    Path("taken").mkdir()
    Path("taken/a-voice.wav").write_text("mine")
    cases = [
        (["my song.mp3", "-o", "out"], "is there already"),
        (["my song.mp3", "-o", "new/folder", "--names", "{name}.{ext}"], "add {stem}"),
        (["album", "-o", "done", "--codec", "mp3"], "with the codec 'wav', not 'mp3'"),
        (["my song.mp3", "album/a.mp3", "-o", "done"], "of a run with the source"),
        (["album", "-o", "taken"], "is there already"),
    ]
    for words, said in cases:
        code = 2 if "--names" in words else 1
        assert said in service.run("submit", *words, "--dry-run", code=code).stderr, words
        assert said in service.run("submit", *words, code=code).stderr, words
    assert "1 track: 1 done" in service.run("submit", "album", "-o", "done", "--dry-run").stdout
    service.run("submit", "album", "-o", "fresh/stems", "--dry-run")
    service.run("submit", "my song.mp3", "-o", "fresh/stems", "--dry-run")
    assert not Path("fresh").exists()
