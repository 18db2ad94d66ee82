"""One module per container: how it is recognised, and what its framing says.

FFmpeg opens truncated and damaged files as if they were whole, so their structure is read here as well. To
support another container, write a module with `matches` and `read` and add it to the list.
"""

from __future__ import annotations

import io
from dataclasses import replace
from typing import BinaryIO, Protocol

from stemline.separation.media.containers import (
    aiff,
    asf,
    au,
    caf,
    dff,
    dsf,
    flac,
    flv,
    matroska,
    mov,
    mpeg_audio,
    mpeg_ps,
    mpegts,
    ogg,
    realmedia,
    riff,
    tta,
    voc,
    wave64,
    wavpack,
)
from stemline.separation.media.containers.structure import (
    EXCESS_BYTES,
    METADATA_MAX_BYTES,
    PART_BYTES,
    Structure,
)
from stemline.separation.media.span import Span
from stemline.separation.media.tags import tag_bytes

__all__ = ["EXCESS_BYTES", "HEAD_BYTES", "MAX_LINKS", "METADATA_MAX_BYTES", "Structure", "read_structure"]

#: Files that may be appended to the first one, or links of a chained Ogg file.
MAX_LINKS = 1000

#: Bytes from the start of a file by which its container is recognised.
HEAD_BYTES = 2 * mpegts.PACKET_BYTES


class _Container(Protocol):
    """What each module of this package offers."""

    def matches(self, head: bytes, /) -> bool:
        """Return whether a file that begins with `head` is of this kind."""

    def read(self, file: BinaryIO, size: int, /) -> Structure:
        """Follow the parts of a file of this kind, from its start; `size` is its length in bytes."""


#: Asked in this order. The last one has no signature and matches every file.
_CONTAINERS: tuple[_Container, ...] = (
    riff,
    mov,
    mpegts,
    caf,
    ogg,
    matroska,
    flac,
    aiff,
    asf,
    au,
    flv,
    wave64,
    dsf,
    dff,
    realmedia,
    tta,
    voc,
    wavpack,
    mpeg_ps,
    mpeg_audio,
)


def read_structure(file: BinaryIO, head: bytes, size: int) -> Structure:
    """Follow the parts of a file once, from its start to its end, and of those that were appended to it.

    Args:
        file: The opened file.
        head: Its first `HEAD_BYTES`, or all of it.
        size: Its length in bytes.
    """
    start, metadata = _leading_tags(file, head, size)
    if start:
        rest = io.BufferedReader(Span(file, start, size, closes=False))
        head = rest.read(HEAD_BYTES)
        found = _with_links(rest, head, size - start).behind(start)
        return replace(
            found,
            metadata_bytes=found.metadata_bytes - start + metadata,
            foreign_bytes=0 if _container(head) is mpeg_audio else start,
        )
    return _with_links(file, head, size)


def _with_links(file: BinaryIO, head: bytes, size: int) -> Structure:
    """Read a file, and find where others of its kind follow; nothing else of them is kept."""
    first = part = _read(file, head, size)
    starts: list[int] = []
    start = 0
    while part.next_file and len(starts) <= MAX_LINKS:
        start += part.next_file
        starts.append(start)
        rest = io.BufferedReader(Span(file, start, size, closes=False))
        part = _read(rest, rest.read(HEAD_BYTES), size - start)
    return replace(first, links=(*first.links, *starts))


def _read(file: BinaryIO, head: bytes, size: int) -> Structure:
    file.seek(0)
    container = _container(head)
    found = container.read(file, size)
    if found.next_file is not None or found.end is None or found.end >= size:
        return found
    # Tags may stand between two files.
    at = found.end
    file.seek(at)
    head = file.read(HEAD_BYTES)
    while at - found.end < METADATA_MAX_BYTES and (length := tag_bytes(head)):
        at += max(length, 1)
        file.seek(at)
        head = file.read(HEAD_BYTES)
    follows = container is not mpeg_audio and container.matches(head) and 0 < at < size
    return replace(found, next_file=at) if follows else found


def _container(head: bytes) -> _Container:
    return next(container for container in _CONTAINERS if container.matches(head))


def _leading_tags(file: BinaryIO, head: bytes, size: int) -> tuple[int, int]:
    """Return the length of the ID3v2 tags before a file of any kind, which FFmpeg reads before all else.

    The second number is what they count as metadata.
    """
    start = metadata = 0
    while (
        head[:3] == b"ID3" and start < size and metadata <= METADATA_MAX_BYTES and (length := tag_bytes(head))
    ):
        start += length
        metadata += max(length, PART_BYTES)
        file.seek(start)
        head = file.read(HEAD_BYTES)
    return min(start, size), metadata
