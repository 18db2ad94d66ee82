"""How signatures spell names and values: percent-encoded, names in lower case (docs/wire/wire.md, 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import quote_from_bytes

_UNRESERVED = re.compile(r"[A-Za-z0-9_.~-]*")
"""A text that is its own encoding, as nearly every name and many values are."""


def encode(value: str | bytes) -> str:
    """Return the percent-encoding of the UTF-8 bytes, with the unreserved set of RFC 3986."""
    if isinstance(value, str):
        if _UNRESERVED.fullmatch(value):
            return value
        value = value.encode("utf-8", "surrogateescape")
    return quote_from_bytes(value, safe="-_.~")


@lru_cache(256)
def spelled(name: str | bytes) -> str:
    """Return a name of a parameter or a header the way a signature spells it: encoded, in lower case.

    Names must be compared in this form: ``str.lower`` makes an ASCII ``k`` of U+212A, so a parameter that a
    signature does not list would stand for one that it does.
    """
    return encode(name).lower()


def spelled_names(names: Iterable[str | bytes]) -> tuple[str, ...]:
    """Return names the way a signature spells them: encoded, in lower case, sorted, each once."""
    return tuple(sorted({spelled(name) for name in names}))
