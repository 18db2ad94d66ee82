"""Audio files in, audio files out: decode, encode and probe through PyAV, soxr and LAME."""

from __future__ import annotations

from stemline.separation.media.decode import AudioSource, open_audio
from stemline.separation.media.encode import StemWriter
from stemline.separation.media.media_info import media_info
from stemline.separation.media.types import (
    BLOCK_FRAMES,
    AudioInfo,
    EncodedStem,
    FormatInfo,
    MediaInfo,
    MediaLimits,
    OutputSpec,
    SourceInfo,
)

__all__ = [
    "BLOCK_FRAMES",
    "AudioInfo",
    "AudioSource",
    "EncodedStem",
    "FormatInfo",
    "MediaInfo",
    "MediaLimits",
    "OutputSpec",
    "SourceInfo",
    "StemWriter",
    "media_info",
    "open_audio",
]
