"""Escapes characters that a terminal would obey, or that reorder text, in texts from anyone."""

from __future__ import annotations

import re
from typing import Final

#: Controls (C0, C1), marks of direction and invisible ones, ends of lines and paragraphs, lone surrogates.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SHORT: Final = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
_BEYOND_16_BITS: Final = 0x10000


def escape(text: str, kept: str = "") -> str:
    """Return a text with such characters, but for those that are kept, as JSON escapes them."""
    return _UNSAFE.sub(lambda found: found[0] if found[0] in kept else _escaped(found[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < _BEYOND_16_BITS:
        return _SHORT.get(character) or f"\\u{code:04x}"
    high, low = divmod(code - _BEYOND_16_BITS, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
