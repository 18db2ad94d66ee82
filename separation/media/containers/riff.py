"""RIFF, RF64 and BW64: wav and avi."""

from __future__ import annotations

import struct
from functools import partial
from typing import BinaryIO

from stemline.separation.media.containers import wave_format
from stemline.separation.media.containers.stored_samples import StoredSamples, corrected, of_streams
from stemline.separation.media.containers.structure import (
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
    without_excess,
)

#: Forms of more than 4 GiB, whose sizes are in a chunk of their own (EBU Tech 3306, ITU-R BS.2088).
_LONG_FORMS = (b"RF64", b"BW64")
#: Chunks that FFmpeg does not read into memory.
_NOT_KEPT = (b"data", b"JUNK", b"junk", b"PAD ", b"FLLR", b"bext")
_IN_DS64 = 0xFFFFFFFF
#: Lengths of the data and of the samples in that chunk; from `_UNKNOWN` on they are none.
_DS64_LENGTHS = struct.Struct("<QQ")
_UNKNOWN = 1 << 62
#: How an avi goes on above 1 GiB.
_NEXT_FORM = b"AVIX"
#: An entry of the index of an avi: name of the chunk, and its length behind flags and position.
_INDEX_ENTRY = struct.Struct("<4s8xI")
_INDEX_BLOCK_BYTES = 1 << 20
#: Most bytes of the headers of an avi's streams that are looked at.
_HEADERS_MAX_BYTES = 1 << 20


def matches(head: bytes) -> bool:
    """Return whether the file is a RIFF form."""
    return head[:4] in (b"RIFF", *_LONG_FORMS) and head[8:12] != _NEXT_FORM


def read(file: BinaryIO, size: int) -> Structure:
    """Find the end of a wav's `data` chunk, or of an avi's outermost chunk."""
    form = file.read(12)
    if form[8:] == b"AVI ":
        length = int.from_bytes(form[4:8], "little")
        end = None if _is_placeholder(length) else 8 + length
        metadata, index, next_file = _avi_metadata(file, size)
        empty, stream_bytes = _chunks(file, *index) if metadata <= METADATA_MAX_BYTES else ({}, {})
        # Each is kept in memory.
        return Structure(
            size,
            end=end,
            lacks_lengths=end is None,
            metadata_bytes=metadata + PART_BYTES * len(empty),
            empty_chunks=empty,
            stream_bytes=stream_bytes,
            next_file=next_file,
            samples=of_streams(enumerate(_avi_samples(file))),
        )
    start, end, lengths = _data(file, size, is_long=form[:4] in _LONG_FORMS)
    metadata, next_file, others = _metadata_bytes(file, size, end)
    samples = of_streams(enumerate(_samples(file, 12, start, start)))
    return Structure(
        size,
        end=without_excess(end, size),
        metadata_bytes=metadata,
        next_file=next_file,
        stream_bytes={} if end is None else {0: end - start},
        samples=corrected(samples, lengths | dict.fromkeys(others, b"JUNK")),
    )


def _samples(file: BinaryIO, at: int, end: int, sound_at: int | None = None) -> list[StoredSamples]:
    """Return how samples are stored, by each description between two positions.

    Those of an avi's streams are in a list for each, of video and text as well.
    """
    found: list[StoredSamples] = []
    kind = b"auds"
    while at + 8 <= end:
        file.seek(at)
        header = file.read(8 + wave_format.FORMAT_BYTES)
        name, length = header[:4], int.from_bytes(header[4:8], "little")
        if len(header) < 8:
            break
        if name == b"LIST" and header[8:12] == b"strl":
            found += _samples(file, at + 12, min(at + 8 + length, end))[:1] or [StoredSamples()]
        elif name == b"strh":
            kind = header[8:12]
        elif name in (b"fmt ", b"strf") and kind == b"auds":
            sound = bytes if sound_at is None else partial(wave_format.first_sound, file, sound_at)
            found.append(wave_format.stored_samples(header[8:][:length], at + 8, sound))
        at += 8 + length + length % 2
    return found


def _avi_samples(file: BinaryIO) -> list[StoredSamples]:
    """Return how the samples of an avi's streams are stored."""
    file.seek(12)
    header = file.read(12)
    if header[:4] != b"LIST" or header[8:] != b"hdrl":
        return []
    return _samples(file, 24, min(20 + int.from_bytes(header[4:8], "little"), _HEADERS_MAX_BYTES))


