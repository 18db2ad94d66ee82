"""One module per container: how it is recognised, and what its framing says.

FFmpeg opens truncated and damaged files as if they were whole, so their structure is read here as well. To
support another container, write a module with `matches` and `read` and add it to the list.
"""

from __future__ import annotations

from typing import BinaryIO, Protocol

from stemline.separation.media.containers import (
    aiff,
    asf,
    au,
    caf,
    flac,
    matroska,
    mov,
    mpeg_audio,
    mpegts,
    ogg,
    riff,
)
from stemline.separation.media.containers.structure import EXCESS_BYTES, METADATA_MAX_BYTES, Structure

__all__ = ["EXCESS_BYTES", "HEAD_BYTES", "METADATA_MAX_BYTES", "Structure", "read_structure"]

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
    mpeg_audio,
)


def read_structure(file: BinaryIO, head: bytes, size: int) -> Structure:
    """Follow the parts of a file once, from its start to its end.

    Args:
        file: The opened file.
        head: Its first `HEAD_BYTES`, or all of it.
        size: Its length in bytes.
    """
    container = next(container for container in _CONTAINERS if container.matches(head))
    file.seek(0)
    return container.read(file, size)
