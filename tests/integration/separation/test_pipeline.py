"""From file to files with real codecs; with the real 2-stem weights where the masks matter."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from stemline.separation.engine import Engine
from stemline.separation.errors import (
    Cancelled,
    DiskFull,
    NonFiniteAudio,
    OptionError,
    SeparationError,
    UndecodableMedia,
)
from stemline.separation.media import MediaLimits, OutputSpec, StemWriter, open_audio
from stemline.separation.pipeline import separate_file
from stemline.separation.separator import Separator
from stemline.testing.processes import eventually
from tests.golden import song
from tests.paths import REPOSITORY
from tests.support.engines import LoudnessMasks, mask_engine

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=7200.0, max_bytes=1 << 32)
NAMES = ("vocals", "accompaniment")


@pytest.fixture(scope="module")
def engine(weights_2stems) -> Engine:
    return mask_engine("2stems")


def earlier_stems(folder: Path) -> dict[str, bytes]:
    """Leave files where the stems go, and return the content of the folder."""
    for spec in outputs(folder).values():
        spec.path.write_text("of an earlier run")
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_wav(path: Path, mix: np.ndarray) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44_100)
        file.writeframes(np.round(mix * 32768.0).clip(-32768, 32767).astype("<i2").tobytes())
    return path


def read(path: Path) -> np.ndarray:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


@pytest.fixture(scope="module")
def any_masks() -> LoudnessMasks:
    return LoudnessMasks()


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    mix = song.mix(song.stems(26.0, seed=1))
    return write_wav(tmp_path_factory.mktemp("source") / "song.wav", mix)


def outputs(folder: Path, codec: str = "wav") -> dict[str, OutputSpec]:
    return {name: OutputSpec(folder / f"{name}.{codec}", codec) for name in NAMES}


@pytest.mark.parametrize("codec", ["wav", "flac"])
def test_lossless_stems_are_the_separators(
    any_masks: LoudnessMasks, source: Path, tmp_path: Path, codec: str
) -> None:
    """Files of a lossless codec hold what the separator made, sample by sample and on the 16-bit grid."""
    report = separate_file(any_masks, source, outputs(tmp_path, codec), limits=LIMITS)
    mix = read(source)
    with Separator(any_masks) as separator:
        pieces = list(separator.separate([mix]))
    assert len(mix) == report.samples
    assert len(mix) / 44_100 == report.duration_s
    for name in NAMES:
        expected = np.concatenate([piece[name] for piece in pieces])
        actual = read(tmp_path / f"{name}.{codec}")
        assert expected.shape == actual.shape
        assert np.abs(expected - actual).max() <= 1.01 / 32768


def test_the_report_tells_what_was_written(any_masks: LoudnessMasks, source: Path, tmp_path: Path) -> None:
    """Size, device and stages in the report are those of the files and of the work."""
    report = separate_file(any_masks, source, outputs(tmp_path, "mp3"), limits=LIMITS)
    for name in NAMES:
        stem = report.stems[name]
        assert (tmp_path / f"{name}.mp3").stat().st_size == stem.size
        assert abs(26.0 - stem.media_info.format.duration_s) < 0.1
    assert report.device == "cpu"
    assert {"decode", "transform", "infer", "invert", "encode", "total"} == set(report.seconds)


def test_only_the_named_stems_are_made(any_masks: LoudnessMasks, source: Path, tmp_path: Path) -> None:
    """A job for the voice alone writes one file."""
    report = separate_file(
        any_masks, source, {"vocals": OutputSpec(tmp_path / "v.wav", "wav")}, limits=LIMITS
    )
    assert ["vocals"] == list(report.stems)
    assert [tmp_path / "v.wav"] == list(tmp_path.iterdir())


def test_progress_rises_to_one(any_masks: LoudnessMasks, source: Path, tmp_path: Path) -> None:
    """Progress never falls, and ends at one when the files are whole."""
    reported: list[float] = []
    separate_file(any_masks, source, outputs(tmp_path), limits=LIMITS, progress=reported.append)
    assert sorted(reported) == reported
    assert len(reported) >= 3
    assert reported[-1] == 1.0


def threads_of_songs() -> set[threading.Thread]:
    """All threads but those that an engine keeps for its networks."""
    return {each for each in threading.enumerate() if not each.name.startswith("unet")}


def test_cancelling_is_fast_and_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    """A cancelled separation of a long file ends long before the file does, without outputs and threads."""
    long = write_wav(tmp_path / "long.wav", np.tile(song.mix(song.stems(20.0)), (10, 1)))
    asked = threading.Event()
    reported: list[float] = []

    def progress(share: float) -> None:
        reported.append(share)
        if share > 0:
            asked.set()

    here = earlier_stems(tmp_path)
    before = threads_of_songs()
    with pytest.raises(Cancelled):
        separate_file(
            engine, long, outputs(tmp_path), limits=LIMITS, progress=progress, cancelled=asked.is_set
        )
    assert reported[-1] < 0.5
    assert here == contents(tmp_path)
    eventually(lambda: threads_of_songs() <= before, 180, "the end of the threads")


def test_a_source_that_breaks_off_leaves_nothing(
    any_masks: LoudnessMasks, source: Path, tmp_path: Path
) -> None:
    """A source that turns out bad after its first segment leaves earlier stems as they were."""
    mix = np.tile(read(source), (2, 1))
    mix[-5] = np.nan
    bad = tmp_path / "bad.wav"
    header = b"RIFF" + (36 + mix.nbytes).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    header += (3).to_bytes(2, "little") + (2).to_bytes(2, "little") + (44_100).to_bytes(4, "little")
    header += (44_100 * 8).to_bytes(4, "little") + (8).to_bytes(2, "little") + (32).to_bytes(2, "little")
    bad.write_bytes(header + b"data" + mix.nbytes.to_bytes(4, "little") + mix.astype("<f4").tobytes())
    here = earlier_stems(tmp_path)
    with pytest.raises(NonFiniteAudio):
        separate_file(any_masks, bad, outputs(tmp_path), limits=LIMITS)
    assert here == contents(tmp_path)


def test_no_media_touches_no_file(any_masks: LoudnessMasks, tmp_path: Path) -> None:
    """A source that is no media leaves an existing file of the output's name alone."""
    text = tmp_path / "song.mp3"
    text.write_text("not music")
    (tmp_path / "vocals.wav").write_text("mine")
    with pytest.raises(UndecodableMedia):
        separate_file(any_masks, text, outputs(tmp_path), limits=LIMITS)
    assert (tmp_path / "vocals.wav").read_text() == "mine"


