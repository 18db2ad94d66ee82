"""PCM whose samples take more bytes than their valid bits need, in every container that says both."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from stemline.separation.errors import UndecodableMedia
from stemline.separation.media import MediaLimits, open_audio
from tests.ffmpeg_files import ffmpeg

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


def ebml(name: int, *content: bytes) -> bytes:
    """An element with a length of eight bytes."""
    joined = b"".join(content)
    return (
        name.to_bytes((name.bit_length() + 7) // 8, "big")
        + (len(joined) | 1 << 56).to_bytes(8, "big")
        + joined
    )


def mkv(form: bytes, data: bytes) -> bytes:
    """A Matroska file whose second track has the description of a wav; the first is video, the third none."""
    block = struct.unpack("<H", form[12:14])[0]
    audio = ebml(0xE1, ebml(0xB5, struct.pack(">d", RATE)), ebml(0x9F, b"\2"), ebml(0x6264, form[14:15]))
    video = ebml(0xE0, ebml(0xB0, b"\x10"), ebml(0xBA, b"\x10"))

    def track(number: int, kind: int, codec: bytes, *parts: bytes) -> bytes:
        numbers = ebml(0xD7, bytes([number])) + ebml(0x73C5, bytes([number])) + ebml(0x83, bytes([kind]))
        return ebml(0xAE, numbers, ebml(0x86, codec), *parts)

    tracks = (
        track(3, 16, b"B_VOBBTN"),
        track(1, 1, b"V_MJPEG", video),
        track(2, 2, b"A_MS/ACM", ebml(0x63A2, form), audio),
    )
    step, blocks = RATE // 20, []
    for at in range(0, len(data) // block, step):
        time = struct.pack(">h", round(at * 1000 / RATE))
        blocks.append(ebml(0xA3, b"\x82" + time + b"\x80" + data[at * block : (at + step) * block]))
    parts = (
        ebml(0x1549A966, ebml(0x2AD7B1, b"\x0f\x42\x40"), ebml(0x4D80, b"x"), ebml(0x5741, b"x")),
        ebml(0x1654AE6B, *tracks),
        ebml(0x1F43B675, ebml(0xE7, b"\0"), *blocks),
    )
    return ebml(0x1A45DFA3, ebml(0x4282, b"matroska"), ebml(0x4285, b"\2")) + ebml(0x18538067, *parts)


def caf(width: int, bits: int) -> bytes:
    description = struct.pack(">d4sIIIII", RATE, b"lpcm", 2, 2 * width, 1, 2, bits)
    data = stored(width)
    return (
        b"caff\0\1\0\0desc" + struct.pack(">q", 32) + description + b"data" + struct.pack(">q", len(data) + 4)
    ) + (bytes(4) + data)


def heard(path: Path) -> np.ndarray:
    with open_audio(path, limits=LIMITS) as audio:
        return np.concatenate(list(audio))


@pytest.mark.parametrize(
    ("width", "bits"), [(4, 32), (4, 24), (4, 20), (4, 16), (3, 24), (3, 20), (3, 16), (2, 16), (2, 14)]
)
@pytest.mark.parametrize("container", [wav, rf64, wave64, avi, mkv])
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


@pytest.mark.parametrize(("width", "bits"), [(4, 24), (4, 20), (3, 16)])
def test_asf_has_the_same_description(tmp_path: Path, width: int, bits: int) -> None:
    """A wma of PCM, written by ffmpeg with as many bits as bytes, and described with fewer valid ones."""
    (tmp_path / "in.wav").write_bytes(wav(extensible(width, 8 * width), stored(width)))
    ffmpeg(tmp_path, "-i", "in.wav", "-c", "copy", "in.wma")
    content = (tmp_path / "in.wma").read_bytes()
    described = extensible(width, 8 * width)[:20]
    assert content.count(described) == 1
    (tmp_path / "in.wma").write_bytes(content.replace(described, extensible(width, bits)[:20]))
    assert np.array_equal(heard(tmp_path / "in.wma"), SOUND.astype(np.float32) / 32_768)


def test_without_the_longer_description_it_is_the_same(tmp_path: Path) -> None:
    """A wav says so by its plain format too; of Cool Edit's floats, it names the bits of full scale."""
    for bits in (16, 20, 24):
        (tmp_path / "in.wav").write_bytes(wav(plain(4, bits), stored(4)))
        assert np.array_equal(heard(tmp_path / "in.wav"), SOUND.astype(np.float32) / 32_768)
    for bits in (16, 24):
        silence = np.zeros((RATE, 2))
        floats = np.concatenate([silence, SOUND / 32_768]).astype("<f4") * np.float32(2 ** (bits - 1))
        (tmp_path / "in.wav").write_bytes(wav(plain(4, bits), floats.tobytes()))
        assert np.array_equal(heard(tmp_path / "in.wav")[RATE:], SOUND.astype(np.float32) / 32_768)


