"""What a worker answers to questions about sources."""

from __future__ import annotations

import shutil
import time
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stemline.jobs.errors import SourceNotFound, SourceTooLarge
from stemline.jobs.job import JobSpec
from stemline.jobs.probe import Probe, Question
from stemline.jobs.separation import AudioConfig, AudioMode, VoiceSeparate
from stemline.models import installation
from stemline.models.weights import WeightStore
from stemline.runtime.settings import Settings
from stemline.separation.decoder import Decoder
from stemline.storage import TransferCancelled
from stemline.storage.download import Downloaded
from stemline.testing import InMemoryStore
from stemline.testing.samples import job_spec
from stemline.workers import prober
from stemline.workers.prober import Prober
from tests.support.networks import WAVEFORM, card, scaling


class Bucket:
    """Gives a file for every key."""

    def __init__(self, file: Path) -> None:
        self.file: Path | Exception = file

    def download(self, tenant: Any, key: str, path: Path, *, max_bytes: int, **_: Any) -> Downloaded:
        if isinstance(self.file, Exception):
            raise self.file
        shutil.copy(self.file, path)
        if path.stat().st_size > max_bytes:
            raise SourceTooLarge
        return Downloaded(path.stat().st_size, '"e"')

    def head(self, *_: str, cancelled: Callable[[], bool]) -> Any:
        assert not cancelled()
        assert isinstance(self.file, Path)
        return SimpleNamespace(size=self.file.stat().st_size)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a look take as long as it needs on a busy machine."""
    monkeypatch.setattr(prober, "MAX_S", 120.0)


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


def ask(
    bucket: Bucket,
    decoder: Decoder,
    tmp_path: Path,
    *codecs: str,
    left_s: float = 30,
    specs: tuple[JobSpec, ...] = (),
    **settings: Any,
) -> Probe | None:
    """The answer about jobs with these codecs."""
    store: Any = InMemoryStore()
    under_test = Prober(Settings(scratch_dir=str(tmp_path), **settings), store, bucket, decoder)  # type: ignore[arg-type]
    specs = specs or tuple(
        replace(job_spec(), separate=VoiceSeparate(AudioMode.IS_AUDIO, AudioConfig(codec, bitrate=128)))
        for codec in codecs or ("wav",)
    )
    under_test.answer(Question("q", specs, store.now() + round(left_s * 1e6)))
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


def test_a_model_that_does_not_answer_the_mode_is_said(bucket, decoder, tmp_path):
    """The job would fail at once; a model that this worker lacks may be on another one."""
    network = scaling(tmp_path / "own.onnx", [2, 8000], [0.1, 0.2, 0.3, 0.4])
    text = card(tmp_path / "own.toml", WAVEFORM, name="own", samples=8000)
    text.write_text(text.read_text().partition("[tracks.MusicMode]")[0])
    installation.add(WeightStore(tmp_path / "models"), text, network)
    codes = {}
    for model in ("own", "elsewhere"):
        separate = VoiceSeparate(AudioMode.MUSIC_MODE, AudioConfig("wav"), model=model)
        spec = replace(job_spec(), separate=separate)
        found = ask(bucket, decoder, tmp_path, specs=(spec,), models_dir=str(tmp_path / "models"))
        codes[model] = found.code
    assert {"own": "InvalidArgument", "elsewhere": "Success"} == codes


def test_a_late_answer_is_not_given(bucket, decoder, tmp_path):
    """Nobody waits any more: the source is not fetched; a download that ran out of time is no answer."""
    assert ask(bucket, decoder, tmp_path, left_s=-1) is None
    bucket.file = TransferCancelled()
    assert ask(bucket, decoder, tmp_path) is None


def test_a_look_is_short_and_counted(bucket, decoder, tmp_path, monkeypatch):
    """What takes too long is given up, and counts for who asked all the same."""
    store: Any = InMemoryStore()
    monkeypatch.setattr(prober, "MAX_S", 0.05)
    bucket.download = lambda *_, cancelled, **__: wait_for(cancelled)
    under_test = Prober(Settings(scratch_dir=str(tmp_path)), store, bucket, decoder)
    under_test.answer(question := Question("q", (job_spec(),), store.now() + 30_000_000, "me"))
    assert store.probes.answered("q") is None
    assert not store.probes.ask(question)
    other = replace(question, specs=(replace(job_spec(), input_object="other"),))
    assert store.probes.ask(other)
    store.probes.spend(other, 19.96)
    assert not store.probes.ask(other)


def wait_for(cancelled: Callable[[], bool]) -> int:
    while not cancelled():
        time.sleep(0.01)
    raise TransferCancelled


def test_of_a_large_source_only_the_size_is_said(bucket, decoder, tmp_path, monkeypatch):
    """A source that is too large for a look, but not for a job, is not fetched."""
    monkeypatch.setattr(prober, "MAX_BYTES", 1000)
    size = bucket.file.stat().st_size
    assert Probe(size=size) == ask(bucket, decoder, tmp_path)
    assert "InvalidArgument" == ask(bucket, decoder, tmp_path, source_max_bytes=2000).code


def test_no_file_is_left(bucket, decoder, tmp_path):
    """The folder of a probe is removed."""
    ask(bucket, decoder, tmp_path)
    assert ["source.wav"] == [each.name for each in tmp_path.iterdir()]
