"""What writes samples to a file; all codecs but mp3 through FFmpeg's encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO, Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from stemline.separation.media.codecs import CODECS, Encoding
from stemline.separation.media.pcm import to_int16, to_int24


class Sink(Protocol):
    """Encodes samples into an open file."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's rate."""

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""

    def abort(self) -> None:
        """End what runs in the background; what was written is deleted."""


# No encoder name and version in the file: equal audio gives equal bytes.
_REPRODUCIBLE = {"fflags": "+bitexact"}


class FFmpegSink:
    """Encodes and muxes through PyAV into `file`, which must be seekable."""

    def __init__(self, file: BinaryIO, encoding: Encoding, tags: Mapping[str, str]) -> None:
        codec = CODECS[encoding.codec]
        options = {**_REPRODUCIBLE, **codec.muxer_options}
        self._container = av.open(file, "w", format=codec.muxer, container_options=options)
        self._container.metadata.update(tags)
        encoder, sample_format = encoding.encoder()
        stream = self._container.add_stream(encoder, rate=encoding.samplerate)
        if not isinstance(stream, AudioStream):  # pragma: no cover
            raise TypeError(stream)
        context = stream.codec_context
        context.layout = codec.layouts[encoding.channels]
        context.format = sample_format
        context.options = dict(codec.encoder_options)
        if encoding.bitrate_bps:
            context.bit_rate = encoding.bitrate_bps
        self._stream = stream
        # Interleaved also where the encoder wants planes: PyAV writes one plane too many of 8 channels.
        self._packed = sample_format.removesuffix("p")
        self._clips = encoding.clips
        self._frames = 0

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's rate."""
        if not len(samples):
            return
        context = self._stream.codec_context
        frame = AudioFrame.from_ndarray(
            self._pack(samples).reshape(1, -1), format=self._packed, layout=context.layout.name
        )
        frame.sample_rate = context.sample_rate
        frame.pts = self._frames
        self._frames += len(samples)
        self._container.mux(self._stream.encode(frame))

    def _pack(self, samples: NDArray[np.float32]) -> NDArray[Any]:
        """Return the samples as the encoder takes them."""
        if self._packed == "s16":
            return to_int16(samples)
        if self._packed == "s32":
            return to_int24(samples)
        return np.clip(samples, -1.0, 1.0) if self._clips else np.ascontiguousarray(samples)

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def abort(self) -> None:
        """Do nothing: nothing runs in the background."""
