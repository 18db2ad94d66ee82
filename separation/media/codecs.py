"""The codecs of the stems: their encoders, what these can write, and what they write for a request."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import av

from stemline.separation.errors import OptionError
from stemline.separation.media.mpeg import MpegVersion
from stemline.separation.media.types import OutputSpec, SourceInfo
from stemline.separation.network import SAMPLE_RATE

#: kbit/s for each channel where neither the request nor the source names a bitrate.
FALLBACK_KBPS_PER_CHANNEL = 96

#: Of the size without compression: what music takes as flac, more or less.
_FLAC_SHARE = 0.6

_AMR_RATE = 8_000
_AMR_BPS = (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200)


@dataclass(frozen=True, slots=True)
class Codec:
    """One codec.

    Attributes:
        encoder, muxer: FFmpeg's names; mp3 is written without them, but by the same encoder.
        sample_format: FFmpeg's name of the samples that the encoder takes.
        deep: Encoder and sample format of each bit depth beyond 16 that can be written.
        layouts: FFmpeg's name of the layout that is written for each number of channels, in ascending order.
        is_lossless: Whether it has no bitrate to choose.
        rate: Its only sample rate, Hz; None where there are others.
        encoder_options, muxer_options: Passed to FFmpeg.
    """

    encoder: str
    muxer: str
    sample_format: str
    layouts: Mapping[int, str]
    is_lossless: bool = False
    rate: int | None = None
    encoder_options: Mapping[str, str] = field(default_factory=dict)
    muxer_options: Mapping[str, str] = field(default_factory=dict)
    deep: Mapping[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def rates(self) -> Sequence[int]:
        """The sample rates that can be written, Hz; empty where every rate can."""
        return (self.rate,) if self.rate else av.Codec(self.encoder, "w").audio_rates or ()


_MONO_STEREO = {1: "mono", 2: "stereo"}

#: Every codec, by its name on the wire.
CODECS: Mapping[str, Codec] = {
    "wav": Codec(
        "pcm_s16le",
        "wav",
        "s16",
        _MONO_STEREO,
        is_lossless=True,
        muxer_options={"rf64": "auto"},
        deep={24: ("pcm_s24le", "s32"), 32: ("pcm_f32le", "flt")},
    ),
    "flac": Codec(
        "flac",
        "flac",
        "s16",
        _MONO_STEREO | {4: "quad", 5: "5.0", 6: "5.1", 8: "7.1"},
        is_lossless=True,
        deep={24: ("flac", "s32")},
    ),
    "mp3": Codec("libmp3lame", "mp3", "s16p", _MONO_STEREO),
    "aac": Codec(
        "aac",
        "adts",
        "fltp",
        _MONO_STEREO | {4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"},
        encoder_options={"aac_coder": "twoloop"},  # of one and two channels, see `aac.py`
    ),
    "amr": Codec("libopencore_amrnb", "amr", "s16", {1: "mono"}, rate=_AMR_RATE),
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """What is written: codec, sample rate in Hz, bitrate in bit/s (0 if lossless), channels, bit depth.

    A depth of 16 stands for every codec that has none; 32 is floating point.
    """

    codec: str
    samplerate: int
    bitrate_bps: int
    channels: int
    bit_depth: int = 16

    @property
    def clips(self) -> bool:
        """Whether samples beyond full scale are clipped."""
        return self.bit_depth != 32

    @property
    def taken_bits(self) -> int:
        """Bits of the samples that the encoder takes; 32 is floating point."""
        _, sample_format = self.encoder()
        return {"s16": 16, "s32": 24, "flt": 32}[sample_format.removesuffix("p")]

    def encoder(self) -> tuple[str, str]:
        """Return FFmpeg's names of the encoder and of the samples that it takes."""
        codec = CODECS[self.codec]
        return codec.deep.get(self.bit_depth, (codec.encoder, codec.sample_format))


def resolve(spec: OutputSpec, source: SourceInfo) -> Encoding:
    """Return what is written for `spec`: what it leaves open is chosen as docs/media.md says.

    Raises:
        OptionError: The encoder cannot do what is asked.
    """
    codec = CODECS.get(spec.codec)
    if codec is None:
        raise OptionError(f"There is no encoder for the codec {spec.codec!r}.")
    samplerate = spec.samplerate or codec.rate or SAMPLE_RATE
    if codec.rates and samplerate not in codec.rates:
        raise OptionError(f"{spec.codec} cannot be written at {samplerate} Hz.")
    counts = tuple(codec.layouts)
    channels = spec.channels or counts[max(bisect_right(counts, source.channels) - 1, 0)]
    if channels not in codec.layouts:
        raise OptionError(f"{spec.codec} cannot be written with {channels} channels.")
    bit_depth = spec.bit_depth or 16
    if bit_depth != 16 and bit_depth not in codec.deep:
        raise OptionError(f"{spec.codec} cannot be written with {bit_depth} bits.")
    kbps = spec.bitrate_kbps or source.bitrate_kbps or FALLBACK_KBPS_PER_CHANNEL * channels
    bps = 0 if codec.is_lossless else _bitrate_bps(spec.codec, samplerate, channels, kbps * 1000)
    return Encoding(spec.codec, samplerate, bps, channels, bit_depth)


def expected_bytes(encoding: Encoding, duration_s: float) -> int:
    """Return about how many bytes a stem of so many seconds takes."""
    bits_per_s: float = encoding.bitrate_bps
    if not bits_per_s:
        # Channels beyond two are silent; see `upmix`.
        bits_per_s = encoding.samplerate * min(encoding.channels, 2) * encoding.bit_depth
        bits_per_s *= _FLAC_SHARE if encoding.codec == "flac" else 1
    return round(duration_s * bits_per_s / 8)


def _bitrate_bps(codec: str, samplerate: int, channels: int, asked: int) -> int:
    """Return the bitrate nearest to the one asked for that the codec can write, in bit/s."""
    if codec == "mp3":
        return _nearest([kbps * 1000 for kbps in MpegVersion.of_rate(samplerate).encoder_kbps], asked)
    if codec == "amr":
        return _nearest(_AMR_BPS, asked)
    # A frame of 1,024 aac samples holds at most 6,144 bits for each channel; with less than the minimum the
    # encoder may drop everything.
    lowest_kbps = channels * max(8, 8 * samplerate // 32_000)
    highest_kbps = 6144 * channels * samplerate // 1_024_000
    return min(max(asked, lowest_kbps * 1000), highest_kbps * 1000)


def _nearest(choices: Sequence[int], asked: int) -> int:
    """Return the choice nearest to `asked`, the higher one of two."""
    return min(choices, key=lambda choice: (abs(choice - asked), -choice))
