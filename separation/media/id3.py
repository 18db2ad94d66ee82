"""Tags of mp3 files: the ID3v2.4 tag that is written, and the length of any tag that is met."""

from __future__ import annotations

from collections.abc import Mapping

_FRAMES = {
    "title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "album_artist": b"TPE2", "composer": b"TCOM",
    "genre": b"TCON", "date": b"TDRC", "track": b"TRCK", "disc": b"TPOS", "copyright": b"TCOP",
    "publisher": b"TPUB", "language": b"TLAN",
}  # fmt: skip
_UTF8 = b"\x03"


def id3v2(tags: Mapping[str, str]) -> bytes:
    """Return the tag, or nothing where there is nothing to say."""
    frames = b""
    for name, value in tags.items():
        if name == "comment":
            frames += _frame(b"COMM", _UTF8 + b"und\x00" + value.encode())
        elif name in _FRAMES:
            frames += _frame(_FRAMES[name], _UTF8 + value.encode())
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames if frames else b""


def tag_bytes(data: bytes) -> int:
    """Return the bytes that an ID3v2, ID3v1 or APE tag at the start of ``data`` takes; 0 without one.

    The tag may be longer than ``data``.
    """
    if data[:3] == b"ID3" and len(data) >= 10 and max(data[6:10]) < 0x80:
        return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) + (10 if data[5] & 0x10 else 0)
    if data[:3] == b"TAG":
        return 128
    if data[:8] == b"APETAGEX" and len(data) >= 32:
        return 32 + int.from_bytes(data[12:16], "little")
    return 0


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
