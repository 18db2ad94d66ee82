"""Raw AAC (ADTS) by FFmpeg's encoder, several stretches of a stem at the same time.

FFmpeg encodes a stem on one processor, and takes longer for it than the networks where these have several.
So a stem is cut into stretches of frames, each with an encoder of its own. Neighbouring frames overlap by
half, under windows that the encoder chooses; so an encoder starts some frames early, with the end of the
stretch before, and the stretches are joined where both encoders chose the same window.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from typing import BinaryIO, Literal

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.packet import Packet
from numpy.typing import NDArray

from stemline.separation.cpus import available_cpus
from stemline.separation.media.codecs import CODECS, Encoding
from stemline.separation.media.tonality import find_tones

#: Samples of a frame.
FRAME = 1024
#: Frames of a stretch: 6 s at 44.1 kHz.
STRETCH_FRAMES = 256
#: Frames by which an encoder starts early: its rate control has settled by then.
WARM_UP_FRAMES = 12
#: Frames after which the windows of two encoders may be compared.
_SETTLED_FRAMES = 6
#: Most stretches of one stem that are encoded at the same time.
_MAX_AT_ONCE = 4

#: FFmpeg's searches for quantisers. The fast one clips the coefficients of loud tones.
FAST, THOROUGH = "fast", "twoloop"
#: Bitrate for each channel up to which the fast one is as good on everything else; above, on tones alone.
FAST_MAX_KBPS = 96

Samples = NDArray[np.float32]
Packets = Sequence["Packet[AudioStream]"]


class AacSink:
    """Encodes one or two channels to ADTS in `file`, which must be seekable.

    Equal samples give equal bytes, on however many processors.
    """

    def __init__(self, file: BinaryIO, encoding: Encoding, tags: Mapping[str, str]) -> None:
        self._encoding = encoding
        self._container = av.open(file, "w", format=CODECS["aac"].muxer)
        self._container.metadata.update(tags)
        stream = self._container.add_stream("aac", rate=encoding.samplerate)
        if not isinstance(stream, AudioStream):  # pragma: no cover
            raise TypeError(stream)
        _configure(stream.codec_context, encoding)
        self._stream = stream
        self._at_once = min(available_cpus(), _MAX_AT_ONCE)
        self._pool = ThreadPoolExecutor(self._at_once, thread_name_prefix="aac")
        self._encoding_now: deque[Future[Packets]] = deque()
        self._blocks: list[Samples] = []
        self._held = 0  # samples in the blocks
        self._early = 0  # frames of them that belong to the stretch before
        self._last: Packets = ()
        self._written = 0

    def write(self, samples: Samples) -> None:
        """Encode (frames, channels) at the encoding's rate."""
        self._blocks.append(samples.copy())
        self._held += len(samples)
        # An encoder looks one frame ahead. What is left is never empty, so there is always a last stretch.
        while self._held > (self._early + STRETCH_FRAMES + 1) * FRAME:
            whole = np.concatenate(self._blocks)
            used = (self._early + STRETCH_FRAMES + 1) * FRAME
            self._start(whole[:used], is_last=False)
            rest = whole[(self._early + STRETCH_FRAMES - WARM_UP_FRAMES) * FRAME :]
            self._blocks, self._held, self._early = [rest], len(rest), WARM_UP_FRAMES

    def finish(self) -> None:
        """Write what is pending; the file stays open."""
        if self._held:
            self._start(np.concatenate(self._blocks), is_last=True)
        while self._encoding_now:
            self._join(self._encoding_now.popleft().result())
        self._mux(self._last)
        self._container.close()
        self._pool.shutdown()

    def abort(self) -> None:
        """Stop encoding; what was written is of no use."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _start(self, samples: Samples, *, is_last: bool) -> None:
        """Encode a stretch in the background; wait for the oldest one where too many are pending."""
        self._encoding_now.append(self._pool.submit(_encode, samples, self._encoding, is_last=is_last))
        if len(self._encoding_now) > self._at_once:
            self._join(self._encoding_now.popleft().result())

    def _join(self, packets: Packets) -> None:
        """Write the stretch before, up to the frame at which this one goes on."""
        if not self._last:
            self._last = packets
            return
        # The last frame that has the same window in both: their halves add up there.
        before = len(self._last) - WARM_UP_FRAMES
        matching = (
            at
            for at in range(WARM_UP_FRAMES, _SETTLED_FRAMES, -1)
            if _same_window(self._last[before + at - 1], packets[at - 1])
        )
        at = next(matching, WARM_UP_FRAMES)
        self._mux(self._last[: before + at])
        self._last = packets[at:]

    def _mux(self, packets: Packets) -> None:
        for packet in packets:
            packet.stream = self._stream
            packet.time_base = Fraction(1, self._encoding.samplerate)
            packet.pts = packet.dts = self._written * FRAME
            self._written += 1
            self._container.mux(packet)


def _configure(context: AudioCodecContext, encoding: Encoding, coder: str = "") -> None:
    codec = CODECS["aac"]
    context.sample_rate = encoding.samplerate
    context.layout = codec.layouts[encoding.channels]
    context.format = codec.sample_format
    # No encoder name and version in the file: equal audio gives equal bytes.
    context.options = {"flags": "+bitexact", **codec.encoder_options}
    if coder:
        context.options["aac_coder"] = coder
    context.bit_rate = encoding.bitrate_bps


def _encode(samples: Samples, encoding: Encoding, *, is_last: bool) -> Packets:
    """Return the frames of a stretch, by the coder that suits it: see docs/media.md."""
    samples = np.clip(samples, -1.0, 1.0)
    per_channel = encoding.bitrate_bps / encoding.channels / 1000
    tones = find_tones(samples)
    first = FAST if per_channel <= FAST_MAX_KBPS or tones else THOROUGH
    stretch = _Stretch(samples, encoding, first, is_last=is_last)
    if tones is None:
        return stretch.packets
    heard = stretch.decoded()
    if tones.error_db(heard) < _bearable_db(per_channel):
        return stretch.packets
    thorough = _Stretch(samples, encoding, THOROUGH, is_last=is_last)
    return min(stretch, thorough, key=lambda each: _error(samples, each.decoded())).packets


def _bearable_db(kbps: float) -> float:
    """Return the error of tones up to which a stretch is not encoded again, dB, by kbit/s a channel."""
    if kbps > FAST_MAX_KBPS:
        return -45.0
    return -20.0 - 10.0 * min(max(math.log2(kbps / 32), 0.0), 1.0)


def _error(samples: Samples, heard: Samples) -> float:
    length = min(len(samples), len(heard))
    return float(np.square(heard[:length] - samples[:length]).sum(dtype=np.float64))


class _Stretch:
    """A stretch of samples, encoded.

    Attributes:
        packets: Its frames; those that need samples after its end only if it is the last.
    """

    def __init__(self, samples: Samples, encoding: Encoding, coder: str, *, is_last: bool) -> None:
        context = _context("w")
        _configure(context, encoding, coder)
        context.open()
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=context.layout.name)
        frame.sample_rate = encoding.samplerate
        frame.pts = 0
        self.packets: list[Packet[AudioStream]] = list(context.encode(frame))
        if is_last:
            self.packets += context.encode(None)
        self._header = context.extradata

    def decoded(self) -> Samples:
        """Return the samples that a decoder makes of it, in step with those that were encoded."""
        context = _context("r")
        context.extradata = self._header
        frames = [frame.to_ndarray() for packet in self.packets for frame in context.decode(packet)]
        return np.concatenate(frames, axis=1, dtype=np.float32)[:, FRAME:].T


def _context(mode: Literal["r", "w"]) -> AudioCodecContext:
    context = av.CodecContext.create("aac", mode)
    if not isinstance(context, AudioCodecContext):  # pragma: no cover
        raise TypeError(context)
    return context


def _same_window(one: Packet[AudioStream], other: Packet[AudioStream]) -> bool:
    """Return whether two frames have the same window, for all channels.

    The fields are those of ISO 14496-3, 4.4.2: element (3 bits, 0 is one channel and 1 two), instance (4),
    then for one channel gain (8), for two whether they share their window (1); then a reserved bit,
    sequence (2) and shape (1).
    """
    first, second = (int.from_bytes(bytes(each)[:4], "big") for each in (one, other))
    if first >> 29 == 0 == second >> 29:
        return _bits(first, 16, 3) == _bits(second, 16, 3)
    is_shared = _bits(first, 7, 1) and _bits(second, 7, 1)
    return bool(is_shared) and _bits(first, 9, 3) == _bits(second, 9, 3)


def _bits(word: int, start: int, count: int) -> int:
    """Return `count` bits of a word of 32, from bit `start`, the first one being 0."""
    return word >> (32 - start - count) & ((1 << count) - 1)
