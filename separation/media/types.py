"""Value objects of media files: limits, properties of sources, requested outputs, written files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from stemline.separation.measure import Levels
from stemline.separation.network import HOP

#: Frames in each block that an `AudioSource` yields (0.74 s).
BLOCK_FRAMES = 32 * HOP


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """What a source may have.

    Attributes:
        max_duration_s: The longest duration, seconds of audio.
        max_bytes: The largest size.
        max_pause_s: The longest pause in the audio that becomes silence, seconds.
    """

    max_duration_s: float
    max_bytes: int
    max_pause_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """The source's first audio stream, as its container describes it.

    `bitrate_kbps` and `duration_s` are None where they are not known.
    """

    codec: str
    samplerate: int
    channels: int
    bitrate_kbps: int | None
    container: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One file to be written; None is the default of docs/media.md, mostly the value of the source."""

    path: Path
    codec: str
    samplerate: int | None = None
    bitrate_kbps: int | None = None
    channels: int | None = None
    bit_depth: int | None = None


@dataclass(frozen=True, slots=True)
class FormatInfo:
    """The file as a whole: bitrate in kbit/s, duration and start time in seconds, size in bytes."""

    bitrate_kbps: float
    duration_s: float
    long_name: str
    name: str
    num_program: int
    num_stream: int
    size: int
    start_time_s: float


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The audio stream of a file: bitrate in kbit/s, rate in Hz, times in seconds."""

    bitrate_kbps: float
    channels: int
    channel_layout: str
    codec_long_name: str
    codec_name: str
    codec_tag: str
    codec_tag_string: str
    codec_time_base: str
    duration_s: float
    index: int
    language: str
    sample_format: str
    sample_rate: int
    start_time_s: float
    time_base: str


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The properties of a file with one audio stream."""

    format: FormatInfo
    audio: AudioInfo


@dataclass(frozen=True, slots=True)
class EncodedStem:
    """A written file.

    Attributes:
        path: Where it is.
        size: Its bytes on disk.
        media_info: Its properties, as they are read back.
        bitrate_bps: What the encoder was set to, bit/s; 0 where there is nothing to set.
        levels: Peak, clipping and loudness.
    """

    path: Path
    size: int
    media_info: MediaInfo
    bitrate_bps: int = 0
    levels: Levels = field(default_factory=Levels)
