"""Mp3 and aac files that were concatenated, or carry tags between and behind their frames."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from av.audio.stream import AudioStream
from av.packet import Packet

from stemline.separation.errors import DamagedMedia
from stemline.separation.media.id3 import tag_bytes

# Where an encoder's header frame says what it is: within 40 bytes.
_HEADER_FRAME = (b"Info", b"Xing")


def strip_tags(packets: Iterator[Packet[AudioStream]]) -> Iterator[Packet[AudioStream]]:
    """Pass packets on, less the tags between and behind songs and the header frame that follows a tag.

    Neither is music, and a decoder would call both damage.
    """
    tag_end = 0
    for packet in packets:
        data = bytes(packet)
        if packet.pos is None or not data:
            yield packet
            continue
        tag_end = max(tag_end, packet.pos)
        while tag_end < packet.pos + len(data) and (length := tag_bytes(data[tag_end - packet.pos :])):
            tag_end += length
        rest = data[tag_end - packet.pos :]
        if len(rest) == len(data):
            yield packet
        elif rest and not any(mark in rest[:40] for mark in _HEADER_FRAME):
            music = cast("Packet[AudioStream]", Packet(rest))
            music.pts, music.dts, music.time_base = packet.pts, packet.dts, packet.time_base
            yield music


def reject_gaps(packets: Iterator[Packet[AudioStream]], path: Path) -> Iterator[Packet[AudioStream]]:
    """Pass the packets of a raw stream on, as long as nothing but tags lies between them in the file.

    Raises:
        DamagedMedia: the demuxer passed over something else to find the next frame.
    """
    end: int | None = None
    for packet in packets:
        if packet.size and packet.pos is not None:
            if end is not None and packet.pos > end and not _is_tag(path, end, packet.pos):
                raise DamagedMedia(f"the source is damaged: {packet.pos - end} bytes at {end} are no frame")
            end = packet.pos + packet.size
        yield packet


def _is_tag(path: Path, start: int, end: int) -> bool:
    with path.open("rb") as file:
        while start < end:
            file.seek(start)
            length = tag_bytes(file.read(32))
            if not length:
                return False
            start += length
    return start == end
