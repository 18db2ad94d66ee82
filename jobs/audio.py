"""What a client may ask of each codec (docs/wire/wire.md, 3.1).

These are the wire's limits. What the encoders can do beyond them, and what they choose where nothing is asked
for, is in `separation/media/codecs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemline.jobs.errors import RequestRefused
from stemline.jobs.separation import AudioConfig, AudioMode

DEFAULT_CODEC = "aac"
SAMPLERATES = frozenset({8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000})
"""Hz."""
MIN_BITRATE, MAX_BITRATE = 8, 1000
"""kbit/s."""
MUSIC_CODECS = frozenset({"mp3", "wav", "aac"})


@dataclass(frozen=True, slots=True)
class Codec:
    """The limits of one codec: sample rates in Hz, numbers of channels, bit depths."""

    samplerates: frozenset[int]
    channels: frozenset[int]
    bit_depths: frozenset[int] = frozenset()
    """Empty for a codec whose samples have no fixed depth."""


CODECS: Mapping[str, Codec] = {
    "aac": Codec(SAMPLERATES - {8_000}, frozenset({1, 2, 4, 5, 6, 8})),
    "mp3": Codec(SAMPLERATES - {8_000, 96_000}, frozenset({1, 2})),
    "flac": Codec(SAMPLERATES - {8_000}, frozenset({1, 2, 4, 5, 6, 8}), frozenset({16, 24})),
    "amr": Codec(frozenset({8_000}), frozenset({1})),
    "wav": Codec(SAMPLERATES, frozenset({1, 2}), frozenset({16, 24, 32})),
}


def check_audio(mode: AudioMode, config: AudioConfig) -> None:
    """Refuse what the codec cannot hold.

    MusicMode writes at the model's own rate in stereo: rate, bitrate and channels have no effect
    there.

    Raises:
        RequestRefused: Says which value is outside the table.
    """
    name = config.codec or DEFAULT_CODEC
    codec = CODECS.get(name)
    if codec is None:
        raise RequestRefused(f"AudioConfig.Codec must be one of {', '.join(CODECS)}.")
    if config.bit_depth is not None and config.bit_depth not in codec.bit_depths:
        allowed = f"must be one of {_listed(codec.bit_depths)}" if codec.bit_depths else "does not apply"
        raise RequestRefused(f"AudioConfig.BitDepth {allowed} for {name}.")
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


def _listed(values: frozenset[int] | frozenset[str]) -> str:
    return ", ".join(str(value) for value in sorted(values))
