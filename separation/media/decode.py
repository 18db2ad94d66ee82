"""Reads the first audio stream of a file as 44.1 kHz stereo blocks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from separation.errors import EmptyAudio, NonFiniteAudio, TooLarge, TooLong, TruncatedMedia, UndecodableMedia
from separation.media.channels import to_stereo
from separation.media.container import first_audio, open_input
from separation.media.resample import Resampler
from separation.media.types import BLOCK_FRAMES, SAMPLE_RATE, MediaLimits, SourceInfo

_SCALES = {"u8": 2.0**-7, "s16": 2.0**-15, "s32": 2.0**-31, "s64": 2.0**-63}


def open_audio(path: Path, *, limits: MediaLimits) -> AudioSource:
    """Open ``path``; use the result as a context manager and iterate it once.

    Raises:
        UndecodableMedia: not a media file that is read here.
        NoAudioStream: a media file without audio.
        TooLarge: more bytes than ``limits``.
        TooLong: a longer duration than ``limits`` is declared.
        OSError: the file cannot be read.
    """
    if path.stat().st_size > limits.max_bytes:
        raise TooLarge
    container = open_input(path)
    try:
        return AudioSource(container, first_audio(container), limits)
    except BaseException:
        container.close()
        raise


class AudioSource:
    """The audio of one file; iterating yields C-contiguous float32 (frames, 2) blocks at 44 100 Hz.

    Every block but the last holds `BLOCK_FRAMES` frames. Iteration raises TruncatedMedia, UndecodableMedia,
    EmptyAudio, NonFiniteAudio or TooLong as soon as that is known.
    """

    def __init__(self, container: InputContainer, stream: AudioStream, limits: MediaLimits) -> None:
        self._container = container
        self._stream = stream
        self._limits = limits
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
        total = 0
        for block in _rebuffer(self._resampled()):
            total += len(block)
            if total > self._limits.max_duration_s * SAMPLE_RATE:
                raise TooLong
            if not np.isfinite(block).all():
                raise NonFiniteAudio
            yield block
        if total == 0:
            raise EmptyAudio

    def _resampled(self) -> Iterator[NDArray[np.float32]]:
        resampler: Resampler | None = None
        rate = 0
        for frame in self._frames():
            if resampler is None or frame.sample_rate != rate:
                if resampler is not None:
                    yield resampler.finish()
                rate = frame.sample_rate
                resampler = Resampler(rate, SAMPLE_RATE)
            names = tuple(channel.name for channel in frame.layout.channels)
            yield resampler.feed(to_stereo(_float(frame), names))
        if resampler is not None:
            yield resampler.finish()

    def _frames(self) -> Iterator[AudioFrame]:
        seen = False
        try:
            for packet in self._container.demux(self._stream):
                for frame in packet.decode():
                    seen = True
                    yield frame
        except av.FFmpegError as error:
            raise (TruncatedMedia if seen else UndecodableMedia) from error


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


def _float(frame: AudioFrame) -> NDArray[np.float32]:
    """Return the frame's samples as float32 (frames, channels), full scale at 1.0."""
    samples = frame.to_ndarray()
    channels = len(frame.layout.channels)
    samples = samples.T if frame.format.is_planar else samples.reshape(-1, channels)
    kind = frame.format.name.removesuffix("p")
    if kind == "u8":
        return (samples.astype(np.float32) - np.float32(128.0)) * np.float32(_SCALES[kind])
    if kind in _SCALES:
        return (samples * np.float32(_SCALES[kind])).astype(np.float32)
    return samples.astype(np.float32)


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
