"""What a worker answers to questions about sources."""

from __future__ import annotations

import shutil
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemline.jobs.errors import SourceNotFound
from stemline.jobs.probe import Probe, Question
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.runtime.settings import Settings
from stemline.separation.decoder import Decoder
from stemline.storage import TransferCancelled
from stemline.testing import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers.prober import Prober


class Bucket:
    """Gives a file for every key."""

    def __init__(self, file: Path) -> None:
        self.file: Path | Exception = file

    def download(self, tenant: Any, key: str, path: Path, **_: Any) -> int:
        if isinstance(self.file, Exception):
            raise self.file
        shutil.copy(self.file, path)
        return path.stat().st_size


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    found = Decoder()
    yield found
    found.close()


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    file = tmp_path / "source.wav"
    with wave.open(str(file), "wb") as out:
        out.setparams((2, 2, 44_100, 88_200, "NONE", ""))
        out.writeframes(bytes(4 * 88_200))
    return Bucket(file)


def ask(bucket: Bucket, decoder: Decoder, tmp_path: Path, *codecs: str, left_s: float = 30) -> Probe | None:
    """The answer about jobs with these codecs."""
    store: Any = InMemoryStore()
    prober = Prober(Settings(scratch_dir=str(tmp_path)), store, bucket, decoder)  # type: ignore[arg-type]
    specs = tuple(
        replace(job_spec(), separate=VoiceSeparate(AudioMode.IS_AUDIO, AudioConfig(codec, bitrate=128)))
        for codec in codecs or ("wav",)
    )
    prober.answer(Question("q", specs, store.now() + round(left_s * 1e6)))
    return store.probes.answered("q")


def test_a_source_is_described(bucket, decoder, tmp_path):
    """Duration, codec, rate and channels are those of the file, and the size of a stem follows from them."""
    found = ask(bucket, decoder, tmp_path, "wav", "mp3", "flac")
    assert ("Success", 2.0, 44_100, 2) == (found.code, found.duration_s, found.samplerate, found.channels)
    assert found.size == bucket.file.stat().st_size
    wav, mp3, flac = found.stem_bytes
    assert abs(wav - found.size) < 200
    assert 32_000 == mp3
    assert mp3 < flac < wav


@pytest.mark.parametrize(
    ("file", "code"), [(SourceNotFound(), "ResourceNotFound"), ("text", "InvalidContent")]
)
def test_what_a_job_would_fail_with_is_answered(bucket, decoder, tmp_path, file, code):
    """A source that is missing or no audio gives the code of the job that would fail."""
    if isinstance(file, str):
        (tmp_path / "text").write_text("no sound")
        file = tmp_path / "text"
    bucket.file = file
    assert code == ask(bucket, decoder, tmp_path).code


def test_a_late_answer_is_not_given(bucket, decoder, tmp_path):
    """Nobody waits any more: the source is not fetched; a download that ran out of time is no answer."""
    assert ask(bucket, decoder, tmp_path, left_s=-1) is None
    bucket.file = TransferCancelled()
    assert ask(bucket, decoder, tmp_path) is None


def test_no_file_is_left(bucket, decoder, tmp_path):
    """The folder of a probe is removed."""
    ask(bucket, decoder, tmp_path)
    assert ["source.wav"] == [each.name for each in tmp_path.iterdir()]
