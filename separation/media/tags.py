"""Tags of recordings: which of them a stem keeps, and how many bytes they take in a file."""

from __future__ import annotations

from collections.abc import Mapping

#: The tags that are kept, by FFmpeg's names, with their ID3v2.4 frames. Anything else (encoder names, brands,
#: pictures, lyrics) is left out.
KEPT = {
    "title": b"TIT2", "artist": b"TPE1", "album": b"TALB", "album_artist": b"TPE2", "composer": b"TCOM",
    "genre": b"TCON", "date": b"TDRC", "track": b"TRCK", "disc": b"TPOS", "comment": b"COMM",
    "copyright": b"TCOP", "publisher": b"TPUB", "language": b"TLAN",
}  # fmt: skip
#: Longest value that is kept, in characters.
MAX_LENGTH = 1000

#: Bytes that say how long a tag is.
TAG_HEAD_BYTES = 32

_UTF8 = b"\x03"
_NO_LANGUAGE_NO_DESCRIPTION = b"und\x00"


def kept_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that are kept, names in lower case, values without control characters."""
    lowered = {name.lower(): value for name, value in tags.items()}
    kept = {}
    for name in KEPT:
        value = "".join(letter for letter in lowered.get(name, "") if letter.isprintable()).strip()
        if value:
            kept[name] = value[:MAX_LENGTH]
    return kept


def id3v2(tags: Mapping[str, str]) -> bytes:
    """Return an ID3v2.4 tag that holds the kept `tags`; nothing where there are none: it may not be empty."""
    frames = b""
    for name, value in tags.items():
        prefix = _UTF8 + _NO_LANGUAGE_NO_DESCRIPTION if name == "comment" else _UTF8
        frames += _frame(KEPT[name], prefix + value.encode())
    return b"ID3\x04\x00\x00" + _synchsafe(len(frames)) + frames if frames else b""


def tag_bytes(data: bytes) -> int:
    """Return the bytes that an ID3v2, ID3v1 or APE tag at the start of `data` takes; 0 without one.

    The tag may be longer than `data`.
    """
    if data[:3] == b"ID3" and len(data) >= 10 and max(data[6:10]) < 0x80:
        return 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]) + (10 if data[5] & 0x10 else 0)
    if data[:3] == b"TAG":
        return 128
    if data[:8] == b"APETAGEX" and len(data) >= TAG_HEAD_BYTES:
        return 32 + int.from_bytes(data[12:16], "little")
    return 0


def _frame(name: bytes, body: bytes) -> bytes:
    return name + _synchsafe(len(body)) + b"\x00\x00" + body


def _synchsafe(size: int) -> bytes:
    """Return a size in four bytes of seven bits, as version 2.4 has them."""
    return bytes((size >> shift) & 0x7F for shift in (21, 14, 7, 0))
