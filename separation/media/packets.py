"""Demuxes the packets of one audio stream, without the tags that lie between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, cast

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Discard, Stream

from stemline.separation.errors import DamagedMedia, TruncatedMedia, UndecodableMedia
from stemline.separation.media import ac3
from stemline.separation.media.checks import DecodeState
from stemline.separation.media.container import demuxed
from stemline.separation.media.duration import in_seconds
from stemline.separation.media.probe import Probe
from stemline.separation.media.tags import TAG_HEAD_BYTES, tag_bytes

#: An encoder's header frame has one of these within its first 40 bytes.
_HEADER_MARKS = (b"Info", b"Xing")
_HEADER_MARK_BYTES = 40
_ADTS_HEADER_BYTES = 7
#: How often reading is resumed; each time some 64 KiB are passed over, which are no packets.
_MAX_RETRIES = 16


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
    if probe.stream.codec.canonical_name in {"ac3", "eac3"}:
        return _cut_frames(packets)
    return packets


def _demuxed(probe: Probe, state: DecodeState) -> Iterator[Packet[AudioStream]]:
    """Yield the packets as they are, and keep account of how far they reach."""
    number = 0
    late_s = 0.0
    last: Packet[Stream] | None = None  # an empty one would end decoding, also in the middle
    try:
        for packet in _all_packets(probe):
            # Not `stream_index`, which is 0 in the empty packet that ends a stream, whatever the stream.
            if packet.stream.index != probe.stream.index:
                _note_reach(state, packet, 0.0)
                continue
            if not packet.size:
                last = packet
                continue
            pause_s = _pause_s(probe, packet, number)
            state.pause_s += pause_s
            late_s += pause_s
            number += 1
            state.packet_bytes += packet.size
            state.longest_packet = max(state.longest_packet, packet.size)
            _note_reach(state, packet, late_s)
            yield cast("Packet[AudioStream]", packet)
        if last is not None:
            yield cast("Packet[AudioStream]", last)
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise
        if state.has_frames and _is_behind_the_end(probe, state):
            return
        raise (TruncatedMedia if state.has_frames else UndecodableMedia) from error


def _all_packets(probe: Probe) -> Iterator[Packet[Stream]]:
    """Yield the packets of all streams whose times count.

    FFmpeg gives up for a moment where it looks for the next packet of a transport stream too long.
    """
    if probe.declared is None or probe.declared.of != "streams":
        for other in probe.container.streams:
            if other.index != probe.stream.index:
                other.discard = Discard.all
    for _ in range(_MAX_RETRIES):
        try:
            yield from demuxed(probe.container)
        except av.BlockingIOError:
            continue
        return


def _is_behind_the_end(probe: Probe, state: DecodeState) -> bool:
    """Return whether FFmpeg cannot read on because something else follows the last frame.

    Where the number of samples is declared, it is compared when everything is decoded. Of raw aac, less than
    a frame's header must be left, which begins otherwise.
    """
    if probe.declared is not None and probe.declared.of == "samples":
        return True
    last = state.last_packet
    if probe.demuxer.name != "aac" or last is None or last.pos is None:
        return False
    probe.file.seek(last.pos + last.size)
    rest = probe.file.read(_ADTS_HEADER_BYTES)
    return len(rest) < _ADTS_HEADER_BYTES and rest[:1] != b"\xff"


def _note_reach(state: DecodeState, packet: Packet[Stream], late_s: float) -> None:
    """Note how far a packet reaches, `late_s` after its own time."""
    if packet.pts is not None and (base := packet.time_base):
        end_s = in_seconds(packet.pts + (packet.duration or 0), base) + late_s
        state.reached_s["streams"] = max(state.reached_s["streams"], end_s)


def _pause_s(probe: Probe, packet: Packet[Stream], number: int) -> float:
    """Return the silence of the empty chunks before the packet of this number, seconds.

    Only a chunk of one frame lasts a time that its content does not determine.
    """
    empty = probe.structure.empty_chunks.get((probe.stream.index, number), 0)
    return float(empty * packet.time_base) if packet.duration == 1 and packet.time_base else 0.0


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
        while tag_end < packet.pos + len(data):
            at = tag_end - packet.pos
            length = tag_bytes(data[at : at + TAG_HEAD_BYTES])
            if not length:
                break
            tag_end += length
        rest = data[tag_end - packet.pos :]
        if len(rest) == len(data):
            yield packet
        elif rest and not any(mark in rest[:_HEADER_MARK_BYTES] for mark in _HEADER_MARKS):
            audio = cast("Packet[AudioStream]", Packet(rest))
            audio.pts, audio.dts, audio.time_base = packet.pts, packet.dts, packet.time_base
            yield audio


def _cut_frames(packets: Iterator[Packet[AudioStream]]) -> Iterator[Packet[AudioStream]]:
    """Yield the packets of ac3 without what FFmpeg joins to the last frame: tags or zeros behind it.

    A rest that begins as a frame is the start of one that was cut off, and stays.
    """
    for packet in packets:
        data = bytes(packet)
        length = ac3.whole_frames(data)
        if length == len(data) or data[length : length + 2] == ac3.SYNC_WORD:
            yield packet
            continue
        frames = cast("Packet[AudioStream]", Packet(data[:length]))
        frames.pts, frames.dts, frames.time_base = packet.pts, packet.dts, packet.time_base
        yield frames


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
        length = tag_bytes(file.read(TAG_HEAD_BYTES))
        if not length:
            return False
        start += length
    return start == end
