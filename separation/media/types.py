"""Value objects of media files: limits, properties of sources, requested outputs, written files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemline.separation.network import HOP

#: Frames in each block that an `AudioSource` yields (0.74 s).
BLOCK_FRAMES = 32 * HOP


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """The longest duration (seconds of audio) and the largest size (bytes) of a source."""

    max_duration_s: float
    max_bytes: int


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

    def wire(self) -> dict[str, str]:
        """Return the children of the wire's `Format` element as text, in its order."""
        return {
            "Bitrate": _six(self.bitrate_kbps),
            "Duration": _six(self.duration_s),
            "FormatLongName": self.long_name,
            "FormatName": self.name,
            "NumProgram": str(self.num_program),
            "NumStream": str(self.num_stream),
            "Size": str(self.size),
            "StartTime": _six(self.start_time_s),
        }


@dataclass(frozen=True, slots=True)
class AudioInfo:
    """The audio stream of a file: bitrate in kbit/s, rate in Hz, times in seconds."""

    bitrate_kbps: float
    channel: int
    channel_layout: str
    codec_long_name: str
    codec_name: str
    codec_tag: str
    codec_tag_string: str
    codec_time_base: str
    duration_s: float
    index: int
    language: str
    sample_fmt: str
    sample_rate: int
    start_time_s: float
    timebase: str

    def wire(self) -> dict[str, str]:
        """Return the children of the wire's `Audio` element as text, in its order."""
        return {
            "Bitrate": _six(self.bitrate_kbps),
            "Channel": str(self.channel),
            "ChannelLayout": self.channel_layout,
            "CodecLongName": self.codec_long_name,
            "CodecName": self.codec_name,
            "CodecTag": self.codec_tag,
            "CodecTagString": self.codec_tag_string,
            "CodecTimeBase": self.codec_time_base,
            "Duration": _six(self.duration_s),
            "Index": str(self.index),
            "Language": self.language,
            "SampleFmt": self.sample_fmt,
            "SampleRate": str(self.sample_rate),
            "StartTime": _six(self.start_time_s),
            "Timebase": self.timebase,
        }


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The properties of a file with one audio stream."""

    format: FormatInfo
    audio: AudioInfo

    def wire(self) -> dict[str, dict[str, str]]:
        """Return the wire's `Format` and `Audio` elements as nested text, in its order."""
        return {"Format": self.format.wire(), "Audio": self.audio.wire()}


@dataclass(frozen=True, slots=True)
class EncodedStem:
    """A written file: the MD5 (32 lower-case hexadecimal digits) and the size of its bytes on disk."""

    path: Path
    md5: str
    size: int
    media_info: MediaInfo


def _six(value: float) -> str:
    return f"{value:.6f}"
