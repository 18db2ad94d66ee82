"""`stemline submit` with one source."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stemline.cli.advice import ADVICE, advice
from stemline.client.target import save_profile
from stemline.separation import errors
from stemline.wire.errors import FAILURES, INTERNAL
from tests.integration.cli.conftest import Service
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow


def song(name: str = "my song.mp3") -> Path:
    path = Path(name)
    path.write_bytes(b"music" * 100)
    return path


def test_a_file_is_separated_in_one_command(service: Service) -> None:
    """The file is uploaded, its stems are fetched, and their paths are all that is on stdout."""
    ran = service.run("submit", str(song()), "-o", "out")
    assert ["out/my song-voice.wav", "out/my song-background.wav"] == ran.stdout.splitlines()
    assert Path("out/my song-voice.wav").read_text().startswith("AuObject of uploads/")
    stages = [line.split(" ")[0] for line in ran.stderr.splitlines()]
    assert ["uploading", "job"] == stages[:2]
    assert "downloading" == stages[-1]


@pytest.mark.parametrize("prefix", ["", "s3"])
def test_an_object_of_the_bucket_is_separated(service: Service, prefix: str) -> None:
    """A key, alone or as s3://, names an object that is not uploaded again."""
    service.s3.client.put_object(Bucket=service.s3.bucket, Key="in/a.wav", Body=b"x")
    source = f"s3://{service.s3.bucket}/in/a.wav" if prefix else "in/a.wav"
    options = ["--stems", "4", "--codec", "mp3", "--names", "{jobid}/{stem}.{ext}", "--json"]
    answer = json.loads(service.run("submit", source, *options).stdout)
    assert ["in/a.wav"] == service.worker.sources
    assert {"voice", "background", "bass", "drums"} == set(answer["Files"])
    assert Path(answer["JobId"], "bass.mp3").is_file()
    assert "Success" == answer["State"]


def test_the_options_reach_the_service(service: Service) -> None:
    """Stems, codec, level, user data, callback and template are those of the job."""
    template = service.run("templates", "create", "karaoke", "--only", "background").stdout.strip()
    assert "no template none" in service.run("submit", str(song()), "--template", "none", code=5).stderr
    assert "no queue none" in service.run("submit", str(song()), "--queue", "none", code=5).stderr
    service.worker.holds.set()
    words = [
        "--template",
        "karaoke",
        "--level",
        "2",
        "--user-data",
        "order 17",
        "--callback",
        "no",
        "--no-wait",
    ]
    job = service.client.get(service.run("submit", str(song()), *words).stdout.strip())
    assert (template, 2, "order 17") == (job.template_id, job.level, job.user_data)
    words = ["--only", "voice", "--codec", "flac", "--bit-depth", "24", "--no-wait"]
    job = service.client.get(service.run("submit", str(song()), *words).stdout.strip())
    assert ("IsAudio", "flac") == (job.mode, job.codec)
    assert "24" == job.raw["Operation"]["VoiceSeparate"]["AudioConfig"]["BitDepth"]


def test_a_file_that_is_there_is_not_replaced(service: Service) -> None:
    """Nothing is sent if a stem would replace a file, whose names follow from the options or the template."""
    service.run("submit", str(song()), "-o", "out")
    before = Path("out/my song-voice.wav").read_text()
    ran = service.run("submit", str(song()), "-o", "out", code=1)
    assert "out/my song-voice.wav is there already; nothing was submitted" in ran.stderr
    assert "--overwrite" in ran.stderr
    assert 1 == len(list(service.client.list()))
    service.run("submit", str(song()), "-o", "out", "--codec", "mp3")
    service.run("templates", "create", "voice", "--only", "voice")
    assert (
        "is there already"
        in service.run("submit", "my song.mp3", "-o", "out", "--template", "voice", code=1).stderr
    )
    assert "add {stem}" in service.run("submit", "my song.mp3", "--names", "{name}.{ext}", code=2).stderr
    service.run("submit", str(song()), "-o", "out", "--overwrite")
    assert before != Path("out/my song-voice.wav").read_text()


