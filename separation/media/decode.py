"""Reads the first audio stream of a file as 44.1 kHz stereo blocks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from stemline.separation.errors import (
    DamagedMedia,
    EmptyAudio,
    NoAudioStream,
    NonFiniteAudio,
    TooLarge,
    TooLong,
    TruncatedMedia,
    UndecodableMedia,
)
from stemline.separation.media.container import first_audio, open_input
from stemline.separation.media.frames import FrameReader
from stemline.separation.media.resample import Resampler
from stemline.separation.media.structure import is_damaged
from stemline.separation.media.truncation import is_truncated
from stemline.separation.media.types import BLOCK_FRAMES, SAMPLE_RATE, MediaLimits, SourceInfo

# A sample louder than this (+120 dBFS) is no sound but a number that squares to infinity further on.
_LOUDEST = np.float32(1e6)


def open_audio(path: Path, *, limits: MediaLimits) -> AudioSource:
    """Open ``path``; use the result as a context manager and iterate it once.

    Raises:
        UndecodableMedia: not a media file that is read here.
        DamagedMedia: its structure has a hole.
        TruncatedMedia: its structure reaches beyond its last byte.
        NoAudioStream: a media file without audio.
        TooLarge: more bytes than ``limits``.
        TooLong: a longer duration than ``limits`` is declared.
        OSError: the file cannot be read.
    """
    size = path.stat().st_size
    if size > limits.max_bytes:
        raise TooLarge(f"the source holds {size} bytes; this service takes {limits.max_bytes}")
    try:
        container = open_input(path)
        try:
            return AudioSource(path, container, first_audio(container), limits)
        except BaseException:
            container.close()
            raise
    except (UndecodableMedia, NoAudioStream) as error:
        # An mp4 whose index was to follow at its end cannot even be opened when it is cut.
        if is_truncated(path):
            raise TruncatedMedia from error
        raise


class AudioSource:
    """The audio of one file; iterating yields C-contiguous float32 (frames, 2) blocks at 44 100 Hz.

    Every block but the last holds `BLOCK_FRAMES` frames. Iteration raises UndecodableMedia, DamagedMedia,
    TruncatedMedia, EmptyAudio, NonFiniteAudio or TooLong as soon as that is known.

    Attributes:
        duration_s: seconds of audio as far as the container tells, None if it does not; progress may use it.
        tags: what the container and the stream say about the recording, as FFmpeg names it.
        source: codec, rate, channels, bitrate and container of the source.
    """

    def __init__(
        self, path: Path, container: InputContainer, stream: AudioStream, limits: MediaLimits
    ) -> None:
        self._container = container
        self._stream = stream
        self._limits = limits
        if is_truncated(path):
            raise TruncatedMedia
        if is_damaged(path):
            raise DamagedMedia
        self._reader = FrameReader(path, container, stream)
        stated = self._reader.declared
        if (
            stated is not None
            and stated.of == "samples"
            and stated.duration_s - stated.slack_s > limits.max_duration_s
        ):
            raise TooLong(
                f"the source lasts {stated.duration_s:.0f} s, "
                f"longer than the {limits.max_duration_s:.0f} s that this service takes"
            )
        self.duration_s = _duration_s(container, stream)
        self.tags = {**container.metadata, **stream.metadata}
        self.source = SourceInfo(
            codec=stream.codec.canonical_name,
            samplerate=stream.codec_context.sample_rate,
            channels=stream.codec_context.channels,
            bitrate_kbps=_bitrate_kbps(container, stream),
            container=container.format.name,
            duration_s=self.duration_s,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        most = int(self._limits.max_duration_s * SAMPLE_RATE)
        total = 0
        for block in _rebuffer(self._resampled()):
            total += len(block)
            if total > most:
                limit_s = self._limits.max_duration_s
                raise TooLong(f"the source lasts longer than the {limit_s:.0f} s that this service takes")
            # Comparing is false for NaN, so this finds it along with infinities and nonsense.
            if not np.abs(block).max() < _LOUDEST:
                at_s = total / SAMPLE_RATE
                raise NonFiniteAudio(f"the source holds samples that are not finite before {at_s:.1f} s")
            yield block
        if total == 0:
            raise EmptyAudio

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        resampler: Resampler | None = None
        rate = 0
        for piece in self._reader:
            if resampler is None or piece.rate != rate:
                if resampler is not None:
                    yield resampler.finish()
                rate = piece.rate
                resampler = Resampler(rate, SAMPLE_RATE)
            yield resampler.feed(piece.samples)
        if resampler is not None:
            yield resampler.finish()


def _rebuffer(pieces: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
    """Cut a stream of pieces of any length into blocks of `BLOCK_FRAMES`."""
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


def _duration_s(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(Fraction(stream.duration) * stream.time_base)
    if container.duration is not None:
        return container.duration / 1_000_000
    return None


def _bitrate_kbps(container: InputContainer, stream: AudioStream) -> int | None:
    rate = stream.codec_context.bit_rate
    if not rate and len(container.streams) == 1:
        rate = container.bit_rate
    return max(1, round(rate / 1000)) if rate else None