def asf(form: bytes, data: bytes) -> bytes:
    """A wma of PCM, as ffmpeg writes it, whose description is plain."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "in.wav").write_bytes(wav(form, data))
        ffmpeg(Path(folder), "-i", "in.wav", "-c", "copy", "out.wma")
        return (Path(folder) / "out.wma").read_bytes()


@pytest.mark.parametrize("container", [wav, rf64, wave64, avi, mkv, asf])
@pytest.mark.parametrize("form", [plain(4, 32), extensible(4, 32)], ids=["plain", "extensible"])
def test_floats_that_are_described_as_integers(
    tmp_path: Path, container: Callable[[bytes, bytes], bytes], form: bytes
) -> None:
    """32 bits are floats where they are floats of sound, silent at first and fading away at the end."""
    sound = SOUND / np.float32(32_768) * np.geomspace(2.0, 1e-9, len(SOUND))[:, None]
    floats = np.concatenate([np.zeros((RATE, 2)), sound]).astype("<f4")
    (tmp_path / "in.media").write_bytes(container(form, floats.tobytes()))
    assert np.array_equal(heard(tmp_path / "in.media"), floats)


@pytest.mark.parametrize("container", [wav, mkv])
@pytest.mark.parametrize("level", [1.0, 0.5, 1e-3, 1e-8])
@pytest.mark.parametrize("wave", ["noise", "sine", "square", "steps"])
def test_integers_stay_integers(
    tmp_path: Path, container: Callable[[bytes, bytes], bytes], wave: str, level: float
) -> None:
    """Integers of 32 bits are never taken for floats, loud or quiet, whatever their shape."""
    time = np.arange(RATE // 4)[:, None] * [1, 1.5] / RATE * 440
    shapes = {
        "noise": np.random.default_rng(1).uniform(-1, 1, time.shape),
        "sine": np.sin(2 * np.pi * time),
        "square": np.where(time % 1 < 0.5, 1.0, -1.0),
        "steps": np.floor(time % 1 * 4) / 2 - 0.75,
    }
    samples = (shapes[wave] * level * (2**31 - 1)).astype("<i4")
    (tmp_path / "in.media").write_bytes(container(extensible(4, 32), samples.tobytes()))
    assert np.abs(heard(tmp_path / "in.media") - samples / 2.0**31).max() <= 2.0**-24


def box(name: bytes, *content: bytes) -> bytes:
    joined = b"".join(content)
    return struct.pack(">I", 8 + len(joined)) + name + joined


def mov(description: bytes, data: bytes, block: int, *, sample_bytes: int = 1) -> bytes:
    """A QuickTime file of one track, whose samples begin with the data."""
    count = len(data) // block
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    head = box(b"ftyp", b"qt  ", bytes(4), b"qt  ") + box(b"mdat", data)
    tables = box(
        b"stbl",
        box(b"stsd", bytes(4), struct.pack(">I", 1), description),
        box(b"stts", bytes(4), struct.pack(">3I", 1, count, 1)),
        box(b"stsc", bytes(4), struct.pack(">4I", 1, 1, count, 1)),
        box(b"stsz", bytes(4), struct.pack(">2I", sample_bytes, count)),
        box(b"stco", bytes(4), struct.pack(">2I", 1, len(head) - len(data))),
    )
    media = box(
        b"mdia",
        box(b"mdhd", bytes(12), struct.pack(">2I4x", RATE, count)),
        box(b"hdlr", bytes(4), b"mhlrsoun", bytes(13)),
        box(b"minf", box(b"smhd", bytes(8)), tables),
    )
    track_head = struct.pack(">I8xI4xI8xHHHH", 7, 1, count, 0, 0, 0x100, 0) + matrix + bytes(8)
    movie_head = bytes(12) + struct.pack(">2IIH10x", RATE, count, 0x10000, 0x100) + matrix + bytes(28)
    return head + box(b"moov", box(b"mvhd", movie_head), box(b"trak", box(b"tkhd", track_head), media))


def lpcm(bits: int, flags: int, width: int) -> bytes:
    """The description of version 2."""
    second = struct.pack(">IdIIIIII", 72, RATE, 2, 0x7F000000, bits, flags, 2 * width, 1)
    return box(b"lpcm", bytes(7), b"\1", struct.pack(">HHIHHHHI", 2, 0, 0, 3, 16, 0xFFFE, 0, 0x10000), second)


def quicktime(name: bytes, bits: int, width: int, version: int) -> bytes:
    """The description of version 0 or 1."""
    first = struct.pack(">HHIHHHHI", version, 0, 0, 2, bits, 0, 0, RATE << 16)
    return box(name, bytes(7), b"\1", first, struct.pack(">4I", 1, width, 2 * width, width) * version)


#: Flags of lpcm.
FLOAT, BIG, SIGNED, PACKED, HIGH, PLANAR = 1, 2, 4, 8, 16, 32


@pytest.mark.parametrize(("bits", "width"), [(16, 2), (24, 3), (20, 3), (16, 3), (32, 4), (24, 4), (16, 4)])
@pytest.mark.parametrize("is_big", [False, True])
def test_lpcm_is_read_by_its_flags(tmp_path: Path, bits: int, width: int, is_big: bool) -> None:
    """Bytes of a frame and flags say which bits of a mov's samples are valid: the upper or the lower."""
    upper = np.frombuffer(stored(width), np.uint8).reshape(-1, width)
    number = SOUND.astype("<i8").reshape(-1, 1) << (bits - 16)
    lower = number.view(np.uint8).reshape(-1, 8)[:, :width]
    order = slice(None, None, -1 if is_big else 1)
    big = BIG if is_big else 0
    cases = {SIGNED | HIGH: upper, SIGNED | PACKED: upper} | ({SIGNED: lower} if bits < 8 * width else {})
    for flags, content in cases.items():
        data = content[:, order].tobytes()
        (tmp_path / "in.mov").write_bytes(mov(lpcm(bits, flags | big, width), data, 2 * width))
        assert np.array_equal(heard(tmp_path / "in.mov"), SOUND.astype(np.float32) / 32_768), flags


