"""A stem that no encoder wrote, for tests and benchmarks whose worker has no engine."""

from __future__ import annotations

from stemline.separation.media import AudioInfo, FormatInfo, MediaInfo

#: The properties of such a stem.
NO_MEDIA_INFO = MediaInfo(
    FormatInfo(0.0, 0.0, "", "", 0, 1, 0, 0.0),
    AudioInfo(0.0, 1, "mono", "", "", "", "", "", 0.0, 0, "und", "", 0, 0.0, ""),
)
