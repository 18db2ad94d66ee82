"""Which of the source's tags a stem keeps."""

from __future__ import annotations

from collections.abc import Mapping

#: Names as FFmpeg gives them. Anything else (encoder names, brands, pictures, lyrics) stays behind.
KEPT = (
    "title", "artist", "album", "album_artist", "composer", "genre", "date", "track", "disc", "comment",
    "copyright", "publisher", "language",
)  # fmt: skip

#: Longest value that is kept, in characters.
MAX_LENGTH = 1000


def kept_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the tags worth keeping, names in lower case, control characters out of the values."""
    lowered = {name.lower(): value for name, value in tags.items()}
    kept = {}
    for name in KEPT:
        value = "".join(letter for letter in lowered.get(name, "") if letter.isprintable()).strip()
        if value:
            kept[name] = value[:MAX_LENGTH]
    return kept
