"""Mp3 by LAME, with an Info frame by which players find where the music starts and ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import lameenc
import numpy as np
from numpy.typing import NDArray

from stemline.separation.media.codecs import Encoding
from stemline.separation.media.info_frame import InfoFrame
from stemline.separation.media.pcm import to_int16
from stemline.separation.media.tags import id3v2

#: LAME's -q: 2 is slowest, 7 is fastest. Measured in docs/media.md.
QUALITY = 5


class Mp3Sink:
    """Encodes to constant-bitrate mp3 in `file`, which must be seekable."""

    def __init__(self, file: BinaryIO, encoding: Encoding, tags: Mapping[str, str]) -> None:
        kbps = encoding.bitrate_bps // 1000
        encoder = lameenc.Encoder()
        encoder.silence()
        encoder.set_channels(encoding.channels)
        encoder.set_in_sample_rate(encoding.samplerate)
        encoder.set_out_sample_rate(encoding.samplerate)
        encoder.set_bit_rate(kbps)
        encoder.set_quality(QUALITY)
        self._encoder = encoder
        self._file = file
        self._samples = 0
        file.write(id3v2(tags))
        self._info = InfoFrame(encoding.samplerate, encoding.channels, kbps)
        self._info_at = file.tell()
        file.write(bytes(self._info.size))

    def write(self, samples: NDArray[np.float32]) -> None:
        """Encode (frames, channels) at the encoding's own rate."""
        self._samples += len(samples)
        self._put(self._encoder.encode(to_int16(samples)))

    def finish(self) -> None:
        """Write what is pending and the Info frame; the file stays open."""
        if self._samples:
            self._put(self._encoder.flush())
        self._file.seek(self._info_at)
        self._file.write(self._info.render(self._samples))

    def abort(self) -> None:
        """Do nothing: nothing runs in the background."""

    def _put(self, data: bytes | bytearray) -> None:
        self._info.scan(bytes(data))
        self._file.write(data)
