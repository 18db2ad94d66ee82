"""What writes samples to a file; all codecs but mp3 through FFmpeg's encoders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO, Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from stemline.separation.media.codecs import CODECS, Encoding
from stemline.separation.media.pcm import to_int16


class Sink(Protocol):
    """Encodes samples into an open file."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's rate."""

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""


# No encoder name and version in the file: equal audio gives equal bytes.
_REPRODUCIBLE = {"fflags": "+bitexact"}


class FFmpegSink:
    """Encodes and muxes through PyAV into `file`, which must be seekable."""

    def __init__(self, file: BinaryIO, encoding: Encoding, tags: Mapping[str, str]) -> None:
        codec = CODECS[encoding.codec]
        options = {**_REPRODUCIBLE, **codec.muxer_options}
        self._container = av.open(file, "w", format=codec.muxer, container_options=options)
        self._container.metadata.update(tags)
        stream = self._container.add_stream(codec.encoder, rate=encoding.samplerate)
        if not isinstance(stream, AudioStream):  # pragma: no cover
            raise TypeError(stream)
        context = stream.codec_context
        context.layout = codec.layouts[encoding.channels]
        context.format = codec.sample_format
        context.options = dict(codec.encoder_options)
        if encoding.bitrate_bps:
            context.bit_rate = encoding.bitrate_bps
        self._stream = stream
        self._is_float = codec.sample_format == "fltp"
        self._frames = 0

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's rate."""
        if not len(samples):
            return
        # Interleaved also where the encoder wants planes: PyAV writes one plane too many of 8 channels.
        packed = np.clip(samples, -1.0, 1.0) if self._is_float else to_int16(samples)
        context = self._stream.codec_context
        frame = AudioFrame.from_ndarray(
            packed.reshape(1, -1), format="flt" if self._is_float else "s16", layout=context.layout.name
        )
        frame.sample_rate = context.sample_rate
        frame.pts = self._frames
        self._frames += len(samples)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
