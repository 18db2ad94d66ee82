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
#: Codecs whose packets a CAF file gives one length, although they differ.
_VARIABLE_IN_CAF = frozenset({"flac", "opus"})
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
    if demuxer.name == "mp3":
        return _of_mp3(structure, rate)
    start_s = float((stream.start_time or 0) * (stream.time_base or 0))
    found: DeclaredDuration | None = None
    if demuxer.name == "ogg" and len(container.streams) == 1 and structure.last_sample is not None:
        # FFmpeg measures up to the last page that it accepts, not to the last one of the file.
        rate = _OPUS_RATE if stream.codec.canonical_name == "opus" else rate
        if rate:
            seconds = (structure.last_sample - structure.first_sample) / rate - start_s
            found = DeclaredDuration(seconds, demuxer.slack_s, "samples")
    elif demuxer.measures == "streams" and container.duration:
        slack_s = demuxer.slack_s if len(container.streams) == 1 else _SLACK_BESIDE_VIDEO_S
        found = DeclaredDuration(container.duration / 1_000_000, slack_s, "streams")
    elif demuxer.name in {"w64", "wav"} and not is_pcm(stream):
        pass  # an estimate from an average bitrate; the bytes are compared instead
    elif demuxer.name == "caf" and stream.codec.canonical_name in _VARIABLE_IN_CAF:
        pass  # FFmpeg writes a length of packets that is wrong in a part cut without encoding
    elif demuxer.measures == "samples" and stream.duration:
        seconds = float(Fraction(stream.duration) * (stream.time_base or 0))
        if demuxer.name == "ogg":
            seconds -= start_s
        if rate:
            # A program that cuts a flac without encoding it again keeps the length of the whole.
            seconds -= structure.first_sample / rate
        found = DeclaredDuration(seconds, demuxer.slack_s + _uncounted_s(structure, stream), "samples")
    return found


def _of_mp3(structure: Structure, rate: int) -> DeclaredDuration | None:
    """Return the duration that the header frame of an mp3 counts; `rate` in Hz."""
    if not structure.frames or not rate:
        return None
    # Other encoders write no delay and padding, which decoders remove all the same: three frames at most.
    frame_s = frame_samples(rate) / rate
    seconds = max(structure.frames * frame_s - structure.skipped_samples / rate, 0.0)
    return DeclaredDuration(seconds, 4 * frame_s, "samples")


def is_pcm(stream: AudioStream) -> bool:
    """Return whether the samples of a stream are not compressed, so that its header says its bitrate."""
    return stream.codec.canonical_name.startswith("pcm_")


def _uncounted_s(structure: Structure, stream: AudioStream) -> float:
    """Return how much the file's writer may have counted beyond the last sample, seconds."""
    context = stream.codec_context
    if structure.packet_frames > 1 and context.sample_rate:
        return 2 * structure.packet_frames / context.sample_rate
    if is_pcm(stream) and context.bit_rate:
        # FFmpeg counts bytes behind the end as well.
        beyond = max(structure.size - structure.end, 0) if structure.end is not None else 0
        return (EXCESS_BYTES + beyond) * 8 / context.bit_rate
    return 0.0


def in_seconds(ticks: int, base: Fraction) -> float:
    """Return float(ticks * base), which takes three times as long."""
    return ticks * base.numerator / base.denominator


def itunes_padding(tags: Mapping[str, str], decoded: int) -> int:
    """Return how many of the decoded samples are padding by iTunes' `iTunSMPB` tag.

    Its fields are delay, padding and samples. Programs copy it into files that they encode anew: it counts
    only where it leaves out no more than the padding that it names.
    """
    fields = tags.get("iTunSMPB", "").split()
    try:
        padding, samples = int(fields[2], 16), int(fields[3], 16)
    except (IndexError, ValueError):
        return 0
    excess = decoded - samples
    return excess if 0 < excess <= padding else 0
