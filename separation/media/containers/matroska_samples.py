"""How PCM samples are stored in Matroska, where a track has the description of a wav (`A_MS/ACM`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, Final

from stemline.separation.media.containers import wave_format
from stemline.separation.media.containers.ebml import element
from stemline.separation.media.containers.stored_samples import StoredSamples, StreamsSamples, of_streams

_TRACKS: Final = 0x1654AE6B
_CLUSTER: Final = 0x1F43B675
_TRACK: Final = 0xAE
_TYPE, _CODEC, _PRIVATE = 0x83, 0x86, 0x63A2
_ACM: Final = b"A_MS/ACM"
#: Types of tracks of which FFmpeg makes streams: video, audio, subtitles, metadata.
_STREAMS: Final = frozenset({1, 2, 17, 33})
#: Most elements of a level that are looked at.
_MOST: Final = 4096


def stored_samples(file: BinaryIO, end: int) -> StreamsSamples:
    """Return how the samples of each track are stored; the file is at the first element of its segment."""
    for name, start, length in _elements(file, end):
        if name == _CLUSTER:
            break
        if name == _TRACKS:
            file.seek(start)
            tracks = [each for each in _elements(file, start + length) if each[0] == _TRACK]
            found = (_track(file, at, at + size) for _, at, size in tracks)
            return of_streams(enumerate(one for one in found if one is not None))
    return StreamsSamples()


def _track(file: BinaryIO, start: int, end: int) -> StoredSamples | None:
    """Return how a track's samples are stored; None where it is no stream."""
    file.seek(start)
    parts = {name: (at, length) for name, at, length in _elements(file, end)}
    if int.from_bytes(_read(file, parts.get(_TYPE)), "big") not in _STREAMS:
        return None
    if _read(file, parts.get(_CODEC)).rstrip(b"\0") != _ACM or _PRIVATE not in parts:
        return StoredSamples()
    return wave_format.stored_samples(_read(file, parts[_PRIVATE]), parts[_PRIVATE][0])


def _read(file: BinaryIO, part: tuple[int, int] | None) -> bytes:
    """Return the beginning of an element's content, as much of it as a description has."""
    if part is None:
        return b""
    file.seek(part[0])
    return file.read(min(part[1], wave_format.FORMAT_BYTES))


def _elements(file: BinaryIO, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield name, position and length of the contents of elements up to `end`, or to one without a length."""
    for _ in range(_MOST):
        if file.tell() >= end:
            return
        name, length = element(file)
        start = file.tell()
        if name is None or length is None or start + length > end:
            return
        yield name, start, length
        file.seek(start + length)
