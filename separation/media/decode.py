"""Reads one audio track of a file as 44.1 kHz stereo blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from stemline.separation.errors import EmptyAudio, NonFiniteAudio, TooLarge, TooLong
from stemline.separation.media import checks
from stemline.separation.media.frames import FrameReader
from stemline.separation.media.mono import becomes_stereo
from stemline.separation.media.probe import Probe, chain_source, probe_file
from stemline.separation.media.resample import Resampler
from stemline.separation.media.types import BLOCK_FRAMES, MediaLimits, SourceInfo
from stemline.separation.network import SAMPLE_RATE

# A louder sample (+120 dBFS) is no sound, and its square would be infinite later.
_LOUDEST = np.float32(1e6)


def open_audio(
    path: Path, *, limits: MediaLimits, track: str | None = None, keep_video_origin: bool = False
) -> AudioSource:
    """Open `path`; use the result as a context manager and iterate it once.

    Args:
        path: A local file.
        limits: How long and how large it may be.
        track: Number among the audio tracks, from 0, or language of the track to read; None is the one that
            is flagged as default, or the first.
        keep_video_origin: Whether audio that starts after the video is preceded by silence.

    Raises:
        UndecodableMedia: Not a media file that is read here.
        NoAudioStream: A media file without audio.
        OptionError: A media file without that track.
        DamagedMedia: Its structure has a gap.
        TruncatedMedia: Its structure ends beyond its last byte.
        TooLarge: More bytes than `limits` allow.
        TooLong: It declares a longer duration than `limits` allow.
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise TooLarge(f"The source has {size} bytes; the limit is {limits.max_bytes}.")
    found = probe_file(path, size, track)
    try:
        for probe in found:
            checks.raise_first(checks.BEFORE_DECODING, probe.declared, limits)
        source = chain_source(found)
        if source.channels == 1 and found[0].may_widen:
            first = found[0]
            if becomes_stereo(first.opener, first.demuxer.name, first.stream.index, limits):
                source = replace(source, channels=2)
        return AudioSource(found, source, limits, keep_video_origin=keep_video_origin)
    except BaseException:
        for probe in found:
            probe.close()
        raise


class AudioSource:
    """The audio of one file; iterating yields C-contiguous float32 (frames, 2) blocks at 44,100 Hz.

    Every block but the last holds `BLOCK_FRAMES` frames. Iteration raises UndecodableMedia, DamagedMedia,
    TruncatedMedia, EmptyAudio, NonFiniteAudio or TooLong as soon as that is known.

    Attributes:
        source: Codec, rate, channels, bitrate and container of the source.
        duration_s: Seconds of audio as the container gives them, for progress; None where it does not.
        tags: The tags of container and stream, by FFmpeg's names.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        source: SourceInfo,
        limits: MediaLimits,
        *,
        keep_video_origin: bool = False,
    ) -> None:
        self._probes = probes
        self._readers = [
            FrameReader(probe, limits, keep_video_origin=keep_video_origin and probe is probes[0])
            for probe in probes
        ]
        self._limits = limits
        self.source = source
        self.duration_s = source.duration_s
        self.tags: Mapping[str, str] = probes[0].tags

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def interrupt(self) -> None:
        """Do nothing: the next block is never far."""

    def close(self) -> None:
        """Close the file."""
        for probe in self._probes:
            probe.close()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        most = int(self._limits.max_duration_s * SAMPLE_RATE)
        total = 0
        for block in _rebuffer(self._resampled()):
            total += len(block)
            if total > most:
                limit_s = self._limits.max_duration_s
                raise TooLong(f"The source lasts longer than the limit of {limit_s:.0f} s.")
            # The comparison is False for NaN, too.
            if not max(block.max(), -block.min()) < _LOUDEST:
                at_s = total / SAMPLE_RATE
                raise NonFiniteAudio(
                    f"The source has samples that are not finite numbers before {at_s:.1f} s."
                )
            yield block
        if total == 0:
            raise EmptyAudio

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        """Yield the audio at 44,100 Hz; its own rate may change on the way."""
        resampler: Resampler | None = None
        rate = 0
        for piece in chain.from_iterable(self._readers):
            if resampler is None or piece.rate != rate:
                if resampler is not None:
                    yield resampler.finish()
                rate = piece.rate
                resampler = Resampler(rate, SAMPLE_RATE)
            yield resampler.feed(piece.samples)
        if resampler is not None:
            yield resampler.finish()


def _rebuffer(pieces: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Yield the frames of pieces of any length in blocks of `BLOCK_FRAMES`."""
    block = np.empty((BLOCK_FRAMES, 2), dtype=np.float32)
    filled = 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            take = min(BLOCK_FRAMES - filled, len(piece) - at)
            block[filled : filled + take] = piece[at : at + take]
            filled += take
            at += take
            if filled == BLOCK_FRAMES:
                yield block
                block = np.empty((BLOCK_FRAMES, 2), dtype=np.float32)
                filled = 0
    if filled:
        yield block[:filled]
