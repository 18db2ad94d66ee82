"""Opens a source once and collects all that is known of it before its first sample is decoded."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream

from stemline.separation.errors import UndecodableMedia
from stemline.separation.media import checks, float_samples, program_config
from stemline.separation.media.container import likely_demuxers, open_container
from stemline.separation.media.containers import HEAD_BYTES, MAX_LINKS, Structure, read_structure
from stemline.separation.media.demuxers import DEMUXERS, Demuxer
from stemline.separation.media.duration import DeclaredDuration, declared_duration, is_pcm
from stemline.separation.media.layouts import take_order
from stemline.separation.media.packet_count import Opener, PacketCount, count_packets
from stemline.separation.media.span import Span
from stemline.separation.media.tracks import audio_track
from stemline.separation.media.types import SourceInfo

#: Codecs whose frames each have their own number of channels, in whatever container.
_SELF_DESCRIBED = frozenset(
    {"aac", "aac_latm", "ac3", "dts", "eac3", "flac", "mlp", "mp1", "mp2", "mp3", "opus", "truehd"}
)


@dataclass(frozen=True)
class Probe:
    """One opened source.

    Attributes:
        file: The file itself, for the bytes that FFmpeg skips.
        structure: What its framing declares.
        container: The same file, opened by FFmpeg.
        stream: The chosen audio track.
        demuxer: The demuxer that reads it.
        declared: The duration that the file declares; None where it declares none.
        opener: Opens the same bytes once more.
        holds_floats: Whether its samples are floats, which the file calls integers.
        channel_names: Of the track, in the order that the file declares.
    """

    file: BinaryIO
    structure: Structure
    container: InputContainer
    stream: AudioStream
    demuxer: Demuxer
    declared: DeclaredDuration | None
    channel_names: tuple[str, ...]
    opener: Opener
    holds_floats: bool
    _resources: ExitStack = field(repr=False)

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    @property
    def tags(self) -> dict[str, str]:
        """The tags of container and stream, by FFmpeg's names."""
        return {**self.container.metadata, **self.stream.metadata}

    @property
    def may_widen(self) -> bool:
        """Whether a stream that is mono at its start may become stereo, for all that is known of it."""
        may_change = self.demuxer.may_change or self.stream.codec.canonical_name in _SELF_DESCRIBED
        return may_change and not self.structure.channels

    @property
    def declared_bytes(self) -> int:
        """What the container counts as the bytes of the track; 0 where it does not."""
        return self.structure.stream_bytes.get(self.stream.index, 0)

    @property
    def scale(self) -> float:
        """The factor by which decoded samples are multiplied."""
        return self.structure.samples.scales.get(self.stream.index, 1.0)

    @cached_property
    def packets(self) -> PacketCount | None:
        """The packets of the track, where its headers promise neither bitrate nor duration."""
        if self.demuxer.counts_packets:
            is_needed = not is_pcm(self.stream)
        else:
            is_needed = self.structure.lacks_lengths or self.container.duration is None
        if not is_needed:
            return None
        return count_packets(self.opener, self.demuxer.name, self.stream.index)

    @property
    def source(self) -> SourceInfo:
        """Codec, rate, channels, bitrate, container and duration."""
        return SourceInfo(
            codec=self.stream.codec.canonical_name,
            samplerate=self.stream.codec_context.sample_rate,
            # The decoder may make more of a stream than its headers say: stereo of mono (parametric stereo).
            channels=max(self.structure.channels, self.stream.codec_context.channels),
            bitrate_kbps=_bitrate_kbps(self),
            container=self.container.format.name,
            duration_s=_duration_s(self),
        )


def probe_file(path: Path, size: int, track: str | None = None) -> tuple[Probe, ...]:
    """Open `path`, a file of `size` bytes, for one of its audio tracks.

    Returns:
        One opened source, or one for each link of a chained Ogg file; the caller closes them.

    Raises:
        TruncatedMedia: Its structure ends beyond its last byte.
        DamagedMedia: Its structure has a gap.
        UndecodableMedia: Not a media file that is read here.
        NoAudioStream: A media file without audio.
        OptionError: A media file without that track.
        OSError: The file cannot be read.
    """
    if not size:
        raise UndecodableMedia("The source is an empty file.")
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
        structure = read_structure(file, head, size)
    # Before FFmpeg opens it: an mp4 without its end, where the index is, cannot even be opened.
    checks.raise_first(checks.BEFORE_OPENING, structure)
    if structure.foreign_bytes and not structure.links:
        return (_open(_span(path, 0, size, structure), [None], structure, track),)
    if not structure.links:
        if structure.samples.corrections or structure.reads_on:
            return (_open(_span(path, 0, size, structure), likely_demuxers(path, head), structure, track),)
        return (_open(lambda: path, likely_demuxers(path, head), structure, track),)
    if len(structure.links) > MAX_LINKS:
        raise UndecodableMedia(f"The source is a chain of more than {MAX_LINKS} files.")
    bounds = (0, *structure.links, size)
    probes: list[Probe] = []
    metadata = 0
    with ExitStack() as stack:
        for start, end in pairwise(bounds):
            with Span(path.open("rb"), start, end) as part_of_file, io.BufferedReader(part_of_file) as file:
                part = read_structure(file, file.read(HEAD_BYTES), end - start)
            metadata += part.metadata_bytes  # all links are open at a time
            checks.raise_first(checks.BEFORE_OPENING, replace(part, metadata_bytes=metadata))
            opener = _span(path, start, end, part)
            probes.append(_open(opener, ["ogg" if head[:4] == b"OggS" else None], part, track))
            stack.callback(probes[-1].close)
        stack.pop_all()
    return tuple(probes)


