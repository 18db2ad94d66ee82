"""The ID3v2.4 tag of an mp3 file."""

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


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
