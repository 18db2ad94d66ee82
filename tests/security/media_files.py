"""Media files that fill a worker's memory or keep it busy, if it lets them; most of each file is a hole."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeAlias

from fastcrc import crc8, crc16

from stemline.separation.media.containers.ogg import ogg_checksum
from tests.media import Kind, make, tone

Part: TypeAlias = bytes | int
"""Bytes, or the length of a hole."""
Write: TypeAlias = Callable[[Path, int], object]
"""Writes a file with about so many bytes of something that is no sound."""

_RIFF: Final = b"fmt \x10\0\0\0\1\0\1\0\x44\xac\0\0\x88\x58\1\0\2\0\x10\0"
_DATA: Final = b"data\x10\0\0\0" + bytes(16)
_ID3_MOST: Final = (1 << 28) - 11


def _parts(path: Path, parts: Iterable[Part]) -> None:
    """Write bytes and holes."""
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, int):
                file.seek(part, 1)
            else:
                file.write(part)
        file.truncate()


def _repeated(size: int, part: int, head: Callable[[int], bytes]) -> list[Part]:
    """Return heads with holes behind them, `size` bytes in all."""
    found: list[Part] = []
    for left in range(size, 0, -part):
        found += [head(min(part, left)), min(part, left)]
    return found


def _sample(folder: Path, kind: Kind, seconds: int = 2) -> bytes:
    return make(
        folder / f"sample.{kind.suffix}", kind, tone(kind.rate * seconds, rate=kind.rate)
    ).read_bytes()


# -- tags before and behind a file of any kind


def _id3(size: int) -> bytes:
    length = min(size, _ID3_MOST)
    return b"ID3\4\0\0" + bytes(length >> shift & 127 for shift in (21, 14, 7, 0))


def _id3_picture(size: int) -> bytes:
    frame = b"APIC" + bytes(size - 10 >> shift & 127 for shift in (21, 14, 7, 0)) + b"\0\0"
    return _id3(size) + frame


def _mp3_with_tags(*tags: Callable[[int], list[Part]]) -> Write:
    def write(path: Path, size: int) -> None:
        song = _sample(path.parent, Kind("mp3", "libmp3lame", container_options={"id3v2_version": "0"}))
        _parts(path, [part for tag in tags for part in tag(size // len(tags))] + [song])

    return write


def _behind(kind: Kind, head: Callable[[int], bytes]) -> Write:
    """Put a large tag behind a song."""

    def write(path: Path, size: int) -> None:
        tag = head(size)
        _parts(path, [_sample(path.parent, kind), tag, size, tag])

    return write


def _ape(size: int) -> bytes:
    return b"APETAGEX" + struct.pack("<IIII", 2000, size + 32, 1, 0xA0000000) + bytes(8)


def _flac_behind_id3(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("flac", "flac"))
    blocks = _repeated(size, (1 << 24) - 1, lambda n: b"\6" + n.to_bytes(3, "big"))
    _parts(path, [_id3(100), 100, song[:42], *blocks, song[42:]])


# -- chunks


def _wav(name: bytes, *, behind: bool = False, form: bytes = b"") -> Write:
    def write(path: Path, size: int) -> None:
        chunk: list[Part] = [name + struct.pack("<I", size + len(form)) + form, size]
        body = [_RIFF, _DATA, *chunk] if behind else [_RIFF, *chunk, _DATA]
        _parts(path, [b"RIFF" + struct.pack("<I", size + 60) + b"WAVE", *body])

    return write


def _w64(path: Path, size: int) -> None:
    tail = bytes.fromhex("f3acd3118cd100c04f8edb8a")

    def chunk(name: bytes, length: int) -> bytes:
        return name + tail + struct.pack("<Q", length + 24)

    riff = bytes.fromhex("726966662e91cf11a5d628db04c10000") + struct.pack("<Q", size + 1000)
    fmt = chunk(b"fmt ", 16) + _RIFF[8:]
    summary = bytes.fromhex("bc945f925a52d211860dc8d4a3c7ae7d")[:0] + b"LIST" + tail
    listed = summary + struct.pack("<Q", size + 24)
    _parts(path, [riff, b"wave" + tail, fmt, listed, size, chunk(b"data", 16) + bytes(16)])


def _aiff(path: Path, size: int) -> None:
    comm = b"COMM" + struct.pack(">IhIh", 18, 1, 8, 16) + bytes.fromhex("400eac44000000000000")
    note: list[Part] = [b"ANNO" + struct.pack(">I", size), size]
    sound = b"SSND" + struct.pack(">III", 24, 0, 0) + bytes(16)
    _parts(path, [b"FORM" + struct.pack(">I", size + 80) + b"AIFF", comm, *note, sound])


def _caf(name: bytes, *, behind: bool = False) -> Write:
    def write(path: Path, size: int) -> None:
        desc = b"desc" + struct.pack(">qd4sIIIII", 32, 44100.0, b"lpcm", 0, 2, 1, 1, 16)
        data = b"data" + struct.pack(">qI", 20, 0) + bytes(16)
        chunk: list[Part] = [name + struct.pack(">q", size), size]
        _parts(path, [b"caff\0\1\0\0", desc, *([data, *chunk] if behind else [*chunk, data])])

    return write


def _au(path: Path, size: int) -> None:
    _parts(path, [b".snd" + struct.pack(">IIIII", size + 24, 16, 3, 44100, 1), size, bytes(16)])


def _avi(where: str) -> Write:
    def write(path: Path, size: int) -> None:
        film = _sample(path.parent, Kind("avi", "libmp3lame", video=True))
        body = film[12:]
        extra: list[Part] = []
        match where:
            case "INFO":
                extra = [b"LIST" + struct.pack("<I", size + 12) + b"INFOINAM" + struct.pack("<I", size), size]
            case "JUNK":
                extra = [b"JUNK" + struct.pack("<I", size), size]
        index: list[Part] = [b"idx1" + struct.pack("<I", size), size] if where == "idx1" else []
        if index:
            body = body[: body.rindex(b"idx1")]
        length = struct.pack("<I", 4 + len(body) + size + 20)
        _parts(path, [b"RIFF" + length + b"AVI ", *extra, body, *index, bytes(12)])

    return write


def _flac(kind: int) -> Write:
    def write(path: Path, size: int) -> None:
        song = _sample(path.parent, Kind("flac", "flac"))
        blocks = _repeated(size, (1 << 24) - 1, lambda n: bytes([kind]) + n.to_bytes(3, "big"))
        _parts(path, [song[:42], *blocks, song[42:]])

    return write


# -- boxes


def _box(name: bytes, length: int) -> bytes:
    return struct.pack(">I4s", length + 8, name)


def _mp4(*names: bytes) -> Write:
    """Put boxes, one within the other, before an mp4's own."""

    def write(path: Path, size: int) -> None:
        song = _sample(path.parent, Kind("m4a", "aac"))
        outer = b"".join(_box(name, size + 8 * (len(names) - 1 - depth)) for depth, name in enumerate(names))
        first = int.from_bytes(song[:4], "big")
        _parts(path, [song[:first], outer, size, song[first:]])

    return write