def _span(path: Path, start: int, end: int, structure: Structure) -> Callable[[], io.BufferedReader]:
    """Return what opens a part of a file as FFmpeg is to see it: without leading tags, with corrections."""
    first, last = start + structure.foreign_bytes, end
    if structure.reads_on and structure.end is not None:
        last = min(end, start + structure.end)
    shown = structure.samples.corrections
    return lambda: io.BufferedReader(Span(path.open("rb"), first, last, corrections=shown))


def _open(opener: Opener, demuxers: list[str | None], structure: Structure, track: str | None) -> Probe:
    """Open one source, or one link of it."""
    with ExitStack() as stack:
        source = opener()
        file = stack.enter_context(source.open("rb") if isinstance(source, Path) else source)
        container = stack.enter_context(open_container(source, *demuxers))
        stream = audio_track(container, track, structure.samples.unreadable)
        name = container.format.name.split(",")[0]
        demuxer = DEMUXERS.get(name, Demuxer(name))
        return Probe(
            file=file,
            structure=structure,
            container=container,
            stream=stream,
            demuxer=demuxer,
            declared=None
            if structure.lacks_lengths
            else declared_duration(structure, demuxer, container, stream),
            channel_names=_channel_names(stream, opener, name),
            opener=opener,
            holds_floats=_holds_floats(stream, opener, name),
            _resources=stack.pop_all(),
        )


def _channel_names(stream: AudioStream, opener: Opener, demuxer: str) -> tuple[str, ...]:
    """Return the names of a stream's channels, in the order that the file declares."""
    context = stream.codec_context
    names = take_order(context)
    if context.codec.canonical_name in {"aac", "aac_latm"} and "NONE" in names and len(names) > 1:
        return program_config.channel_names(context.extradata, opener, demuxer, stream.index) or names
    return names


def _holds_floats(stream: AudioStream, opener: Opener, demuxer: str) -> bool:
    may_be_wrong = stream.codec.name == float_samples.CODEC and demuxer in float_samples.DEMUXERS
    return may_be_wrong and float_samples.are_floats(opener, demuxer, stream.index)


def chain_source(probes: Sequence[Probe]) -> SourceInfo:
    """Return the properties of a source: those of its first link, the most channels, the whole duration."""
    found = [probe.source for probe in probes]
    durations = [each.duration_s for each in found]
    return replace(
        found[0],
        channels=max(each.channels for each in found),
        duration_s=None if None in durations else sum(each or 0.0 for each in durations),
    )


def _duration_s(probe: Probe) -> float | None:
    """Return how long the audio lasts, by its packets or what the file declares, seconds; None if unknown."""
    container, stream = probe.container, probe.stream
    packets = probe.packets
    if probe.structure.duration_s is not None:
        seconds = probe.structure.duration_s
    elif packets is not None and packets.is_whole and packets.seconds:
        seconds = packets.seconds
    elif probe.structure.lacks_lengths:
        return None
    elif probe.declared is not None and probe.demuxer.name in {"flac", "ogg"}:
        # FFmpeg does not see where the stream starts.
        seconds = probe.declared.seconds
    elif stream.duration is not None and stream.time_base is not None:
        seconds = float(Fraction(stream.duration) * stream.time_base)
    elif container.duration is not None:
        seconds = container.duration / 1_000_000 - _late_s(probe)
    else:
        return None
    return seconds if seconds > 0 else None


def _late_s(probe: Probe) -> float:
    """Return how much of the container's duration lies before the audio, seconds."""
    stream = probe.stream
    if stream.start_time is None or not stream.time_base:
        return 0.0
    # Matroska counts from zero, others from the start of their first stream.
    origin = 0 if probe.demuxer.name == "matroska" else probe.container.start_time or 0
    return max(float(stream.start_time * stream.time_base) - origin / 1_000_000, 0.0)


def _bitrate_kbps(probe: Probe) -> int | None:
    """Return the bitrate of the audio, in kbit/s; None where it shares the file, and none is given.

    A header is trusted for samples that are not compressed, of an mp3, and of an mp4, whose index counts the
    bytes and whose duration may be that of a part; others name what an encoder was asked for, or the bitrate
    of the first frame.
    """
    structure, stream = probe.structure, probe.stream
    rate = stream.codec_context.bit_rate
    if structure.bitrate_kbps:
        return structure.bitrate_kbps
    if probe.packets is not None and probe.packets.bitrate_kbps:
        return probe.packets.bitrate_kbps
    is_alone = all(each is stream or not _has_bitrate(each) for each in probe.container.streams)
    is_promised = rate and (is_pcm(stream) or probe.demuxer.name in {"mp3", "mov"})
    duration_s = _duration_s(probe)
    if is_alone and duration_s and not is_promised:
        end = structure.size if structure.end is None else min(structure.end, structure.size)
        rate = round(max(end - structure.metadata_bytes, 0) * 8 / duration_s) or rate
    return max(1, round(rate / 1000)) if rate else None


def _has_bitrate(stream: Stream) -> bool:
    """Return whether a stream takes a noticeable part of the file: no picture, text or attachment."""
    if stream.type == "video":
        return not stream.disposition & Disposition.attached_pic
    return stream.type == "audio"
