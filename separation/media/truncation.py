"""Tells a cut file from a whole one by its structure alone: some part reaches beyond the last byte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_OGG_PAGE_MAX = 27 + 255 + 255 * 255
_TS_PACKET = 188


def is_truncated(path: Path) -> bool:
    """Say whether the file's own structure, where its kind is known here, reaches beyond its last byte."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(2 * _TS_PACKET)
        check = _check(head)
        if check is None:
            return False
        file.seek(0)
        return check(file, size)


def _check(head: bytes) -> Callable[[BinaryIO, int], bool] | None:
    if head[:4] in {b"RIFF", b"RF64", b"BW64"}:
        return _avi_is_truncated if head[8:12] == b"AVI " else _wav_is_truncated
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide"}:
        return _mov_is_truncated
    if head[:1] == b"G" and head[_TS_PACKET : _TS_PACKET + 1] == b"G":
        return _ts_is_truncated
    return {
        b"caff": _caf_is_truncated,
        b"OggS": _ogg_is_truncated,
        b"\x1aE\xdf\xa3": _matroska_is_truncated,
    }.get(head[:4])


def _wav_is_truncated(file: BinaryIO, size: int) -> bool:
    long_form = file.read(12)[:4] in {b"RF64", b"BW64"}
    long_size = 0
    while len(header := file.read(8)) == 8:
        name, length = header[:4], int.from_bytes(header[4:], "little")
        start = file.tell()
        if name == b"data":
            if long_form and length == 0xFFFFFFFF:
                return start + long_size > size
            return not _is_placeholder(length) and start + length > size
        if name == b"ds64":
            long_size = int.from_bytes(file.read(16)[8:], "little")
        file.seek(start + length + length % 2)
    return False


def _is_placeholder(length: int) -> bool:
    """Say whether a writer that could not seek back left this size; its file is as long as it is."""
    return length == 0 or 0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFFF00


def _avi_is_truncated(file: BinaryIO, size: int) -> bool:
    length = int.from_bytes(file.read(8)[4:], "little")
    return not _is_placeholder(length) and length + 8 > size


def _caf_is_truncated(file: BinaryIO, size: int) -> bool:
    file.seek(8)
    while len(header := file.read(12)) == 12:
        length = int.from_bytes(header[4:], "big", signed=True)
        if header[:4] == b"data":
            return length > 0 and file.tell() + length > size
        if length < 0:
            return False
        if length > size:
            return True
        file.seek(length, 1)
    return False


def ogg_last_sample(path: Path) -> int | None:
    """Return the position, in samples, that the last page of a single Ogg stream declares as its end."""
    with path.open("rb") as file:
        serial = file.read(18)[14:]
        page = _last_ogg_page(file, path.stat().st_size)
    position = int.from_bytes(page[6:14], "little", signed=True)
    return position if len(page) > 27 and page[14:18] == serial and position > 0 else None


def _last_ogg_page(file: BinaryIO, size: int) -> bytes:
    """Return the last page and whatever follows it."""
    file.seek(max(0, size - 2 * _OGG_PAGE_MAX))
    tail = file.read()
    at = tail.rfind(b"OggS\0")
    return tail[at:] if at >= 0 else b""


def _ogg_is_truncated(file: BinaryIO, size: int) -> bool:
    page = _last_ogg_page(file, size)
    if len(page) < 27:
        return bool(page)
    segments = page[27 : 27 + page[26]]
    return len(segments) < page[26] or 27 + len(segments) + sum(segments) > len(page)


def _mov_is_truncated(file: BinaryIO, size: int) -> bool:
    at = 0
    while at < size:
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return True
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        if length == 0:  # the last box, which ends with the file
            return False
        if length < 8:
            return False
        at += length
    return at > size


def _ts_is_truncated(_file: BinaryIO, size: int) -> bool:
    return size % _TS_PACKET != 0


def _matroska_is_truncated(file: BinaryIO, size: int) -> bool:
    file.seek(4)
    header_size = _vint(file)
    if header_size is None:
        return False
    if header_size > size:
        return True
    file.seek(header_size, 1)
    if file.read(4) != b"\x18S\x80g":
        return False
    segment = _vint(file)
    return segment is not None and file.tell() + segment > size


def _vint(file: BinaryIO) -> int | None:
    """Read an EBML size; None where it is unknown or no size at all."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    more = 8 - first[0].bit_length()
    value = int.from_bytes(first + file.read(more), "big") & (1 << 7 * (more + 1)) - 1
    return None if value == (1 << 7 * (more + 1)) - 1 else value
