"""What a separation produces and how its tracks are encoded (docs/wire/wire.md, 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

TAG = "VoiceSeparate"
"""The tag of every job and template on the wire."""


class AudioMode(StrEnum):
    """Which tracks a job asks for (docs/wire/wire.md, 3.2)."""

    IS_AUDIO = "IsAudio"
    IS_BACKGROUND = "IsBackground"
    AUDIO_AND_BACKGROUND = "AudioAndBackground"
    MUSIC_MODE = "MusicMode"


class Track(StrEnum):
    """A stem, named by the element of the output that asks for it, in the order of the wire."""

    VOICE = "AuObject"
    BACKGROUND = "Object"
    BASS = "BassObject"
    DRUM = "DrumObject"


MODE_TRACKS: Mapping[AudioMode, tuple[Track, ...]] = {
    AudioMode.IS_AUDIO: (Track.VOICE,),
    AudioMode.IS_BACKGROUND: (Track.BACKGROUND,),
    AudioMode.AUDIO_AND_BACKGROUND: (Track.VOICE, Track.BACKGROUND),
    AudioMode.MUSIC_MODE: (Track.VOICE, Track.BACKGROUND, Track.BASS, Track.DRUM),
}
"""The tracks that each mode can write."""


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """How tracks are encoded; what is ``None`` was not given and is decided when the job runs."""

    codec: str | None = None
    samplerate: int | None = None
    """Hz."""
    bitrate: int | None = None
    """kbit/s."""
    channels: int | None = None
    bit_depth: int | None = None
    """Bits of a sample, for wav and flac; 32 is floating point."""


@dataclass(frozen=True, slots=True)
class VoiceSeparate:
    """The parameters of a separation, given in a job or stored in a template."""

    audio_mode: AudioMode
    audio_config: AudioConfig = AudioConfig()
    model: str | None = None
    """The model that separates; ``None`` for the one that the service chooses for the mode."""
