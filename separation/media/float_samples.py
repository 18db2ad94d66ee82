"""Floats in samples that their description calls integers of 32 bits, as some programs write them."""

from __future__ import annotations

from stemline.separation.media.containers.stored_samples import are_unit_floats
from stemline.separation.media.packet_count import Opener, stream_packets

#: Demuxers that take the description of a wav, which says it wrongly.
DEMUXERS = frozenset({"asf", "avi", "matroska", "w64", "wav"})
#: FFmpeg's name of such samples.
CODEC = "pcm_s32le"
#: Bytes of sound that are looked at, once there is more than silence, and of silence before.
_SOUND_BYTES, _SILENCE_BYTES = 1 << 20, 1 << 28


def are_floats(opener: Opener, demuxer: str, index: int) -> bool:
    """Return whether the samples of a stream of `CODEC` are floats.

    Args:
        opener: Returns the source.
        demuxer: FFmpeg's name of the demuxer that reads it.
        index: The stream's.
    """
    sound = bytearray()
    silent = 0
    for packet in stream_packets(opener, demuxer, index):
        data = bytes(packet)
        if not sound and data.count(0) == len(data):
            silent += len(data)
        else:
            sound += data
        if len(sound) >= _SOUND_BYTES or silent >= _SILENCE_BYTES:
            break
    return are_unit_floats(bytes(sound))
