"""Shortens texts from outside, before they become part of a record or a log line."""

from __future__ import annotations

from typing import Final

MAX_BYTES: Final = 1024
"""Length of a text from outside in a record, bytes of UTF-8."""
_MARK: Final = "…"


def shorten(text: object, max_bytes: int = MAX_BYTES) -> str:
    """Return a text, or what is left of a longer one with a mark at its end.

    Lone surrogates, which no record can hold, become question marks.

    Args:
        text: Anything with a text, such as an exception.
        max_bytes: Length of the returned text, bytes of UTF-8; above 3.
    """
    whole = str(text)
    encoded = whole[: max_bytes + 1].encode(errors="replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    return encoded[: max_bytes - len(_MARK.encode())].decode(errors="ignore") + _MARK
