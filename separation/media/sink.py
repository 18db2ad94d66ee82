"""The encoders that come with FFmpeg: wav, flac, aac and amr."""

from __future__ import annotations

from typing import BinaryIO, Protocol

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from numpy.typing import NDArray

from stemline.separation.media.pcm import to_int16
from stemline.separation.media.spec import Encoding, amr_mode_bps


class Sink(Protocol):
    """An encoder that writes into an open file."""

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's own rate."""

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""


_MUXERS = {"wav": "wav", "flac": "flac", "aac": "adts", "amr": "amr"}
_CODECS = {"wav": "pcm_s16le", "flac": "flac", "aac": "aac", "amr": "libopencore_amrnb"}
_MUXER_OPTIONS = {"wav": {"rf64": "auto"}}
# No encoder name and version in the file: equal audio gives equal bytes.
_REPRODUCIBLE = {"fflags": "+bitexact"}
_LAYOUTS = {
    "aac": {1: "mono", 2: "stereo", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"},
    "flac": {1: "mono", 2: "stereo", 4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"},
}


class AvSink:
    """Encodes and muxes through PyAV into ``file``."""

    def __init__(self, file: BinaryIO, encoding: Encoding, tags: dict[str, str]) -> None:
        codec = encoding.codec
        self._rate = encoding.samplerate
        # Interleaved also for aac, whose encoder wants planes: PyAV writes one plane too many of 8.
        self._format = "flt" if codec == "aac" else "s16"
        self._layout = _LAYOUTS.get(codec, _LAYOUTS["aac"])[encoding.channels]
        self._frames = 0
        options = {**_REPRODUCIBLE, **_MUXER_OPTIONS.get(codec, {})}
        self._container = av.open(file, "w", format=_MUXERS[codec], container_options=options)
        self._container.metadata.update(tags)
        stream = self._container.add_stream(_CODECS[codec], rate=encoding.samplerate)
        if not isinstance(stream, AudioStream):  # pragma: no cover
            raise TypeError(stream)
        context = stream.codec_context
        context.layout = self._layout
        context.format = "fltp" if codec == "aac" else "s16"
        if codec == "aac":
            context.bit_rate = encoding.bitrate_kbps * 1000
            context.options = {"aac_coder": "fast"}
        elif codec == "amr":
            context.bit_rate = amr_mode_bps(encoding.bitrate_kbps)
        self._stream = stream

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's own rate."""
        if not len(samples):
            return
        packed = np.clip(samples, -1.0, 1.0) if self._format == "flt" else to_int16(samples)
        frame = AudioFrame.from_ndarray(packed.reshape(1, -1), format=self._format, layout=self._layout)
        frame.sample_rate = self._rate
        frame.pts = self._frames
        self._frames += len(samples)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is pending and complete the headers; the file stays open."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
