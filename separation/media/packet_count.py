"""Counts the packets of a stream in advance, where its headers promise neither bitrate nor duration."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Discard, Stream

from stemline.separation.media.container import demuxed, open_container

#: Most packets that are counted: 19 minutes of AAC, whose average is that of an hour.
MAX_PACKETS = 50_000
#: How much longer than the sum of durations a stream may be because of rounding.
_MAX_ROUNDED = 1.06
#: Where to read a source, or a link of it, once more.
Opener = Callable[[], Path | BinaryIO]


@dataclass(frozen=True, slots=True)
class PacketCount:
    """What the packets of a stream add up to.

    Attributes:
        seconds: How long they last; 0 where they do not say it.
        bitrate_kbps: Their average; None where they do not say how long they last.
        is_whole: Whether these are all packets.
    """

    seconds: float
    bitrate_kbps: int | None
    is_whole: bool


def count_packets(opener: Opener, demuxer: str, index: int) -> PacketCount:
    """Add up the packets of a stream; damage is passed over, and reported when the source is read.

    Args:
        opener: Returns the source.
        demuxer: FFmpeg's name of the demuxer that reads it.
        index: The stream's.
    """
    number = size = ticks = silent = 0
    base = decoded_s = 0.0
    starts: list[int] = []
    for packet in stream_packets(opener, demuxer, index):
        number += 1
        size += packet.size
        base = float(packet.time_base or 0)
        if packet.duration:
            ticks += packet.duration
        else:
            silent += 1
            decoded_s += _decoded_s(packet)
        if packet.pts is not None:
            starts = [starts[0] if starts else packet.pts, packet.pts]
        if number >= MAX_PACKETS:
            break
    seconds = ticks * base + decoded_s
    if starts and number > 1 and not decoded_s:
        # Containers that count milliseconds cut a part off the duration of each packet.
        span = (starts[1] - starts[0]) * base * number / (number - 1)
        seconds = span if seconds < span < _MAX_ROUNDED * seconds else seconds
    kbps = max(1, round(size * 8 / seconds / 1000)) if seconds > 0 else None
    return PacketCount(seconds, kbps, number < MAX_PACKETS)


def _decoded_s(packet: Packet[Stream]) -> float:
    """Return how long a packet lasts whose container does not say it, seconds."""
    try:
        frames = [frame for frame in packet.decode() if isinstance(frame, AudioFrame)]
    except av.FFmpegError:
        return 0.0
    return sum(frame.samples / frame.sample_rate for frame in frames if frame.sample_rate)


def stream_packets(opener: Opener, demuxer: str, index: int) -> Iterator[Packet[Stream]]:
    """Yield the packets of a stream that can be read, without the empty ones."""
    source = opener()
    try:
        with open_container(source, demuxer) as container:
            for other in container.streams:
                if other.index != index:
                    other.discard = Discard.all
            with suppress(av.FFmpegError):
                for packet in demuxed(container, container.streams[index]):
                    if packet.size:
                        yield packet
    finally:
        if not isinstance(source, Path):
            source.close()
