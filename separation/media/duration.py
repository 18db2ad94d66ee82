"""The duration that a file declares; a truncated file is shorter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import InputContainer

from stemline.separation.media.containers import EXCESS_BYTES, Structure
from stemline.separation.media.demuxers import Demuxer, Measure
from stemline.separation.media.mpeg import frame_samples

#: How far off a container's duration may be when it is that of a video, seconds.
_SLACK_BESIDE_VIDEO_S = 2.0
#: How far off it may be where a wav counts the bytes of a compressed codec, seconds: a few of its frames.
_SLACK_COMPRESSED_S = 0.5
#: Rate in which positions of Opus in Ogg are counted, Hz (RFC 7845).
_OPUS_RATE = 48_000


@dataclass(frozen=True, slots=True)
class DeclaredDuration:
    """A duration in seconds that the file itself declares, how far off it may be, and what it measures."""

    seconds: float
    slack_s: float
    of: Measure


def declared_duration(
    structure: Structure, demuxer: Demuxer, container: InputContainer, stream: AudioStream
) -> DeclaredDuration | None:
    """Return the duration that the file declares; None where there is only an estimate from its size."""
    rate = stream.codec_context.sample_rate
    start_s = float((stream.start_time or 0) * (stream.time_base or 0))
    if demuxer.name == "mp3":
        if not structure.frames or not rate:
            return None
        # Encoder delay and padding, which decoders remove, are within three frames.
        frame_s = frame_samples(rate) / rate
        return DeclaredDuration(structure.frames * frame_s, 4 * frame_s, "samples")
    if demuxer.name == "ogg" and len(container.streams) == 1 and structure.last_sample is not None:
        # FFmpeg measures up to the last page that it accepts, not to the last one of the file.
        if stream.codec.canonical_name == "opus":
            rate = _OPUS_RATE
        return DeclaredDuration(structure.last_sample / rate - start_s, demuxer.slack_s, "samples")
    if demuxer.measures == "streams" and container.duration:
        slack_s = demuxer.slack_s if len(container.streams) == 1 else _SLACK_BESIDE_VIDEO_S
        return DeclaredDuration(container.duration / 1_000_000, slack_s, "streams")
    if demuxer.measures in {"samples", "packets"} and stream.duration:
        seconds = float(Fraction(stream.duration) * (stream.time_base or 0))
        if demuxer.name == "ogg":
            seconds -= start_s
        slack_s = demuxer.slack_s + _uncounted_s(structure, demuxer, stream)
        return DeclaredDuration(seconds, slack_s, demuxer.measures)
    return None


def _uncounted_s(structure: Structure, demuxer: Demuxer, stream: AudioStream) -> float:
    """Return how much the file's writer may have counted beyond the last sample, seconds."""
    context = stream.codec_context
    if structure.packet_frames > 1 and context.sample_rate:
        return 2 * structure.packet_frames / context.sample_rate
    if context.codec.name.startswith("pcm_") and context.bit_rate:
        # FFmpeg counts bytes behind the end as well.
        beyond = max(structure.size - structure.end, 0) if structure.end is not None else 0
        return (EXCESS_BYTES + beyond) * 8 / context.bit_rate
    if demuxer.name == "wav" and not context.codec.name.startswith("pcm_"):
        return _SLACK_COMPRESSED_S
    return 0.0


def itunes_samples(tags: Mapping[str, str]) -> int | None:
    """Return the samples that iTunes' `iTunSMPB` tag counts, without encoder delay and padding."""
    fields = tags.get("iTunSMPB", "").split()
    try:
        return int(fields[3], 16) or None
    except (IndexError, ValueError):
        return None
