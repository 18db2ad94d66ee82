"""Files with several chunks of sound where their format has one, or without the length of it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stemline.separation.errors import TruncatedMedia, UndecodableMedia
from stemline.separation.media import MediaLimits, open_audio
from tests.integration.separation.media.test_pcm_width import chunk
from tests.media import Kind, make, tone

LIMITS = MediaLimits(max_duration_s=60, max_bytes=10**8)
RATE = 44_100
SOUND = (np.random.default_rng(0).standard_normal((RATE // 4 // 2 * 2, 2)) * 8_000).astype("<i2")
OTHER = SOUND[::-1]
FORM = struct.pack("<HHIIHH", 1, 2, RATE, 4 * RATE, 4, 16)
UNKNOWN = 0xFFFFFFFF
REST = bytes.fromhex("f3acd3118cd100c04f8edb8a")
RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")


def read(path: Path) -> np.ndarray:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


def wav(*sounds: bytes) -> bytes:
    parts = b"WAVE" + chunk(b"fmt ", FORM) + b"".join(chunk(b"data", sound) for sound in sounds)
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def rf64(*sounds: bytes, length: int | None = None) -> bytes:
    first, *others = sounds
    length = len(first) if length is None else length
    parts = chunk(b"ds64", struct.pack("<QQQI", length, length, length // 4, 0)) + chunk(b"fmt ", FORM)
    rest = b"".join(chunk(b"data", sound) for sound in others)
    return b"RF64\xff\xff\xff\xffWAVE" + parts + b"data\xff\xff\xff\xff" + first + rest


def wave64(*sounds: bytes, length: int | None = None) -> bytes:
    def part(name: bytes, content: bytes, length: int | None = None) -> bytes:
        said = 24 + len(content) if length is None else length
        return name + REST + struct.pack("<Q", said) + content + bytes(-len(content) % 8)

    parts = b"wave" + REST + part(b"fmt ", FORM) + b"".join(part(b"data", each, length) for each in sounds)
    return RIFF + struct.pack("<Q", 24 + len(parts) if length is None else length) + parts


def aiff(*sounds: bytes) -> bytes:
    def part(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">I", len(content)) + content

    frames = len(sounds[0]) // 4
    common = part(b"COMM", struct.pack(">hIh", 2, frames, 16) + bytes.fromhex("400eac44000000000000"))
    swapped = [np.frombuffer(sound, "<i2").byteswap().tobytes() for sound in sounds]
    parts = b"AIFF" + common + b"".join(part(b"SSND", bytes(8) + sound) for sound in swapped)
    return b"FORM" + struct.pack(">I", len(parts)) + parts


def caf(*sounds: bytes) -> bytes:
    def part(name: bytes, content: bytes) -> bytes:
        return name + struct.pack(">q", len(content)) + content

    description = part(b"desc", struct.pack(">d4s5I", float(RATE), b"lpcm", 2, 4, 1, 2, 16))
    return b"caff\0\1\0\0" + description + b"".join(part(b"data", bytes(4) + sound) for sound in sounds)


def au(sound: bytes, length: int) -> bytes:
    return (
        b".snd"
        + struct.pack(">5I", 24, length, 3, RATE, 2)
        + np.frombuffer(sound, "<i2").byteswap().tobytes()
    )


@pytest.mark.parametrize("frames", [10, 1000, len(SOUND)])
@pytest.mark.parametrize("file", [wav, rf64, wave64, aiff, caf])
def test_of_several_chunks_of_sound_the_first_is_read(
    file: Callable[..., bytes], frames: int, tmp_path: Path
) -> None:
    """As players do; FFmpeg reads the last one, at the duration of the first or its own."""
    path = tmp_path / "in"
    path.write_bytes(file(SOUND.tobytes(), OTHER[:frames].tobytes(), OTHER[:20].tobytes()))
    assert np.array_equal(SOUND / np.float32(32768), read(path))


@pytest.mark.parametrize(
    "content",
    [
        rf64(SOUND.tobytes(), length=0),
        rf64(SOUND.tobytes(), length=(1 << 64) - 1),
        wave64(SOUND.tobytes(), length=0),
        wave64(SOUND.tobytes(), length=(1 << 63) - 1),
        wave64(SOUND.tobytes(), length=(1 << 64) - 1),
        au(SOUND.tobytes(), 0),
        au(SOUND.tobytes(), UNKNOWN),
    ],
    ids=["rf64 zero", "rf64 ones", "w64 zero", "w64 most", "w64 ones", "au zero", "au ones"],
)
def test_what_a_pipe_has_left_without_a_length_is_read_to_its_end(content: bytes, tmp_path: Path) -> None:
    """Of a writer that cannot seek back, whatever it leaves in the place of the length."""
    path = tmp_path / "in"
    path.write_bytes(content)
    assert np.array_equal(SOUND / np.float32(32768), read(path))


def test_samples_without_their_bits_are_not_read_as_noise(tmp_path: Path) -> None:
    """The oldest description of a wav has no number of bits, and FFmpeg takes it for 8."""
    path = tmp_path / "in.wav"
    path.write_bytes(wav(SOUND.tobytes()).replace(chunk(b"fmt ", FORM), chunk(b"fmt ", FORM[:14])))
    with pytest.raises(UndecodableMedia, match="how many bits"):
        read(path)


@pytest.mark.parametrize("lacks", [5, 100, 400])
@pytest.mark.parametrize("codec", ["mp3", "aac"])
def test_an_flv_that_breaks_off_in_its_last_tags_is_truncated(codec: str, lacks: int, tmp_path: Path) -> None:
    """Its duration is not exact enough to tell that a quarter of a second is missing; without the length
    behind the last tag, and with something behind it, all of it is there."""
    path = make(tmp_path / "in.flv", Kind("flv", codec), tone(RATE))
    whole = path.read_bytes()
    samples = len(read(path))
    for content in (whole[:-4], whole[:-1], whole + bytes(5000), whole + bytes(range(1, 251)) * 20):
        path.write_bytes(content)
        assert samples == len(read(path))
    path.write_bytes(whole[:-lacks])
    with pytest.raises(TruncatedMedia):
        read(path)


@pytest.mark.parametrize("zeros", [1, 2, 3, 2048])
def test_zeros_behind_an_mpg_are_no_part_of_it(zeros: int, tmp_path: Path) -> None:
    """One or two zeros may be the start of another packet."""
    path = make(tmp_path / "in.mpg", Kind("mpg", "mp2"), tone(RATE))
    samples = len(read(path))
    path.write_bytes(path.read_bytes() + bytes(zeros))
    assert samples == len(read(path))
