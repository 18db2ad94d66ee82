"""Turns what was asked for, with the source in view, into what the encoder does."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

from stemline.separation.errors import OptionError
from stemline.separation.media.mpeg import MpegVersion
from stemline.separation.media.types import OutputSpec, SourceInfo

#: kbit/s for each channel where neither the request nor the source says a bitrate.
FALLBACK_KBPS_PER_CHANNEL = 96

_RATES: dict[str, frozenset[int]] = {
    "wav": frozenset({8000, 11025, 22050, 32000, 44100, 48000, 96000}),
    "mp3": frozenset({11025, 22050, 32000, 44100, 48000}),
    "aac": frozenset({11025, 22050, 32000, 44100, 48000, 96000}),
    "flac": frozenset({11025, 22050, 32000, 44100, 48000, 96000}),
    "amr": frozenset({8000}),
}
_CHANNELS: dict[str, tuple[int, ...]] = {
    "wav": (1, 2),
    "mp3": (1, 2),
    "aac": (1, 2, 4, 5, 6, 8),
    "flac": (1, 2, 4, 5, 6, 8),
    "amr": (1,),
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """A complete choice: codec name of the wire, Hz, kbit/s (0 for lossless), channels."""

    codec: str
    samplerate: int
    bitrate_kbps: int
    channels: int


def resolve(spec: OutputSpec, source: SourceInfo) -> Encoding:
    """Fill the gaps of ``spec`` with the defaults of docs/media.md.

    Raises:
        OptionError: the encoder cannot do what is asked.
    """
    codec = spec.codec
    if codec not in _RATES:
        raise OptionError(f"there is no encoder for the codec {codec!r}")
    samplerate = spec.samplerate or (8000 if codec == "amr" else 44_100)
    if samplerate not in _RATES[codec]:
        raise OptionError(f"{codec} cannot be written at {samplerate} Hz")
    allowed = _CHANNELS[codec]
    channels = spec.channels or allowed[max(bisect_right(allowed, source.channels) - 1, 0)]
    if channels not in allowed:
        raise OptionError(f"{codec} cannot be written with {channels} channels")
    asked = spec.bitrate_kbps or source.bitrate_kbps or FALLBACK_KBPS_PER_CHANNEL * channels
    return Encoding(codec, samplerate, _bitrate(codec, samplerate, channels, asked), channels)


_AMR_BPS = (4750, 5150, 5900, 6700, 7400, 7950, 10200, 12200)


def _bitrate(codec: str, samplerate: int, channels: int, asked: int) -> int:
    """Bring the asked kbit/s to what the codec can hold at this rate."""
    if codec in {"wav", "flac"}:
        return 0
    if codec == "mp3":
        return _nearest(MpegVersion.of_rate(samplerate).encoder_kbps, asked)
    if codec == "aac":
        # A frame of 1024 samples holds at most 6144 bits for each channel; below the floor the encoder may
        # drop everything it hears.
        floor = channels * max(8, 8 * samplerate // 32_000)
        return min(max(asked, floor), 6144 * channels * samplerate // 1_024_000)
    return asked


def amr_mode_bps(kbps: int) -> int:
    """Return the AMR mode, in bit/s, nearest to ``kbps``."""
    return _nearest(_AMR_BPS, kbps * 1000)


def _nearest(choices: tuple[int, ...], asked: int) -> int:
    return min(choices, key=lambda choice: (abs(choice - asked), -choice))
