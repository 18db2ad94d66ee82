"""PCM whose samples take more bytes than their valid bits need, in every container that says both."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stemline.separation.errors import UndecodableMedia
from stemline.separation.media import MediaLimits, open_audio

LIMITS = MediaLimits(max_duration_s=60, max_bytes=10**8)
RATE = 44_100
GUID = bytes.fromhex("000000001000800000aa00389b71")
SOUND = (np.random.default_rng(0).standard_normal((RATE // 4, 2)) * 8_000).astype("<i2")


def stored(width: int) -> bytes:
    """The sound with each sample in `width` bytes, the upper ones valid."""
    wide = (SOUND.astype(np.int64) << 16).astype("<i4").view(np.uint8).reshape(-1, 4)
    return wide[:, 4 - width :].tobytes()


def plain(width: int, bits: int) -> bytes:
    return struct.pack("<HHIIHH", 1, 2, RATE, RATE * 2 * width, 2 * width, bits)


def extensible(width: int, valid: int) -> bytes:
    head = struct.pack("<HHIIHH", 0xFFFE, 2, RATE, RATE * 2 * width, 2 * width, 8 * width)
    return head + struct.pack("<HHIH", 22, valid, 3, 1) + GUID


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def wav(form: bytes, data: bytes) -> bytes:
    parts = b"WAVE" + chunk(b"JUNK", bytes(28)) + chunk(b"fmt ", form) + chunk(b"data", data)
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def rf64(form: bytes, data: bytes) -> bytes:
    sizes = chunk(b"ds64", struct.pack("<QQQI", 100 + len(data), len(data), 0, 0))
    return b"RF64\xff\xff\xff\xffWAVE" + sizes + chunk(b"fmt ", form) + b"data\xff\xff\xff\xff" + data


def wave64(form: bytes, data: bytes) -> bytes:
    def part(name: str, content: bytes) -> bytes:
        rest = "f3acd3118cd100c04f8edb8a"
        return bytes.fromhex(name + rest) + struct.pack("<Q", 24 + len(content)) + content

    padded = form + bytes(-len(form) % 8)
    parts = (
        bytes.fromhex("77617665f3acd3118cd100c04f8edb8a") + part("666d7420", padded) + part("64617461", data)
    )
    riff = bytes.fromhex("726966662e91cf11a5d628db04c10000")
    return riff + struct.pack("<Q", 24 + len(parts)) + parts


def avi(form: bytes, data: bytes) -> bytes:
    block, second = struct.unpack("<H", form[12:14])[0], struct.unpack("<I", form[8:12])[0]
    main = struct.pack("<14I", 0, second, 0, 0x10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0)
    head = b"auds" + bytes(16) + struct.pack("<IIIIIII", block, second, 0, len(data) // block, 0, 0, block)
    stream = b"strl" + chunk(b"strh", head + bytes(8)) + chunk(b"strf", form)
    headers = chunk(b"LIST", b"hdrl" + chunk(b"avih", main) + chunk(b"LIST", stream))
    step = 4_800 * block
    movie = b"".join(chunk(b"00wb", data[at : at + step]) for at in range(0, len(data), step))
    parts = b"AVI " + headers + chunk(b"LIST", b"movi" + movie)
    return b"RIFF" + struct.pack("<I", len(parts)) + parts


def caf(width: int, bits: int) -> bytes:
    description = struct.pack(">d4sIIIII", RATE, b"lpcm", 2, 2 * width, 1, 2, bits)
    data = stored(width)
    return (
        b"caff\0\1\0\0desc" + struct.pack(">q", 32) + description + b"data" + struct.pack(">q", len(data) + 4)
    ) + (bytes(4) + data)


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), name) + content


def full_box(name: bytes, *parts: bytes) -> bytes:
    return box(name, bytes(4), *parts)


def mov(entry: bytes, data: bytes, block: int) -> bytes:
    """A QuickTime file with one track, whose sound has this sample description."""
    frames = len(data) // block
    mdat = box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(b"mdat", data)
    tables = (
        full_box(b"stsd", struct.pack(">I", 1), entry)
        + full_box(b"stts", struct.pack(">3I", 1, frames, 1))
        + full_box(b"stsc", struct.pack(">4I", 1, 1, frames, 1))
        + full_box(b"stsz", struct.pack(">2I", 1, frames))
        + full_box(b"stco", struct.pack(">2I", 1, len(mdat) - len(data)))
    )
    media = (
        full_box(b"mdhd", struct.pack(">4II", 0, 0, RATE, frames, 0))
        + full_box(b"hdlr", b"mhlrsoun", bytes(13))
        + box(b"minf", full_box(b"smhd", bytes(4)), box(b"stbl", tables))
    )
    track = full_box(b"tkhd", struct.pack(">5I", 0, 0, 1, 0, frames), bytes(60)) + box(b"mdia", media)
    head = full_box(b"mvhd", struct.pack(">4I", 0, 0, RATE, frames), bytes(76), struct.pack(">I", 2))
    return mdat + box(b"moov", head, box(b"trak", track))


def second_version(width: int, bits: int, flags: int) -> bytes:
    """A description of linear PCM by bits and flags."""
    first = struct.pack(">6xHHHI4HI", 1, 2, 0, 0, 3, 16, 0xFFFE, 0, 0x10000)
    return box(b"lpcm", first, struct.pack(">IdIIIIII", 72, RATE, 2, 0x7F000000, bits, flags, 2 * width, 1))


def first_version(kind: bytes, width: int, bits: int) -> bytes:
    """A description whose kind says the order of bytes, with the bytes of a frame."""
    first = struct.pack(">6xHHHI4HI", 1, 1, 0, 0, 2, bits, 0, 0, RATE << 16)
    return box(kind, first, struct.pack(">4I", 1, width, 2 * width, width))


def swapped(width: int) -> bytes:
    """The sound as `stored`, with the highest byte first."""
    return np.frombuffer(stored(width), np.uint8).reshape(-1, width)[:, ::-1].tobytes()


BIG, SIGNED, PACKED, HIGH = 0x2, 0x4, 0x8, 0x10


def heard(path: Path) -> np.ndarray:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


@pytest.mark.parametrize(
    ("width", "bits"), [(4, 32), (4, 24), (4, 20), (4, 16), (3, 24), (3, 20), (3, 16), (2, 16), (2, 14)]
)
@pytest.mark.parametrize("container", [wav, rf64, wave64, avi])
def test_samples_are_read_as_wide_as_they_are_stored(
    tmp_path: Path, container: Callable[[bytes, bytes], bytes], width: int, bits: int
) -> None:
    """Whatever the number of valid bits, length and samples are those of the sound."""
    path = tmp_path / "in.media"
    path.write_bytes(container(extensible(width, bits), stored(width)))
    assert np.array_equal(heard(path), SOUND.astype(np.float32) / 32_768)


@pytest.mark.parametrize(("width", "bits"), [(4, 32), (4, 24), (4, 20), (4, 16), (3, 24), (3, 20), (3, 16)])
def test_caf_says_it_by_the_bytes_of_a_packet(tmp_path: Path, width: int, bits: int) -> None:
    """The same in caf, whose description is another one."""
    (tmp_path / "in.caf").write_bytes(caf(width, bits))
    assert np.array_equal(heard(tmp_path / "in.caf"), SOUND.astype(np.float32) / 32_768)


def test_without_the_longer_description_it_is_the_same(tmp_path: Path) -> None:
    """A wav says so by its plain format too; the one that means floating point of Cool Edit is refused."""
    (tmp_path / "in.wav").write_bytes(wav(plain(4, 20), stored(4)))
    assert np.array_equal(heard(tmp_path / "in.wav"), SOUND.astype(np.float32) / 32_768)
    (tmp_path / "in.wav").write_bytes(wav(plain(4, 24), stored(4)))
    with pytest.raises(UndecodableMedia):
        heard(tmp_path / "in.wav")


def test_a_wrong_block_size_alone_changes_nothing(tmp_path: Path) -> None:
    """A description that contradicts itself is read by its bits, as players do."""
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 2, 16)
    (tmp_path / "in.wav").write_bytes(wav(form, SOUND.tobytes()))
    assert np.array_equal(heard(tmp_path / "in.wav"), SOUND.astype(np.float32) / 32_768)


@pytest.mark.parametrize("big", [0, BIG])
@pytest.mark.parametrize(
    ("width", "bits"), [(4, 32), (4, 24), (4, 20), (4, 16), (3, 24), (3, 20), (3, 16), (2, 16)]
)
def test_quicktime_says_it_by_flags(tmp_path: Path, width: int, bits: int, big: int) -> None:
    """Linear PCM of QuickTime's second version is read as wide as it is stored, in both orders of bytes."""
    flags = SIGNED | big | (PACKED if bits == 8 * width else HIGH)
    data = swapped(width) if big else stored(width)
    (tmp_path / "in.mov").write_bytes(mov(second_version(width, bits, flags), data, 2 * width))
    assert np.array_equal(heard(tmp_path / "in.mov"), SOUND.astype(np.float32) / 32_768)


