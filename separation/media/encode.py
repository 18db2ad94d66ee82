"""Writes one stem to a file in the requested codec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import BinaryIO

import av
import numpy as np
from numpy.typing import NDArray

from stemline.separation.disk import is_full
from stemline.separation.errors import DiskFull, EmptyAudio, OutputError
from stemline.separation.loudness import loudness_meter
from stemline.separation.measure import Levels, PeakMeter, decibels
from stemline.separation.media.aac import AacSink
from stemline.separation.media.channels import downmix, upmix
from stemline.separation.media.codecs import Encoding, resolve
from stemline.separation.media.media_info import media_info
from stemline.separation.media.mp3 import Mp3Sink
from stemline.separation.media.replacement import Replacement
from stemline.separation.media.resample import Resampler
from stemline.separation.media.sink import FFmpegSink, Sink
from stemline.separation.media.tags import kept_tags
from stemline.separation.media.types import EncodedStem, OutputSpec, SourceInfo
from stemline.separation.network import SAMPLE_RATE


class StemWriter:
    """Writes a stem block by block to a hidden file beside its own, which it replaces when it is complete.

    Until then a file of that name is as it was; a link of that name is replaced, never what it leads to. Not
    safe for several threads at once; the encoders release the interpreter lock while they work.

    Args:
        spec: The file to write, whose folder exists, and its codec, rate, bitrate and channels.
        tags: The source's tags; the output keeps those that it can hold.
        source: Where defaults come from for what `spec` leaves open.

    Raises:
        OptionError: The codec cannot be written as `spec` requests.
        DiskFull: No space is left; raised by every method that writes, after what was written is deleted.
        OutputError: The encoder or the file system failed otherwise; likewise.
    """

    def __init__(self, spec: OutputSpec, *, tags: Mapping[str, str], source: SourceInfo) -> None:
        self.encoding = resolve(spec, source)
        self._path = spec.path
        self._frames = 0
        self._written = Replacement(spec.path)
        self._undo = ExitStack()
        self._undo.callback(self._written.discard)
        channels = min(self.encoding.channels, 2)
        self._resampler = Resampler(SAMPLE_RATE, self.encoding.samplerate, channels)
        self._loudness = loudness_meter(SAMPLE_RATE, channels)
        self._peak = PeakMeter()
        with self._cleanly():
            self._sink = _sink(self._written.file, self.encoding, kept_tags(tags))
            self._undo.callback(self._sink.abort)

    def write(self, block: NDArray[np.float32]) -> None:
        """Encode a (frames, 2) float32 block at 44,100 Hz."""
        self._frames += len(block)
        with self._cleanly():
            samples = downmix(block, self.encoding.channels)
            self._loudness.feed(samples)
            self._put(self._resampler.feed(samples))

    def close(self) -> EncodedStem:
        """Complete the stem and put it in its place; see `finish`."""
        stem = self.finish()
        self.publish()
        return stem

    def publish(self) -> None:
        """Put the finished stem in its place, where it replaces what is there."""
        with self._cleanly():
            self._written.publish()

    def finish(self) -> EncodedStem:
        """Complete the stem, still beside its place, and return what was written.

        Raises:
            EmptyAudio: No samples were written.
        """
        with self._cleanly():
            if not self._frames:
                raise EmptyAudio
            self._put(self._resampler.finish())
            self._sink.finish()
            self._written.file.close()
            path = self._written.path
            info = media_info(path, self.encoding.codec)
            size = path.stat().st_size
            return EncodedStem(self._path, size, info, self.encoding.bitrate_bps, self._levels())

    def abort(self) -> None:
        """Delete what was written; may be called after any other method, and repeatedly."""
        self._undo.close()

    def _put(self, samples: NDArray[np.float32]) -> None:
        if len(samples):
            self._peak.feed(samples)
            self._sink.write(upmix(samples, self.encoding.channels))

    def _levels(self) -> Levels:
        peak = self._peak.peak
        clipped = self._peak.beyond if self.encoding.clips else 0
        return Levels(decibels(peak) if peak else None, clipped, self._loudness.finish())

    @contextmanager
    def _cleanly(self) -> Iterator[None]:
        """Delete what was written when the body fails, and turn its exception into one of ours."""
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            self.abort()
            if is_full(error):
                raise DiskFull from error
            raise OutputError from error
        except BaseException:
            self.abort()
            raise


def _sink(file: BinaryIO, encoding: Encoding, tags: Mapping[str, str]) -> Sink:
    """Return the encoder of a file."""
    if encoding.codec == "mp3":
        return Mp3Sink(file, encoding, tags)
    if encoding.codec == "aac" and encoding.channels <= 2:
        return AacSink(file, encoding, tags)
    return FFmpegSink(file, encoding, tags)
