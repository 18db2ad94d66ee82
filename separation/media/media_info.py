"""Reads the properties of a written file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from av.audio.layout import AudioLayout
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.format import ContainerFormat

from stemline.separation.media.container import open_container
from stemline.separation.media.tracks import audio_track
from stemline.separation.media.types import AudioInfo, FormatInfo, MediaInfo

# Elementary streams declare no duration: their packets are counted instead.
_COUNTED = frozenset({"aac", "amr"})
#: A header of wav says it all; FFmpeg would look for other codecs among samples, 2 ms for a second of audio.
_ENOUGH = {"wav": 4096}
_FOURCC_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.- _")


def media_info(path: Path, demuxer: str | None = None) -> MediaInfo:
    """Return the properties of `path` and of its first audio stream.

    Args:
        path: The file.
        demuxer: FFmpeg's name of its container, for files that are too short to be recognised.

    Raises:
        UndecodableMedia: It is not a media file.
        NoAudioStream: It has no audio.
    """
    size = path.stat().st_size
    with open_container(path, demuxer, search_bytes=_ENOUGH.get(demuxer or "")) as container:
        stream = audio_track(container)
        counted = container.format.name in _COUNTED
        duration_s = _counted_s(container, stream) if counted else _declared_s(container, stream)
        overall_kbps = size * 8 / duration_s / 1000 if duration_s else 0.0
        base = stream.time_base or Fraction(1, 1)
        start_s = float((stream.start_time or 0) * base)
        context = stream.codec_context
        nominal = 0 if counted else context.bit_rate
        return MediaInfo(
            format=FormatInfo(
                bitrate_kbps=overall_kbps,
                duration_s=duration_s,
                long_name=ContainerFormat(container.format.name.split(",")[0], "r").long_name,
                name=container.format.name,
                num_program=0,
                num_stream=len(container.streams),
                size=size,
                start_time_s=start_s,
            ),
            audio=AudioInfo(
                bitrate_kbps=nominal / 1000 if nominal else overall_kbps,
                channels=context.channels,
                channel_layout=_layout_name(context.layout),
                codec_long_name=stream.codec.long_name,
                codec_name=stream.codec.canonical_name,
                codec_tag=f"0x{int.from_bytes(context.codec_tag.encode('latin-1'), 'little'):04x}",
                codec_tag_string=_tag_string(context.codec_tag),
                codec_time_base=f"1/{context.sample_rate}",
                duration_s=duration_s,
                index=stream.index,
                language=stream.language or "und",
                sample_format=context.format.name,
                sample_rate=context.sample_rate,
                start_time_s=start_s,
                time_base=f"{base.numerator}/{base.denominator}",
            ),
        )


def _layout_name(layout: AudioLayout) -> str:
    """Return the name of the layout; a plain wav file gives only the number of channels."""
    return {1: "mono", 2: "stereo"}.get(layout.nb_channels, layout.name)


def _declared_s(container: InputContainer, stream: AudioStream) -> float:
    if stream.duration is not None and stream.time_base is not None:
        return float(Fraction(stream.duration) * stream.time_base)
    return (container.duration or 0) / 1_000_000


def _counted_s(container: InputContainer, stream: AudioStream) -> float:
    """Return the duration of all packets together, in seconds."""
    base = stream.time_base or Fraction(0)
    return float(sum(packet.duration or 0 for packet in container.demux(stream)) * base)


def _tag_string(tag: str) -> str:
    """Return a codec tag as FFmpeg prints it: letters as they are, other bytes in brackets."""
    return "".join(letter if letter in _FOURCC_LETTERS else f"[{ord(letter)}]" for letter in tag)
