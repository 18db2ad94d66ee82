"""Finds out whether a stream that is mono at its start stays so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.stream import Discard

from stemline.separation.media.container import open_container
from stemline.separation.media.types import MediaLimits


def becomes_stereo(path: Path, demuxer: str, index: int, limits: MediaLimits) -> bool:
    """Return whether a frame of a stream has more than one channel.

    Broadcasts turn from mono to stereo without notice, and no header says so: a stream that stays mono is
    decoded whole. Damage is passed over; it is reported when the source is read.

    Args:
        path: The file.
        demuxer: FFmpeg's name of the demuxer that reads it.
        index: The stream's.
        limits: No more than their longest duration is decoded.
    """
    decoded_s = 0.0
    for frame in _frames(path, demuxer, index):
        decoded_s += frame.samples / frame.sample_rate
        if frame.layout.nb_channels > 1:
            return True
        if decoded_s > limits.max_duration_s:
            break
    return False


def _frames(path: Path, demuxer: str, index: int) -> Iterator[AudioFrame]:
    """Yield the frames of a stream that decode."""
    with open_container(path, demuxer) as container:
        for other in container.streams:
            if other.index != index:
                other.discard = Discard.all
        packets = container.demux(container.streams[index])
        while True:
            try:
                for frame in next(packets).decode():
                    if isinstance(frame, AudioFrame):
                        yield frame
            except (StopIteration, av.EOFError):
                return
            except av.FFmpegError:
                continue
