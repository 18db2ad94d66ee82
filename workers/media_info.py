"""What a job records about the files that it wrote: the texts of the wire's MediaInfo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stemline.separation.media import AudioInfo, FormatInfo, MediaInfo


def recorded_media_info(stems: Sequence[MediaInfo]) -> dict[str, Any]:
    """Return the format of the first stem and the audio of all, by the wire's names and in its order."""
    return {"Format": _format(stems[0].format), "Stream": {"Audio": [_audio(stem.audio) for stem in stems]}}


def _format(info: FormatInfo) -> dict[str, str]:
    return {
        "Bitrate": _decimal(info.bitrate_kbps),
        "Duration": _decimal(info.duration_s),
        "FormatLongName": info.long_name,
        "FormatName": info.name,
        "NumProgram": str(info.num_program),
        "NumStream": str(info.num_stream),
        "Size": str(info.size),
        "StartTime": _decimal(info.start_time_s),
    }


def _audio(info: AudioInfo) -> dict[str, str]:
    return {
        "Bitrate": _decimal(info.bitrate_kbps),
        "Channel": str(info.channels),
        "ChannelLayout": info.channel_layout,
        "CodecLongName": info.codec_long_name,
        "CodecName": info.codec_name,
        "CodecTag": info.codec_tag,
        "CodecTagString": info.codec_tag_string,
        "CodecTimeBase": info.codec_time_base,
        "Duration": _decimal(info.duration_s),
        "Index": str(info.index),
        "Language": info.language,
        "SampleFmt": info.sample_format,
        "SampleRate": str(info.sample_rate),
        "StartTime": _decimal(info.start_time_s),
        "Timebase": info.time_base,
    }


def _decimal(value: float) -> str:
    return f"{value:.6f}"