@pytest.mark.parametrize(("width", "bits"), [(4, 24), (3, 20), (2, 12)])
def test_lower_bits_of_wider_words_are_refused(tmp_path: Path, width: int, bits: int) -> None:
    """Read as they are stored they would be far too quiet; the reason says so."""
    entry = second_version(width, bits, SIGNED)
    (tmp_path / "in.mov").write_bytes(mov(entry, stored(width), 2 * width))
    with pytest.raises(UndecodableMedia, match="lower bits"):
        heard(tmp_path / "in.mov")


@pytest.mark.parametrize(
    ("kind", "width", "bits"),
    [
        (kind, width, bits)
        for kind in (b"twos", b"sowt")
        for width, bits in ((2, 16), (3, 24), (4, 32), (4, 24), (4, 20), (3, 20))
    ]
    + [(b"in24", 3, 24), (b"in24", 4, 24), (b"in32", 4, 32)],
)
def test_quicktime_says_it_by_the_bytes_of_a_frame(
    tmp_path: Path, kind: bytes, width: int, bits: int
) -> None:
    """The same in the first version, where the kind says the order of bytes."""
    data = stored(width) if kind == b"sowt" else swapped(width)
    (tmp_path / "in.mov").write_bytes(mov(first_version(kind, width, bits), data, 2 * width))
    assert np.array_equal(heard(tmp_path / "in.mov"), SOUND.astype(np.float32) / 32_768)
