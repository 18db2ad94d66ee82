"""Demuxes the packets of one audio stream, without the tags that lie between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard

from stemline.separation.errors import DamagedMedia, TruncatedMedia, UndecodableMedia
from stemline.separation.media.checks import DecodeState
from stemline.separation.media.probe import Probe
from stemline.separation.media.tags import tag_bytes

#: An encoder's header frame has one of these within its first 40 bytes.
_HEADER_MARKS = (b"Info", b"Xing")
_HEADER_MARK_BYTES = 40


def read_packets(probe: Probe, state: DecodeState) -> Iterator[Packet[AudioStream]]:
    """Yield the packets of the probed stream, the empty one that ends it included.

    Raises:
        DamagedMedia: In a stream of raw aac something else than tags lies between two frames.
        TruncatedMedia: FFmpeg cannot read on.
        UndecodableMedia: FFmpeg cannot read on, and nothing was decoded.
    """
    packets = _demuxed(probe, state)
    if probe.demuxer.name == "mp3":
        return _strip_tags(packets)
    if probe.demuxer.name == "aac":
        return _reject_gaps(packets, probe.file)
    return packets


def _demuxed(probe: Probe, state: DecodeState) -> Iterator[Packet[AudioStream]]:
    """Yield the packets as they are, and keep account of how far they reach."""
    if probe.declared is None or probe.declared.of != "streams":
        for other in probe.container.streams:
            if other.index != probe.stream.index:
                other.discard = Discard.all
    reached_s = state.reached_s
    try:
        for packet in probe.container.demux():
            # Not `stream_index`, which is 0 in the empty packet that ends a stream, whatever the stream.
            is_ours = packet.stream.index == probe.stream.index
            if packet.pts is not None and packet.time_base:
                end_s = float((packet.pts + (packet.duration or 0)) * packet.time_base)
                reached_s["streams"] = max(reached_s["streams"], end_s)
                if is_ours:
                    reached_s["packets"] = max(reached_s["packets"], end_s)
            if is_ours:
                yield cast("Packet[AudioStream]", packet)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        raise (TruncatedMedia if state.has_frames else UndecodableMedia) from error


def _strip_tags(packets: Iterator[Packet[AudioStream]]) -> Iterator[Packet[AudioStream]]:
    """Yield the packets of an mp3 without tags, and without the header frame that follows a tag.

    Concatenated files have both in their middle; a decoder would take them for damage.
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
        elif rest and not any(mark in rest[:_HEADER_MARK_BYTES] for mark in _HEADER_MARKS):
            audio = cast("Packet[AudioStream]", Packet(rest))
            audio.pts, audio.dts, audio.time_base = packet.pts, packet.dts, packet.time_base
            yield audio


def _reject_gaps(packets: Iterator[Packet[AudioStream]], file: BinaryIO) -> Iterator[Packet[AudioStream]]:
    """Yield the packets of a raw stream as long as nothing but tags lies between them in the file.

    Raises:
        DamagedMedia: The demuxer skipped something else to find the next frame.
    """
    end: int | None = None
    for packet in packets:
        if packet.size and packet.pos is not None:
            if end is not None and packet.pos > end and not _are_tags(file, end, packet.pos):
                raise DamagedMedia(
                    f"The source is damaged: {packet.pos - end} bytes at byte {end} are not a frame."
                )
            end = packet.pos + packet.size
        yield packet


def _are_tags(file: BinaryIO, start: int, end: int) -> bool:
    """Return whether the bytes from `start` to `end` are whole tags."""
    while start < end:
        file.seek(start)
        length = tag_bytes(file.read(32))
        if not length:
            return False
        start += length
    return start == end