def _mp4_moov(extra: Callable[[int], list[Part]]) -> Write:
    """Put something into an mp4's index, which is its last box."""

    def write(path: Path, size: int) -> None:
        song = _sample(path.parent, Kind("m4a", "aac"))
        at = song.rindex(b"moov") - 4
        parts = extra(size)
        length = sum(part if isinstance(part, int) else len(part) for part in parts)
        _parts(path, [song[:at], _box(b"moov", len(song) - at - 8 + length), song[at + 8 :], *parts])

    return write


def _cover(size: int) -> list[Part]:
    names = (b"udta", b"meta", b"ilst", b"covr", b"data")
    heads = b""
    for depth, name in enumerate(names):
        inner = size + 8 + 8 * (len(names) - 1 - depth) + (4 if depth < 1 else 0)
        heads += _box(name, inner) + (bytes(4) if name == b"meta" else b"")
    return [heads + b"\0\0\0\x0d\0\0\0\0", size]


def _mp4_to_the_end(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("m4a", "aac"))
    at = song.rindex(b"moov") - 4
    _parts(path, [song[:at], b"\0\0\0\0moov", song[at + 8 :], *_cover(size)])


def _mp4_bomb(path: Path, size: int) -> None:
    """An index that is compressed a thousand times."""
    packed = zlib.compress(bytes(size), 9)
    cmvd = _box(b"cmvd", 4 + len(packed)) + struct.pack(">I", size) + packed
    cmov = _box(b"dcom", 4) + b"zlib" + cmvd
    inner = _box(b"cmov", len(cmov)) + cmov
    _parts(path, [b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", _box(b"moov", len(inner)), inner, _box(b"mdat", 64), 64])


def _mp4_index(samples: int) -> Write:
    """An index of a few bytes that counts many samples, each of the same length."""

    def write(path: Path, _size: int) -> None:
        song = bytearray(_sample(path.parent, Kind("m4a", "aac")))
        at = song.rindex(b"stsz") + 8
        song[at : at + 8] = struct.pack(">II", 1, samples)
        at = song.rindex(b"stts") + 8
        song[at : at + 12] = struct.pack(">III", 1, samples, 1024)
        at = song.rindex(b"stsc") + 8
        song[at : at + 16] = struct.pack(">IIII", 1, 1, samples, 1)
        path.write_bytes(song)

    return write


def _mp4_empty_boxes(path: Path, _size: int) -> None:
    path.write_bytes(_box(b"ftyp", 0) + _box(b"free", 0) * (2 << 20))


# -- elements of Matroska


def _element(name: str, length: int) -> bytes:
    return bytes.fromhex(name) + (length | 1 << 56).to_bytes(8, "big")


def _mkv(*names: str, behind: bool = False) -> Write:
    """Put elements, one within the other, into the segment."""

    def write(path: Path, size: int) -> None:
        film = _sample(path.parent, Kind("mkv", "flac"))
        start = film.index(bytes.fromhex("18538067")) + 12
        inner = b""
        for name in reversed(names):
            inner = _element(name, size + len(inner)) + inner
        head = film[: start - 12] + bytes.fromhex("1853806701ffffffffffffff")
        extra: list[Part] = [inner, size]
        _parts(path, [head, film[start:], *extra] if behind else [head, *extra, film[start:]])

    return write


def _mkv_voids(path: Path, size: int) -> None:
    head = b"\x1a\x45\xdf\xa3\x80" + bytes.fromhex("1853806701ffffffffffffff")
    path.write_bytes(head + b"\xec\x80" * min(size // 2, 2 << 20))


def _mkv_tags(path: Path, _size: int) -> None:
    """Half a million tags, each of which FFmpeg would compare with all others."""
    film = _sample(path.parent, Kind("mkv", "flac"))
    start = film.index(bytes.fromhex("18538067")) + 12
    tag = b"\x67\xc8\x8d\x45\xa3\x86k%05x\x44\x87\x81v"
    tags = b"".join(tag % number for number in range(500_000))
    head = film[: start - 12] + bytes.fromhex("1853806701ffffffffffffff")
    inner = _element("1254c367", len(tags) + 10) + _element("7373", len(tags)) + tags
    path.write_bytes(head + inner + film[start:])


def _mkv_block(path: Path, size: int) -> None:
    film = _sample(path.parent, Kind("mkv", "flac"))
    start = film.index(bytes.fromhex("18538067")) + 12
    head = film[: start - 12] + bytes.fromhex("1853806701ffffffffffffff")
    block = _element("1f43b675", size + 15) + b"\xe7\x81\0" + _element("a3", size - 0)[:9]
    _parts(path, [head, film[start:], block, b"\x81\0\0\x80", size])


# -- pages, packets, tags


def _pages(serial: int, first: int, body: bytes, count: int, *, last: bool) -> list[bytes]:
    """Pages of one packet, which ends on the last of them if so asked."""
    found = []
    for number in range(count):
        ends = last and number == count - 1
        table = b"\xff" * 254 + b"\0" if ends else b"\xff" * 255
        content = body[: 254 * 255] if ends else body
        head = (
            b"OggS\0"
            + bytes([1 if number else 0])
            + struct.pack("<qIII", 0 if ends else -1, serial, first + number, 0)
        )
        page = head + bytes([255]) + table + content
        found.append(page[:22] + struct.pack("<I", ogg_checksum(page)) + page[26:])
    return found


def _ogg_split(song: bytes, pages: int) -> int:
    at = 0
    for _ in range(pages):
        segments = song[at + 26]
        at += 27 + segments + sum(song[at + 27 : at + 27 + segments])
    return at


def _ogg(after: int) -> Write:
    """Put a packet of many pages behind some pages of an Opus file: its comment, or one of audio."""

    def write(path: Path, size: int) -> None:
        song = _sample(path.parent, Kind("opus", "libopus", rate=48_000), 5)
        serial = int.from_bytes(song[14:18], "little")
        split = _ogg_split(song, after)
        count = size // 65_025
        head = b"OpusTags" + struct.pack("<II", 0, 1) + struct.pack("<I", size) + b"TITLE="
        body = (head + bytes(65_025))[:65_025]
        _parts(path, [song[:split], *_pages(serial, after, body, count, last=True), song[split:]])

    return write


def _asf(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("wma", "wmav2", bit_rate=128_000, muxer="asf"))
    metadata = bytes.fromhex("40a4d0d207e3d21197f000a0c95ea850") + struct.pack("<Q", size + 26)
    _parts(path, [song[:30], metadata + b"\1\0", size, song[30:]])


def _flv(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("flv", "aac"))
    at = 13
    tags: list[Part] = []
    for number in range(size // 65_000):
        value = b"\2" + struct.pack(">H", 64_000)
        pair = struct.pack(">H", 6) + b"k%05d" % number + value
        body = b"\2\0\x0aonMetaData\x08\0\0\0\1" + pair
        length = len(body) + 64_000 + 3
        head = b"\x12" + length.to_bytes(3, "big") + bytes(7)
        tags += [head + body, 64_000, b"\0\0\x09" + struct.pack(">I", length + 11)]
    _parts(path, [song[:at], *tags, song[at:]])


def _ts(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("ts", "aac", muxer="mpegts", video=True))
    path.write_bytes(song + (b"G\x1f\xff\x10" + bytes(184)) * (size // 188))


def _ps(path: Path, size: int) -> None:
    song = _sample(path.parent, Kind("mpg", "mp2", muxer="mpeg", video=True))
    padding = _repeated(size, 65_535, lambda n: b"\0\0\1\xbe" + n.to_bytes(2, "big"))
    _parts(path, [song, *padding])


def _tta(path: Path, size: int) -> None:
    samples = size // 4 * 46_080
    head = b"TTA1" + struct.pack("<HHHII", 1, 2, 16, 44100, min(samples, 2**31 - 1))
    _parts(path, [head + struct.pack("<I", zlib.crc32(head)), size, bytes(64)])


def _ape_file(path: Path, size: int) -> None:
    frames = size // 4
    head = b"MAC " + struct.pack("<HHIIIIIII", 3990, 0, 52, 24, size, 0, 1 << 16, 0, 0) + bytes(16)
    info = struct.pack("<HHIIIHHI", 2000, 0, 73728, 73728, frames, 16, 2, 44100)
    _parts(path, [head + info, size, bytes(1 << 16)])


def _dsf(path: Path, size: int) -> None:
    fmt = b"fmt " + struct.pack("<QIIIIIIQII", 52, 1, 0, 2, 2, 2822400, 1, 8192, 4096, 0)
    data = b"data" + struct.pack("<Q", 12 + 8192) + b"\x69" * 8192
    tag = _id3_picture(size)
    start = 28 + len(fmt) + len(data)
    head = b"DSD " + struct.pack("<QQQ", 28, start + size, start)
    _parts(path, [head, fmt, data, tag, size])


def _rm(path: Path, size: int) -> None:
    prop = b"PROP" + struct.pack(">IH", 50, 0) + bytes(28) + struct.pack(">IIHH", 10**6, 68, 1, 0)
    index = b"INDX" + struct.pack(">IHIHI", 20 + size, 0, size // 14, 0, 0)
    _parts(path, [b".RMF" + struct.pack(">IHII", 18, 0, 0, 3), prop, index, size])


def _voc(path: Path, size: int) -> None:
    texts = _repeated(size, (1 << 24) - 1, lambda n: b"\5" + n.to_bytes(3, "little"))
    _parts(path, [b"Creative Voice File\x1a\x1a\0\x0a\1\x29\x11", *texts, b"\1\x12\0\0\xa5\0", 16, b"\0"])


# -- hours of silence, and absurd numbers of channels


def _silent_flac(path: Path, seconds: int) -> None:
    """Frames of 65,535 equal samples at 4 kHz: 15 bytes for 16 seconds."""
    rate, block = 4000, 65_535
    info = (
        struct.pack(">HH", block, block) + bytes(6) + (rate << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)
    )
    frames = [b"fLaC\x80\0\0\x22" + info]
    for number in range(seconds * rate // block):
        head = b"\xff\xf8\x70\x08" + chr(number).encode() + struct.pack(">H", block - 1)
        frame = head + bytes([crc8.smbus(head)]) + b"\0\0\0"
        frames.append(frame + struct.pack(">H", crc16.umts(frame)))
    path.write_bytes(b"".join(frames))


def _page(serial: int, number: int, position: int, packets: list[bytes], flags: int = 0) -> bytes:
    head = b"OggS\0" + bytes([flags]) + struct.pack("<qIII", position, serial, number, 0)
    page = head + bytes([len(packets)]) + bytes(map(len, packets)) + b"".join(packets)
    return page[:22] + struct.pack("<I", ogg_checksum(page)) + page[26:]


def _silent_opus(path: Path, seconds: int) -> None:
    """Packets of two bytes that hold six empty frames, 0.12 s."""
    head = b"OpusHead\1\1\0\0" + struct.pack("<IhB", 48_000, 0, 0)
    tags = b"OpusTags" + struct.pack("<II", 0, 0)
    pages = [_page(1, 0, 0, [head], 2), _page(1, 1, 0, [tags])]
    count = round(seconds / 30.6)
    for number in range(count):
        last = 4 if number == count - 1 else 0
        pages.append(_page(1, 2 + number, (number + 1) * 255 * 5760, [b"\x0b\x06"] * 255, last))
    path.write_bytes(b"".join(pages))


def _late_opus(path: Path, seconds: int) -> None:
    """A second of sound whose last page claims to be hours later."""
    song = bytearray(_sample(path.parent, Kind("opus", "libopus", rate=48_000)))
    at = song.rindex(b"OggS")
    song[at + 6 : at + 14] = struct.pack("<q", seconds * 48_000)
    song[at + 22 : at + 26] = bytes(4)
    song[at + 22 : at + 26] = struct.pack("<I", ogg_checksum(bytes(song[at:])))
    path.write_bytes(song)


def _repeating_mp4(path: Path, seconds: int) -> None:
    """An edit list that plays the same two seconds again and again: 12 bytes for each."""
    song = bytearray(_sample(path.parent, Kind("m4a", "aac")))
    at = song.rindex(b"elst") - 4
    old = int.from_bytes(song[at : at + 4], "big")
    edits = struct.pack(">IiI", 2000, 0, 1 << 16) * (seconds // 2)
    elst = _box(b"elst", 8 + len(edits)) + struct.pack(">II", 0, seconds // 2) + edits
    for name in (b"moov", b"trak", b"edts"):
        parent = song.rindex(name) - 4
        length = int.from_bytes(song[parent : parent + 4], "big") + len(elst) - old
        song[parent : parent + 4] = struct.pack(">I", length)
    song[at : at + old] = elst
    path.write_bytes(song)


SILENCE: Final[dict[str, tuple[str, Write]]] = {
    "flac: hours of silence": ("flac", _silent_flac),
    "opus: hours of silence": ("opus", _silent_opus),
    "opus: a page hours later": ("opus", _late_opus),
    "mp4: hours of edits": ("m4a", _repeating_mp4),
}
"""Files of a few kB for each hour; the number given to them is of seconds."""


def _wav_channels(path: Path, channels: int) -> None:
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, channels, 44_100, 2**32 - 1, 65_534, 16)
    _parts(path, [b"RIFF" + struct.pack("<I", (1 << 20) + 36) + b"WAVE", fmt, b"data\0\0\x10\0", 1 << 20])


def _aiff_channels(path: Path, channels: int) -> None:
    comm = b"COMM" + struct.pack(">IHIH", 18, channels, 8, 16) + bytes.fromhex("400eac44000000000000")
    sound = b"SSND" + struct.pack(">III", (1 << 20) + 8, 0, 0)
    _parts(path, [b"FORM" + struct.pack(">I", (1 << 20) + 54) + b"AIFF", comm, sound, 1 << 20])


def _caf_channels(path: Path, channels: int) -> None:
    desc = b"desc" + struct.pack(">qd4sIIIII", 32, 44100.0, b"lpcm", 0, 2 * channels, 1, channels, 16)
    _parts(path, [b"caff\0\1\0\0", desc, b"data" + struct.pack(">qI", (1 << 20) + 4, 0), 1 << 20])


def _au_channels(path: Path, channels: int) -> None:
    _parts(path, [b".snd" + struct.pack(">IIIII", 24, 1 << 20, 3, 44100, channels), 1 << 20])


def _mp4_channels(path: Path, channels: int) -> None:
    song = bytearray(_sample(path.parent, Kind("mov", "pcm_s16le")))
    at = song.rindex(b"sowt") + 20
    song[at : at + 2] = struct.pack(">H", channels)
    path.write_bytes(song)


CHANNELS: Final[dict[str, tuple[str, Write]]] = {
    "wav: 65,535 channels": ("wav", _wav_channels),
    "aiff: 65,535 channels": ("aiff", _aiff_channels),
    "caf: 65,535 channels": ("caf", _caf_channels),
    "au: 65,535 channels": ("au", _au_channels),
    "mov: 65,535 channels": ("mov", _mp4_channels),
}
"""Files whose number of channels is given to them."""

METADATA: Final[dict[str, tuple[str, Write]]] = {
    "mp3: an ID3v2 tag": ("mp3", _mp3_with_tags(lambda n: [_id3_picture(n), n - 10])),
    "mp3: four ID3v2 tags": ("mp3", _mp3_with_tags(*[lambda n: [_id3_picture(n), n - 10]] * 4)),
    "mp3: an APE tag behind": ("mp3", _behind(Kind("mp3", "libmp3lame"), _ape)),
    "mp3: an ID3v2 tag behind": ("mp3", _behind(Kind("mp3", "libmp3lame"), _id3)),
    "mp2: an ID3v2 tag behind": ("mp2", _behind(Kind("mp2", "mp2"), _id3)),
    "aac: an ID3v2 tag behind": ("aac", _behind(Kind("aac", "aac", muxer="adts"), _id3)),
    "ac3: an APE tag behind": ("ac3", _behind(Kind("ac3", "ac3"), _ape)),
    "flac: an ID3v2 tag behind": ("flac", _behind(Kind("flac", "flac"), _id3)),
    "wv: an APE tag behind": ("wv", _behind(Kind("wv", "wavpack"), _ape)),
    "flac behind an ID3v2 tag: pictures": ("flac", _flac_behind_id3),
    "flac: pictures": ("flac", _flac(6)),
    "flac: comments": ("flac", _flac(4)),
    "flac: padding": ("flac", _flac(1)),
    "wav: texts": ("wav", _wav(b"LIST", form=b"INFOINAM" + struct.pack("<I", 220 << 20))),
    "wav: texts behind the sound": ("wav", _wav(b"LIST", behind=True, form=b"INFO")),
    "wav: an ID3v2 tag": ("wav", _wav(b"id3 ")),
    "wav: JUNK": ("wav", _wav(b"JUNK")),
    "w64: texts": ("w64", _w64),
    "aiff: an annotation": ("aiff", _aiff),
    "caf: texts": ("caf", _caf(b"info")),
    "caf: a packet table behind the sound": ("caf", _caf(b"pakt", behind=True)),
    "caf: free space": ("caf", _caf(b"free")),
    "au: an annotation": ("au", _au),
    "avi: texts": ("avi", _avi("INFO")),
    "avi: JUNK": ("avi", _avi("JUNK")),
    "avi: an index": ("avi", _avi("idx1")),
    "mp4: a cover": ("m4a", _mp4_moov(_cover)),
    "mp4: a cover in an index without a length": ("m4a", _mp4_to_the_end),
    "mp4: free space in the index": ("m4a", _mp4_moov(lambda n: [_box(b"free", n), n])),
    "mp4: free": ("m4a", _mp4(b"free")),
    "mp4: uuid": ("m4a", _mp4(b"uuid")),
    "mp4: meta": ("m4a", _mp4(b"meta", b"ilst")),
    "mp4: empty boxes": ("m4a", _mp4_empty_boxes),
    "mp4: a compressed index": ("mov", _mp4_bomb),
    "mp4: an index of four billion samples": ("m4a", _mp4_index(2**32 - 1)),
    "mp4: an index of ten million samples": ("m4a", _mp4_index(10**7)),
    "mkv: attachments": ("mkv", _mkv("1941a469", "61a7", "465c")),
    "mkv: tags": ("mkv", _mkv("1254c367", "7373", "67c8", "4487")),
    "mkv: small tags": ("mkv", _mkv_tags),
    "mkv: cues": ("mkv", _mkv("1c53bb6b", "bb")),
    "mkv: tags behind the sound": ("mkv", _mkv("1254c367", "7373", "67c8", "4487", behind=True)),
    "mkv: one void": ("mkv", _mkv("ec")),
    "mkv: voids of two bytes": ("mkv", _mkv_voids),
    "mkv: one block": ("mkv", _mkv_block),
    "ogg: a comment": ("opus", _ogg(1)),
    "ogg: a packet of audio": ("opus", _ogg(3)),
    "asf: metadata": ("wma", _asf),
    "flv: scripts": ("flv", _flv),
    "ts: empty packets": ("ts", _ts),
    "ps: padding": ("mpg", _ps),
    "tta: a seek table": ("tta", _tta),
    "ape: a seek table": ("ape", _ape_file),
    "dsf: an ID3v2 tag": ("dsf", _dsf),
    "rm: an index": ("rm", _rm),
    "voc: texts": ("voc", _voc),
}
"""What is large in a file, with its suffix."""
