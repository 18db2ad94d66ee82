"""Finds out whether a stream that is mono at its start stays so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import av
from av.audio.frame import AudioFrame
from av.packet import Packet
from av.stream import Stream

from stemline.separation.media.mpeg import parse_frame
from stemline.separation.media.packet_count import Opener, stream_packets
from stemline.separation.media.types import MediaLimits

#: Bytes of a packet that name its channels.
_HEAD_BYTES = 8
#: The first element of a frame of AAC, in its upper three bits: one channel.
_SINGLE_CHANNEL = 0


def becomes_stereo(opener: Opener, demuxer: str, index: int, limits: MediaLimits) -> bool:
    """Return whether a frame of a stream has more than one channel.

    Broadcasts and concatenated files turn from mono to stereo without notice, and no header of the file says
    so. Packets that name one channel are passed over; a stream whose packets do not is decoded whole.
    Damage is passed over, too; it is reported when the source is read.

    Args:
        opener: Returns the source.
        demuxer: FFmpeg's name of the demuxer that reads it.
        index: The stream's.
        limits: No more than their longest duration is decoded.
    """
    decoded_s = 0.0
    for packet in stream_packets(opener, demuxer, index):
        is_mono = _IS_MONO.get(packet.stream.codec_context.codec.canonical_name)
        if is_mono is not None and is_mono(bytes(memoryview(packet)[:_HEAD_BYTES])):
            continue
        for frame in _decoded(packet):
            decoded_s += frame.samples / frame.sample_rate if frame.sample_rate else 0.0
            if frame.layout.nb_channels > 1:
                return True
        if decoded_s > limits.max_duration_s:
            break
    return False


def _decoded(packet: Packet[Stream]) -> list[AudioFrame]:
    """Return the frames of a packet; none where it does not decode."""
    try:
        return [frame for frame in packet.decode() if isinstance(frame, AudioFrame)]
    except av.FFmpegError:
        return []


def _is_mono_aac(head: bytes) -> bool:
    """Return whether a packet of AAC, with an ADTS header or without, begins with a single channel."""
    frame = parse_frame(head)
    return frame.channels == 1 if frame else head[:1] != b"" and head[0] >> 5 == _SINGLE_CHANNEL


def _is_mono_mpeg(head: bytes) -> bool:
    frame = parse_frame(head)
    return frame is not None and frame.channels == 1


def _is_mono_flac(head: bytes) -> bool:
    return len(head) > 3 and head[0] == 0xFF and head[3] >> 4 == 0


#: Codecs whose packets name their channels in their first bytes; True means one channel.
_IS_MONO: Mapping[str, Callable[[bytes], bool]] = {
    "aac": _is_mono_aac,
    "flac": _is_mono_flac,
    "mp2": _is_mono_mpeg,
    "mp3": _is_mono_mpeg,
}
