"""Opens a source once and collects all that is known of it before its first sample is decoded."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.audio.stream import AudioStream
from av.container import InputContainer

from stemline.separation.media import checks
from stemline.separation.media.container import first_audio, likely_demuxers, open_container
from stemline.separation.media.containers import HEAD_BYTES, Structure, read_structure
from stemline.separation.media.demuxers import DEMUXERS, Demuxer
from stemline.separation.media.duration import DeclaredDuration, declared_duration
from stemline.separation.media.types import SourceInfo


@dataclass(frozen=True, slots=True)
class Probe:
    """One opened source.

    Attributes:
        file: The file itself, for the bytes that FFmpeg skips.
        structure: What its framing declares.
        container: The same file, opened by FFmpeg.
        stream: Its first audio stream.
        demuxer: The demuxer that reads it.
        declared: The duration that the file declares; None where it declares none.
    """

    file: BinaryIO
    structure: Structure
    container: InputContainer
    stream: AudioStream
    demuxer: Demuxer
    declared: DeclaredDuration | None
    _resources: ExitStack = field(repr=False)

    def close(self) -> None:
        """Close the file."""
        self._resources.close()

    @property
    def tags(self) -> dict[str, str]:
        """The tags of container and stream, by FFmpeg's names."""
        return {**self.container.metadata, **self.stream.metadata}

    @property
    def source(self) -> SourceInfo:
        """Codec, rate, channels, bitrate, container and duration."""
        return SourceInfo(
            codec=self.stream.codec.canonical_name,
            samplerate=self.stream.codec_context.sample_rate,
            channels=self.stream.codec_context.channels,
            bitrate_kbps=_bitrate_kbps(self.container, self.stream),
            container=self.container.format.name,
            duration_s=_duration_s(self.container, self.stream),
        )


def probe_file(path: Path, size: int) -> Probe:
    """Open `path`, a file of `size` bytes; the caller closes the result.

    Raises:
        TruncatedMedia: Its structure ends beyond its last byte.
        DamagedMedia: Its structure has a gap.
        UndecodableMedia: Not a media file that is read here.
        NoAudioStream: A media file without audio.
        OSError: The file cannot be read.
    """
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        head = file.read(HEAD_BYTES)
        structure = read_structure(file, head, size)
        # Before FFmpeg opens it: an mp4 without its end, where the index is, cannot even be opened.
        checks.raise_first(checks.BEFORE_OPENING, structure)
        container = stack.enter_context(open_container(path, *likely_demuxers(path, head)))
        stream = first_audio(container)
        name = container.format.name.split(",")[0]
        demuxer = DEMUXERS.get(name, Demuxer(name))
        return Probe(
            file=file,
            structure=structure,
            container=container,
            stream=stream,
            demuxer=demuxer,
            declared=declared_duration(structure, demuxer, container, stream),
            _resources=stack.pop_all(),
        )


def _duration_s(container: InputContainer, stream: AudioStream) -> float | None:
    if stream.duration is not None and stream.time_base is not None:
        return float(Fraction(stream.duration) * stream.time_base)
    if container.duration is not None:
        return container.duration / 1_000_000
    return None


def _bitrate_kbps(container: InputContainer, stream: AudioStream) -> int | None:
    rate = stream.codec_context.bit_rate
    if not rate and len(container.streams) == 1:
        rate = container.bit_rate
    return max(1, round(rate / 1000)) if rate else None
