"""Value objects of the media layer: limits, what came in, what is asked for, what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stemline.separation.network import HOP

#: Frames in each block that an `AudioSource` yields (0.74 s).
BLOCK_FRAMES = 32 * HOP


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """How long (seconds of audio) and how big (bytes of file) a source may be."""

    max_duration_s: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What the container says about the source's first audio stream.

    ``bitrate_kbps`` and ``duration_s`` are None where neither the container nor its size tells them.
    """

    codec: str
    samplerate: int
    channels: int
    bitrate_kbps: int | None
    container: str
    duration_s: float | None


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One file to be written; None means the default of docs/media.md (usually: as the source)."""

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
        """Return the ``Format`` element's children as text, in the wire's order."""
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
        """Return the ``Audio`` element's children as text, in the wire's order."""
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
    """What the wire calls MediaInfo, for one file with one audio stream."""

    format: FormatInfo
    audio: AudioInfo

    def wire(self) -> dict[str, dict[str, str]]:
        """Return ``Format`` and ``Audio`` as nested text, in the wire's order."""
        return {"Format": self.format.wire(), "Audio": self.audio.wire()}


@dataclass(frozen=True, slots=True)
class EncodedStem:
    """A finished file: its MD5 (32 lower-case hex) and size (bytes) are those of the bytes on disk."""

    path: Path
    md5: str
    size: int
    media_info: MediaInfo


def _six(value: float) -> str:
    return f"{value:.6f}"
