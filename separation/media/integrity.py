"""What a file says about its own length, where it says it: the means to tell a whole file from a cut one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.audio.stream import AudioStream
from av.container import InputContainer

from stemline.separation.media.id3 import tag_bytes
from stemline.separation.media.mpeg import declared_bytes
from stemline.separation.media.truncation import ogg_last_sample

# Demuxers whose audio stream carries an exact duration, in seconds of slack.
_EXACT = {
    **dict.fromkeys(("aiff", "ape", "caf", "flac", "tak", "tta", "w64", "wav", "wv"), 0.001),
    "ogg": 0.1,
    "mov": 0.25,
}
# Demuxers whose container carries a duration of all streams together, in seconds of slack.
_SLACK_ALONE_S = {"matroska": 0.1, "flv": 0.25, "asf": 0.25}
_SLACK_BESIDE_VIDEO_S = 2.0


@dataclass(frozen=True, slots=True)
class Declared:
    """A duration in seconds that the file itself states, how far off it may be, and what it measures.

    ``of`` is what has to last that long: the decoded samples, the stream's packets, or those of all streams.
    """

    duration_s: float
    slack_s: float
    of: Literal["samples", "packets", "streams"]


def demuxer(container: InputContainer) -> str:
    """Return the first of the demuxer's names."""
    return container.format.name.split(",")[0]


def declared(path: Path, container: InputContainer, stream: AudioStream) -> Declared | None:
    """Return the duration the file states; None where there is only a guess from size and bitrate."""
    name = demuxer(container)
    if name == "ogg" and len(container.streams) == 1 and (last := ogg_last_sample(path)) is not None:
        # FFmpeg measures up to the last page that it accepts, not to the last one that is there.
        rate = 48_000 if stream.codec.canonical_name == "opus" else stream.codec_context.sample_rate
        start_s = float((stream.start_time or 0) * (stream.time_base or 0))
        return Declared(last / rate - start_s, _EXACT[name], "samples")
    if name == "mp3":
        rate = stream.codec_context.sample_rate
        frames = _frames_in_header(path)
        # Encoder delay and padding, which decoders take off, are within three frames.
        frame_s = (1152 if rate >= 32_000 else 576) / rate if rate else 0.0
        return Declared(frames * frame_s, 4 * frame_s, "samples") if frames else None
    if stream.duration and name in _EXACT:
        return Declared(_seconds(stream), _EXACT[name], "samples")
    if stream.duration and name == "avi":
        return Declared(_seconds(stream), 0.1, "packets")
    if container.duration and name in _SLACK_ALONE_S:
        slack_s = _SLACK_ALONE_S[name] if len(container.streams) == 1 else _SLACK_BESIDE_VIDEO_S
        return Declared(container.duration / 1_000_000, slack_s, "streams")
    return None


def is_frame_tail(name: str, data: bytes) -> bool:
    """Say whether an undecodable last packet is a cut frame, not a foreign tag."""
    if name == "mp3":
        return declared_bytes(data[:4]) is not None
    if name == "aac":
        return data[:1] == b"\xff" and len(data) > 1 and data[1] & 0xF6 == 0xF0
    return True


def is_short_mpeg_frame(data: bytes) -> bool:
    """Say whether ``data`` is an MPEG audio frame that lacks its end."""
    length = declared_bytes(data[:4])
    return length is not None and length > len(data)


def itunes_samples(tags: Mapping[str, str]) -> int | None:
    """Return the samples that iTunes' ``iTunSMPB`` tag counts, without encoder delay and padding."""
    fields = tags.get("iTunSMPB", "").split()
    try:
        return int(fields[3], 16) or None
    except (IndexError, ValueError):
        return None


def _seconds(stream: AudioStream) -> float:
    return float(Fraction(stream.duration or 0) * (stream.time_base or 0))


def _frames_in_header(path: Path) -> int:
    """Return how many frames the Xing, Info or VBRI header of an mp3 counts; 0 where there is none."""
    with path.open("rb") as file:
        file.seek(tag_bytes(file.read(32)))
        start = file.read(4096)
    for mark in (b"Xing", b"Info"):
        at = start.find(mark)
        if at >= 0 and len(start) >= at + 12 and start[at + 7] & 1:
            return int.from_bytes(start[at + 8 : at + 12], "big")
    at = start.find(b"VBRI")
    return int.from_bytes(start[at + 14 : at + 18], "big") if at >= 0 else 0
