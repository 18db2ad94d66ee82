"""Which letters a name may have wherever it is written: in a key, a file name, a line of a terminal."""

from __future__ import annotations

import unicodedata
from typing import Final

_JOINERS: Final = "\u200c\u200d"
"""Parts of words in Persian and the scripts of India, and of emoji of several; they move nothing else."""


def is_writable(letter: str) -> bool:
    """Return whether a letter may be written as it is.

    Joiners and the wide, narrow and fixed spaces may, which Python calls unprintable. Controls, ends of
    lines, signs that change the direction of text, private and unknown letters may not.
    """
    return letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == "Zs"
