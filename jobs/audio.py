"""What each codec can hold, and what "not given" means (docs/wire/wire.md, 3.1 and open point 7).

The tables serve the check at submission and the worker that encodes, so that both agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemline.jobs.errors import RequestRefused
from stemline.jobs.separation import AudioConfig, AudioMode

DEFAULT_CODEC = "aac"
NATIVE_RATE = 44_100
"""Hz; the rate the networks were trained at."""

SAMPLERATES = frozenset({8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000})
"""Hz."""
MIN_BITRATE, MAX_BITRATE = 8, 1000
"""kbit/s."""
MUSIC_CODECS = frozenset({"mp3", "wav", "aac"})


@dataclass(frozen=True, slots=True)
class Codec:
    """The limits of one codec."""

    samplerates: frozenset[int]
    """Hz."""
    channels: frozenset[int]
    default_samplerate: int = NATIVE_RATE
    default_channels: int | None = None
    """``None``: as many as the source has."""
    takes_bitrate: bool = True


CODECS: Mapping[str, Codec] = {
    "aac": Codec(SAMPLERATES - {8_000}, frozenset({1, 2, 4, 5, 6, 8})),
    "mp3": Codec(SAMPLERATES - {8_000, 96_000}, frozenset({1, 2})),
    "flac": Codec(SAMPLERATES - {8_000}, frozenset({1, 2, 4, 5, 6, 8}), takes_bitrate=False),
    "amr": Codec(frozenset({8_000}), frozenset({1}), default_samplerate=8_000, default_channels=1),
    "wav": Codec(SAMPLERATES, frozenset({1, 2}), takes_bitrate=False),
}


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the tracks of a job are written, every default filled in."""

    codec: str
    samplerate: int
    """Hz."""
    bitrate: int | None
    """kbit/s; ``None`` is "that of the source", or of no meaning for this codec."""
    channels: int | None
    """``None`` is "that of the source"."""


def check_audio(mode: AudioMode, config: AudioConfig) -> None:
    """Refuse what the codec cannot hold.

    MusicMode writes at the model's own rate in stereo: the three numbers have no effect there.

    Raises:
        RequestRefused: says which value is outside the table.
    """
    name = config.codec or DEFAULT_CODEC
    codec = CODECS.get(name)
    if codec is None:
        raise RequestRefused(f"AudioConfig.Codec must be one of {', '.join(CODECS)}.")
    if mode is AudioMode.MUSIC_MODE:
        if name not in MUSIC_CODECS:
            raise RequestRefused(f"With MusicMode, AudioConfig.Codec must be one of {_listed(MUSIC_CODECS)}.")
        return
    if config.samplerate is not None and config.samplerate not in codec.samplerates:
        raise RequestRefused(
            f"AudioConfig.Samplerate for {name} must be one of {_listed(codec.samplerates)}."
        )
    if name != "wav" and config.bitrate is not None and not MIN_BITRATE <= config.bitrate <= MAX_BITRATE:
        raise RequestRefused(f"AudioConfig.Bitrate must be {MIN_BITRATE} to {MAX_BITRATE} kbit/s.")
    if config.channels is not None and config.channels not in codec.channels:
        raise RequestRefused(f"AudioConfig.Channels for {name} must be one of {_listed(codec.channels)}.")


def encoding(mode: AudioMode, config: AudioConfig) -> Encoding:
    """The parameters to encode with, for a configuration that was checked."""
    name = config.codec or DEFAULT_CODEC
    codec = CODECS[name]
    if mode is AudioMode.MUSIC_MODE:
        return Encoding(name, NATIVE_RATE, None, 2)
    return Encoding(
        codec=name,
        samplerate=config.samplerate or codec.default_samplerate,
        bitrate=config.bitrate if codec.takes_bitrate else None,
        channels=config.channels or codec.default_channels,
    )


def _listed(values: frozenset[int] | frozenset[str]) -> str:
    return ", ".join(str(value) for value in sorted(values))