def test_a_full_disk_leaves_nothing(
    any_masks: LoudnessMasks, source: Path, tmp_path: Path, monkeypatch
) -> None:
    """When one encoder finds the disk full, the error says so, and both stems of an earlier run stay."""
    here = earlier_stems(tmp_path)
    write = StemWriter.write

    def full(self: StemWriter, block: np.ndarray) -> None:
        if "accompaniment" in self._path.name:
            with self._cleanly():
                raise OSError(28, "No space left on device")
        write(self, block)

    monkeypatch.setattr(StemWriter, "write", full)
    with pytest.raises(DiskFull):
        separate_file(any_masks, source, outputs(tmp_path), limits=LIMITS)
    assert here == contents(tmp_path)


def test_space_that_is_missing_is_known_before_anything_is_written(
    any_masks: LoudnessMasks, source: Path, tmp_path: Path
) -> None:
    """What the stems will take is announced with them still empty; a refusal ends the separation."""
    announced: list[int] = []

    def refuse(size: int) -> None:
        assert all(file.stat().st_size < 1000 for file in tmp_path.iterdir())
        announced.append(size)
        raise DiskFull

    with pytest.raises(DiskFull):
        separate_file(any_masks, source, outputs(tmp_path), limits=LIMITS, expect=refuse)
    assert [2 * 26 * 44_100 * 4] == announced
    assert not list(tmp_path.iterdir())


def test_an_impossible_output_leaves_nothing(any_masks: LoudnessMasks, source: Path, tmp_path: Path) -> None:
    """A codec that the second output cannot have takes the first output's file with it."""
    wanted = outputs(tmp_path) | {"accompaniment": OutputSpec(tmp_path / "a.xyz", "xyz")}
    with pytest.raises(OptionError):
        separate_file(any_masks, source, wanted, limits=LIMITS)
    assert not list(tmp_path.iterdir())


def test_every_error_has_a_message() -> None:
    """The docstring of each class of the tree is a sentence, and its default message."""

    def tree(error: type[SeparationError]) -> list[type[SeparationError]]:
        return [error, *(found for below in error.__subclasses__() for found in tree(below))]

    errors = tree(SeparationError)
    assert len(errors) > 10
    for error in errors:
        assert error.__doc__ is not None
        assert error.__doc__.endswith(".") or "`" in error.__doc__
        assert error().message == error.__doc__


@pytest.mark.thorough
def test_memory_does_not_grow_with_the_song(tmp_path: Path, weights_2stems) -> None:
    """Three minutes need the memory of one, within what an allocator keeps; 0.34 GB on two processors, and a
    little more where Python or the libraries are built otherwise."""
    part = song.mix(song.stems(30.0))
    peaks = []
    for times in (2, 6):  # one alone does not fill all queues
        path = write_wav(tmp_path / "song.wav", np.tile(part, (times, 1)))
        code = "import os, sys; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2]); "
        code += "from stemline.cli.separate import separate; "
        code += "from tests.support.memory import peak; "
        code += "separate(sys.argv[1:], standalone_mode=False); "
        code += "print(peak())"
        done = subprocess.run(
            [sys.executable, "-c", code, str(path), "-o", str(tmp_path)],
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]) / 1024)
    assert peaks[1] < peaks[0] * 1.2
    assert max(peaks) * 2**20 < 0.37e9