def test_options_for_many_tracks_are_refused_for_one(service: Service) -> None:
    """What has no effect for one source is not dropped without a word."""
    for words in (["--retry-failed"], ["--summary", "all.csv"], ["--jobs", "100"]):
        ran = service.run("submit", str(song()), *words, code=2)
        assert f"{words[0]} is for many tracks" in ran.stderr
    assert [] == list(service.client.list())


def test_a_job_that_fails_says_why_and_what_to_do(service: Service) -> None:
    """The exit status is 1; code, message and a hint are on stderr, in one line each."""
    service.worker.fails = {"bad"}
    ran = service.run("submit", str(song("bad.mp3")), code=1)
    *_, error, hint = ran.stderr.splitlines()
    assert "InvalidContent: The source has no audio stream." in error
    assert hint.startswith("Hint: give a file that has sound in it")
    assert "" == ran.stdout
    service.worker.fails = {"bad"}
    ran = service.run("submit", str(song("bad.mp3")), "--json", code=1)
    assert ("Failed", "InvalidContent") == (
        json.loads(ran.stdout)["State"],
        json.loads(ran.stdout)["Job"]["Code"],
    )


def test_what_is_nowhere_is_said_before_anything_is_sent(service: Service) -> None:
    """A source that is neither a file nor an object, or in another bucket, is an error without a job."""
    for nowhere in ("none.mp3", "./none.mp3", "../none.mp3", "in/./none.mp3", "/none.mp3"):
        assert "neither a file here nor an object" in service.run("submit", nowhere, code=5).stderr
    assert "not from other-1" in service.run("submit", "s3://other-1/a.mp3", code=1).stderr
    assert "s3:// names no bucket" in service.run("submit", "s3://", code=1).stderr
    assert [] == list(service.client.list())


def test_the_advice_fits_the_message() -> None:
    """One code has several causes; what to do follows from the message."""
    assert "--audio-track" in advice("InvalidArgument", "The source has no audio track 3.")
    assert "split" in advice("InvalidArgument", "The source lasts longer than this service allows.")
    assert "split" not in advice("InvalidArgument", "CallBack must be a URL.")


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (errors.TruncatedMedia, "get the file again"),
        (errors.DamagedMedia, "get the file again"),
        (errors.NoAudioStream, "has sound"),
        (errors.EmptyAudio, "has sound"),
        (errors.UndecodableMedia, "play the file"),
        (errors.NonFiniteAudio, "play the file"),
    ],
)
def test_a_source_without_sound_is_not_to_be_converted(kind: type[errors.MediaError], what: str) -> None:
    """Each fault of a source has an advice that can help."""
    assert what in advice("InvalidContent", str(kind()))


def test_every_failure_has_an_advice() -> None:
    """docs/errors.md lists the codes of failed jobs; the command knows what to do about each."""
    table = (REPOSITORY / "docs/errors.md").read_text()
    missing = {code for code in {*FAILURES.values(), INTERNAL} if code not in ADVICE}
    assert set() == missing
    assert set() == {code for code in ADVICE if f"`{code}`" not in table}


def test_without_keys_of_the_bucket_files_go_through_the_service(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of several parts is sent, and its stems are fetched, through links that the service signs."""
    save_profile("default", replace(service.client.target, s3=None))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    content = os.urandom(1 << 20) * 18
    Path("big.wav").write_bytes(content)
    assert ["./big-voice.wav", "./big-background.wav"] == [
        f"./{line}" for line in service.run("submit", "big.wav").stdout.splitlines()
    ]
    (key,) = service.worker.sources
    assert content == service.s3.client.get_object(Bucket=service.s3.bucket, Key=key)["Body"].read()
    assert "AuObject" in Path("big-voice.wav").read_text()
    Path("album").mkdir()
    for number in range(3):
        Path("album", f"{number}.mp3").write_bytes(b"x")
    service.run("submit", "album", "-o", "out")
    assert 6 == len(list(Path("out").rglob("*.wav")))
    assert "login" in service.run("submit", "in/", "-o", "other", code=1).stderr
