"""Damaged and hostile sources: each ends with a specific error, in bounded time and memory."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import av
import pytest

from stemline.separation.errors import (
    DamagedMedia,
    MediaError,
    SeparationError,
    TooLong,
    TruncatedMedia,
    UndecodableMedia,
)
from stemline.separation.media import MediaLimits, open_audio
from tests.media import KINDS, Kind, make, tone
from tests.paths import REPOSITORY

pytestmark = pytest.mark.slow

LIMITS = MediaLimits(max_duration_s=20, max_bytes=10**9)


def drain(path: Path) -> int:
    with open_audio(path, limits=LIMITS) as audio:
        return sum(len(block) for block in audio)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A short file of every kind."""
    folder = tmp_path_factory.mktemp("corpus")
    surround = (
        Kind("wav", "pcm_s16le", layout="7.1"),
        Kind("m4a", "aac", layout="7.1"),
        Kind("flac", "flac", layout="5.1"),
    )
    return {
        kind.name: make(
            folder / kind.name,
            kind,
            tone(kind.rate * 2 + 77, av.AudioLayout(kind.layout).nb_channels, kind.rate),
        )
        for kind in KINDS + surround
    }


@pytest.mark.parametrize("share", [0.35, 0.61, 0.93])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_truncated_file_is_refused(kind: Kind, share: float, corpus: dict[str, Path], tmp_path: Path):
    """A file of any kind that is truncated at any place is refused."""
    data = corpus[kind.name].read_bytes()
    path = tmp_path / f"in.{kind.suffix}"
    # Not at a multiple of a transport stream's packets, where the rest is a complete file.
    path.write_bytes(data[: int(len(data) * share) // 188 * 188 + 95])

    with pytest.raises((TruncatedMedia, UndecodableMedia)) as caught:
        drain(path)

    assert kind.codec == "libopus" or isinstance(caught.value, TruncatedMedia)


def damage(data: bytearray, chance: random.Random) -> None:
    """Remove, zero or overwrite a piece in the middle of a file."""
    where = chance.randrange(len(data) // 20, len(data) * 19 // 20)
    piece = slice(where, where + chance.randrange(200, 6000))
    match chance.choice(["lose", "blank", "overwrite"]):
        case "lose":
            del data[piece]
        case "blank":
            data[piece] = bytes(len(data[piece]))
        case _:
            data[piece] = chance.randbytes(len(data[piece]))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.suffix != "amr"], ids=lambda kind: kind.name)
def test_damage_in_the_middle_is_detected(kind: Kind, corpus: dict[str, Path], tmp_path: Path):
    """Damage in the middle of a file is refused, or loses no more than the jitter of time stamps, 0.1 s."""
    chance = random.Random(kind.name)
    whole = drain(corpus[kind.name])
    path = tmp_path / f"in.{kind.suffix}"
    refused = 0
    for _ in range(12):
        data = bytearray(corpus[kind.name].read_bytes())
        damage(data, chance)
        path.write_bytes(data)
        try:
            assert whole - 4410 <= drain(path)
        except MediaError:
            refused += 1

    # Changed values of raw samples cannot be detected.
    assert refused > (0 if kind.suffix in {"wav", "aiff", "caf"} else 2)


def test_a_flipped_bit_in_a_flac_is_detected(corpus: dict[str, Path], tmp_path: Path):
    """The checksum of a flac frame is verified."""
    data = bytearray(corpus["flac-44100-stereo.flac"].read_bytes())
    data[len(data) // 2] ^= 1
    path = tmp_path / "in.flac"
    path.write_bytes(data)

    with pytest.raises(DamagedMedia):
        drain(path)


def test_a_foreign_tag_at_the_end_is_no_damage(corpus: dict[str, Path], tmp_path: Path):
    """An ID3v1 tag or unknown lyrics after the last frame of an mp3 are not damage."""
    song = corpus["libmp3lame-44100-stereo.mp3"].read_bytes()
    path = tmp_path / "in.mp3"
    path.write_bytes(song + b"LYRICSBEGIN" + b"la" * 300 + b"TAG" + bytes(125))

    assert 2 * 44_100 + 77 == drain(path)


def test_concatenated_segments_are_read_to_the_end(corpus: dict[str, Path], tmp_path: Path):
    """Raw aac in segments, each after an ID3 tag as in HLS, is not damaged."""
    segment = corpus["aac-44100-stereo.aac"].read_bytes()
    tag = b"ID3\x04\0\0\0\0\0\x3f" + b"PRIV\0\0\0\x35\0\0" + bytes(53)
    path = tmp_path / "in.aac"
    path.write_bytes((tag + segment) * 3)

    assert 3 * drain(corpus["aac-44100-stereo.aac"]) == drain(path)


@pytest.mark.parametrize("picture", [0, 20_000])
def test_concatenated_songs_are_read_to_the_end(picture: int, tmp_path: Path):
    """An mp3 concatenated from two, with tags and cover art between them, is not damaged."""
    first = make(tmp_path / "a.mp3", Kind("mp3", "libmp3lame"), tone(44_100 * 2)).read_bytes()
    second = make(
        tmp_path / "b.mp3", Kind("mp3", "libmp3lame", container_options={"id3v2_version": "0"}), tone(44_100)
    ).read_bytes()
    body = b"\0image/png\0\x03\0" + random.Random(1).randbytes(picture)
    size = bytes((0, len(body) >> 14, len(body) >> 7 & 127, len(body) & 127))
    frame = b"APIC" + size + b"\0\0" + body
    size = bytes((0, len(frame) >> 14, len(frame) >> 7 & 127, len(frame) & 127))
    path = tmp_path / "in.mp3"
    path.write_bytes(first + b"TAG" + bytes(125) + b"ID3\x04\0\0" + size + frame + second)

    # The second song's encoder delay and padding are music to a decoder that met its header in mid-stream.
    assert 44_100 * 3 <= drain(path) <= 44_100 * 3 + 3 * 1152


def mutate(data: bytearray, chance: random.Random) -> bytearray:
    where = chance.randrange(len(data))
    match chance.choice(["flip", "many", "cut", "zero", "insert", "head", "repeat"]):
        case "flip":
            data[where] ^= 1 << chance.randrange(8)
        case "many":
            for _ in range(chance.randrange(1, 60)):
                data[chance.randrange(len(data))] = chance.randrange(256)
        case "cut":
            del data[where:]
        case "zero":
            data[where : where + chance.randrange(5000)] = bytes(chance.randrange(5000))
        case "insert":
            data[where:where] = chance.randbytes(chance.randrange(300))
        case "head":
            for _ in range(chance.randrange(1, 8)):
                data[chance.randrange(min(len(data), 400))] = chance.randrange(256)
        case _:
            data[where:where] = data[where // 2 : where // 2 + 3000]
    return data


@pytest.mark.parametrize("seed", range(10))
def test_mutated_files_end_with_an_error_of_ours(seed: int, corpus: dict[str, Path], tmp_path: Path):
    """A file with random changes is read to its end, or ends with an error of ours, in bounded time."""
    chance = random.Random(seed)
    for _ in range(40):
        name = chance.choice(sorted(corpus))
        path = tmp_path / f"in.{name.rsplit('.', 1)[1]}"
        path.write_bytes(mutate(bytearray(corpus[name].read_bytes()), chance))
        started = time.monotonic()

        with suppress(SeparationError):
            drain(path)

        assert time.monotonic() - started < 180


BOMB = """
import sys
from pathlib import Path
from stemline.separation.errors import TooLong
from stemline.separation.media import MediaLimits, open_audio
from tests.support.memory import peak, reset_peak
before = reset_peak()
try:
    with open_audio(Path(sys.argv[1]), limits=MediaLimits(120, 10**9)) as audio:
        for block in audio:
            pass
except TooLong:
    print(peak() - before)
"""


@pytest.fixture(scope="module")
def bomb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty minutes of silence in little more than a megabyte of flac that declares no length."""
    path = tmp_path_factory.mktemp("bomb") / "in.flac"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=8000, layout="mono", options={"compression_level": "0"})
        stream.codec_context.format = "s16"
        frame = av.AudioFrame("s16", "mono", 8000 * 60)
        frame.sample_rate = 8000
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        for minute in range(40):
            frame.pts = minute * 8000 * 60
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    data[8 + 13] &= 0xF0
    data[8 + 14 : 8 + 18] = bytes(4)
    path.write_bytes(data)
    return path


def test_a_decompression_bomb_stops_at_the_limit(bomb: Path):
    """Forty minutes of silence in a small file end at two, within a few megabytes."""
    assert bomb.stat().st_size < 2 * 10**6

    done = subprocess.run(
        [sys.executable, "-c", BOMB, str(bomb)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert 0 == done.returncode, done.stderr
    assert int(done.stdout) < 60_000


@pytest.mark.parametrize("rate", [1, 100, 2_000_000])
def test_an_absurd_rate_does_not_explode(rate: int, tmp_path: Path):
    """A header that claims one sample a second does not turn kilobytes into hours."""
    path = make(tmp_path / "in.wav", Kind("wav", "pcm_s16le"), tone(100_000))
    data = bytearray(path.read_bytes())
    data[24:28] = rate.to_bytes(4, "little")
    path.write_bytes(data)

    with pytest.raises((UndecodableMedia, TooLong)):
        drain(path)


def test_no_descriptor_is_left_open(corpus: dict[str, Path], tmp_path: Path):
    """Reading, failing and giving up leave no file open."""
    broken = tmp_path / "in.flac"
    data = bytearray(corpus["flac-44100-stereo.flac"].read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)

    for _ in range(5):
        with pytest.raises(DamagedMedia):
            drain(broken)
        with open_audio(corpus["pcm_s16le-44100-stereo.wav"], limits=LIMITS) as audio:
            next(iter(audio))
        with pytest.raises(TooLong):
            open_audio(corpus["alac-44100-stereo.m4a"], limits=MediaLimits(1, 10**9))

    ours = {str(broken), *map(str, corpus.values())}
    descriptors = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not ours & {str(link.readlink()) for link in descriptors}
