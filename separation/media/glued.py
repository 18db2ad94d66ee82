"""Mp3 files that were glued together, or carry tags behind their last frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from av.audio.stream import AudioStream
from av.packet import Packet

from separation.media.id3 import tag_bytes

# Where an encoder's header frame says what it is: within 40 bytes.
_HEADER_FRAME = (b"Info", b"Xing")


def without_tags(packets: Iterator[Packet[AudioStream]]) -> Iterator[Packet[AudioStream]]:
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