def _data(file: BinaryIO, size: int, *, is_long: bool) -> tuple[int, int | None, dict[int, bytes]]:
    """Return where the sound starts, where it ends if the file says so, and the length to show FFmpeg if not.

    FFmpeg takes a length that a writer of RF64 did not fill in for true.
    """
    long_length = long_length_at = 0
    while len(header := file.read(8)) == 8:
        name, length = header[:4], int.from_bytes(header[4:], "little")
        start = file.tell()
        if name == b"data":
            if is_long and length == _IN_DS64 and 0 < long_length < _UNKNOWN:
                return start, start + long_length, {}
            if is_long and length == _IN_DS64 and long_length_at:
                return start, None, {long_length_at: _DS64_LENGTHS.pack(max(size - start, 0), 0)}
            return start, None if _is_placeholder(length) else start + length, {}
        if name == b"ds64":
            long_length_at = start + 8
            long_length = int.from_bytes(file.read(16)[8:], "little")
        file.seek(start + length + length % 2)
    return 0, None, {}


def _metadata_bytes(file: BinaryIO, size: int, end: int | None) -> tuple[int, int | None, list[int]]:
    """Add up the chunks that are no sound, up to one whose length says nothing, or to another file.

    Args:
        file: The wav.
        size: Its length in bytes.
        end: Of the first chunk of sound, where known.

    Returns:
        Their bytes, where another file starts, and where further chunks of sound do: the format has one, and
        players read the first, but FFmpeg the last.
    """
    total = 0
    sound: list[int] = []
    file.seek(12)
    while total <= METADATA_MAX_BYTES and len(header := file.read(8)) == 8:
        name, length = header[:4], int.from_bytes(header[4:], "little")
        if name in (b"RIFF", *_LONG_FORMS):
            return total, file.tell() - 8, sound[1:]
        if name == b"data":
            sound.append(file.tell() - 8)
            if _is_placeholder(length) and (end is None or len(sound) > 1):
                break
            length = end - file.tell() if end is not None and len(sound) == 1 else length
        total += PART_BYTES + (0 if name in _NOT_KEPT else min(length, size - file.tell()))
        file.seek(length + length % 2, 1)
    return total, None, sound[1:]


def _avi_metadata(file: BinaryIO, size: int) -> tuple[int, tuple[int, int], int | None]:
    """Add up the headers, texts and indexes of all forms of an avi: its first, and those above 1 GiB.

    Returns:
        Their bytes, start and length of the first form's index, and where another file starts.
    """
    total = 0
    index = (0, 0)
    header_bytes = 12
    file.seek(0)
    while total <= METADATA_MAX_BYTES and len(header := file.read(12)) == 12:
        name, length, form = header[:4], int.from_bytes(header[4:8], "little"), header[8:]
        total += PART_BYTES
        if name == b"RIFF":
            if form != _NEXT_FORM and file.tell() > header_bytes:
                return total, index, file.tell() - header_bytes
            continue
        if name not in _NOT_KEPT and form != b"movi":
            total += min(length, size - file.tell())
        if name == b"idx1":
            index = (file.tell() - 4, length)
        file.seek(length + length % 2 - 4, 1)
    return total, index, None


def _chunks(file: BinaryIO, start: int, length: int) -> tuple[dict[tuple[int, int], int], dict[int, int]]:
    """Read the index of an avi.

    Returns:
        How many chunks of sound without content stand before which chunk of their stream, and the bytes of
        all chunks of each stream of sound.
    """
    empty: dict[tuple[int, int], int] = {}
    lengths: dict[int, int] = {}
    counts: dict[int, int] = {}
    file.seek(start)
    while length >= _INDEX_ENTRY.size and (block := file.read(min(length, _INDEX_BLOCK_BYTES))):
        whole = len(block) // _INDEX_ENTRY.size * _INDEX_ENTRY.size
        for name, size in _INDEX_ENTRY.iter_unpack(block[:whole]):
            if name[2:] != b"wb" or not name[:2].isdigit():
                continue
            stream = int(name[:2])
            number = counts.get(stream, 0)
            lengths[stream] = lengths.get(stream, 0) + size
            if size:
                counts[stream] = number + 1
            else:
                empty[stream, number] = empty.get((stream, number), 0) + 1
        length -= len(block)
    return empty, lengths


def _is_placeholder(length: int) -> bool:
    """Return whether a writer that could not seek back left this length, so that it says nothing."""
    return length == 0 or 0x7FFFF000 <= length <= 0x80000000 or length >= 0xFFFFFF00