@pytest.mark.parametrize(
    ("bits", "flags", "width"),
    [(24, 0, 4), (16, FLOAT, 2), (24, FLOAT, 4), (16, SIGNED | PLANAR, 2), (32, SIGNED, 2), (40, SIGNED, 5)],
)
def test_lpcm_that_is_not_known_is_refused(tmp_path: Path, bits: int, flags: int, width: int) -> None:
    """What cannot be read as it is stored is refused with its bits and bytes, not decoded as noise."""
    (tmp_path / "in.mov").write_bytes(mov(lpcm(bits, flags, width), stored(4), 2 * width))
    with pytest.raises(UndecodableMedia, match=rf"{bits} bits in {8 * width}"):
        heard(tmp_path / "in.mov")


def test_lower_bits_that_are_none_are_refused(tmp_path: Path) -> None:
    """Samples that use more bits than are said to be valid contradict their description."""
    (tmp_path / "in.mov").write_bytes(mov(lpcm(24, SIGNED, 4), stored(4), 8))
    with pytest.raises(UndecodableMedia, match="more bits"):
        heard(tmp_path / "in.mov")


@pytest.mark.parametrize(
    ("name", "bits", "width"),
    [
        (b"twos", 16, 2),
        (b"twos", 20, 3),
        (b"twos", 24, 4),
        (b"sowt", 20, 3),
        (b"in24", 24, 4),
        (b"twos", 32, 4),
    ],
)
@pytest.mark.parametrize("version", [0, 1])
def test_older_descriptions_of_mov(tmp_path: Path, name: bytes, bits: int, width: int, version: int) -> None:
    """Version 1 says how many bytes a frame has, and the table of sizes says it beside version 0."""
    order = slice(None, None, 1 if name == b"sowt" else -1)
    data = np.frombuffer(stored(width), np.uint8).reshape(-1, width)[:, order].tobytes()
    description = quicktime(name, bits, width, version)
    size = 1 if version else 2 * width
    (tmp_path / "in.mov").write_bytes(mov(description, data, 2 * width, sample_bytes=size))
    assert np.array_equal(heard(tmp_path / "in.mov"), SOUND.astype(np.float32) / 32_768)


def test_a_wrong_block_size_alone_changes_nothing(tmp_path: Path) -> None:
    """A description that contradicts itself is read by its bits, as players do."""
    form = struct.pack("<HHIIHH", 1, 2, RATE, RATE * 4, 2, 16)
    (tmp_path / "in.wav").write_bytes(wav(form, SOUND.tobytes()))
    assert np.array_equal(heard(tmp_path / "in.wav"), SOUND.astype(np.float32) / 32_768)
