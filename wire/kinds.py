"""Kinds of texts: how each is read from a request, written in an answer, and described in OpenAPI."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from stemline.jobs.tenant import BUCKET_NAME
from stemline.wire import times

Schema: TypeAlias = Mapping[str, Any]

MAX_KEY_BYTES: Final = 1024
MAX_TEXT_CHARS: Final = 2048
"""Longest text of any element, unless its kind says otherwise."""
_MAX_URL_CHARS = 2048
_MAX_WORD_CHARS = 255
_MAX_QUERY_CHARS = 64 << 10
"""More than the head of a request may have."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""C0, C1, which terminals interpret too, line separators, and halves of pairs."""
_NAME = r"[A-Za-z0-9_*\-\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+"
_DIGITS = re.compile("[0-9]{1,9}")
_STRING: Final[Schema] = {"type": "string"}


@dataclass(frozen=True, eq=False)
class Kind:
    """One kind of text."""

    read: Callable[[str], Any] = str
    """From the text of a request to its value; raises ``ValueError`` for a text of another kind."""
    refusal: str = ""
    """Message for a text of another kind, with ``{name}`` for the name of the element."""
    schema: Schema = field(default_factory=lambda: _STRING)
    shown: Schema | None = None
    """JSON schema in answers where it differs, because an answer may hold an empty text."""
    parameter: Schema | None = None
    """JSON schema as a query parameter where it differs."""
    write: Callable[[Any], str | None] = lambda value: None if value is None else str(value)
    """From a value to its text; ``None`` leaves the element out."""
    strip: bool = True
    """Whether white space around the text is ignored."""
    most: int = MAX_TEXT_CHARS
    """Longest text that is read, characters: what a client gives is stored, shown and sent."""


def split(text: str) -> dict[str, None]:
    """Return the entries of a comma list as keys, each once, in their order."""
    return dict.fromkeys(item.strip() for item in text.split(",") if item.strip())


def spelled(text: str, words: Iterable[str]) -> str | None:
    """Return the one of the words that a text is in any case, or ``None``."""
    known = [str(word) for word in words]
    if text in known:
        return text
    return next((word for word in known if word.lower() == text.lower() and text.isascii()), None)


def one_of(*words: str, make: Callable[[str], Any] = str, others: Mapping[str, str] | None = None) -> Kind:
    """Return the kind of a fixed set of words, in any case: the vendor's API accepts any.

    Args:
        words: The words, spelled as in answers.
        make: Converts a word to its value.
        others: Further accepted words, in lower case, and the word that each stands for.
    """
    exact = frozenset(map(str, words))

    def read(text: str) -> Any:
        word = text if text in exact else spelled(text, words) or (others or {}).get(text.lower())
        if word is None:
            raise ValueError(text)
        return make(word)

    allowed = words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    return Kind(read, f"{{name}} must be {allowed}.", {"type": "string", "enum": [*map(str, words)]})


def subset_of(*words: str) -> Kind:
    """Return the kind of a comma list of such words in any case, kept as one text."""

    def read(text: str) -> str:
        return ",".join(dict.fromkeys(one.read(item) for item in split(text)))

    one = one_of(*words)

    return Kind(read, f"{{name}} must be a list of {', '.join(words)}.")


def integer(least: int = 0, most: int = 999_999_999) -> Kind:
    """Return the kind of a decimal number within bounds."""

    def read(text: str) -> int:
        if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(text)
        return int(text)

    few = {"enum": [str(number) for number in range(least, most + 1)]} if most < 10 else {}
    return Kind(
        read,
        f"{{name}} must be a whole number from {least} to {most}.",
        {"type": "string", **(few or {"pattern": "^[0-9]+$"})},
        parameter={"type": "integer", "minimum": least, "maximum": most},
    )


def page_number(default: int, most: int = 999_999_999) -> Kind:
    """Return the kind of a number from 1 in which 0 means the default: the iOS SDK sends 0 for "not set"."""
    kind = integer(0, most)
    return replace(
        kind,
        read=lambda text: kind.read(text) or default,
        refusal=f"{{name}} must be a whole number from 1 to {most}.",
    )


def decimal(places: int, *, unit: float = 1, sign: str = "") -> Kind:
    """Return the kind of a measured number, which is shown only.

    Args:
        places: Digits behind the point.
        unit: What one stands for, in the unit of the value.
        sign: Regular expression of the signs that a number may have.
    """
    return Kind(
        schema={"type": "string", "pattern": rf"^{sign}[0-9]+\.[0-9]{{{places}}}$"},
        write=lambda value: None if value is None else f"{value / unit:.{places}f}",
    )


def matching(pattern: str, refusal: str = "", schema: Schema | None = None, **options: Any) -> Kind:
    """Return the kind of a text that matches a regular expression, which by default is its schema too."""
    form = re.compile(pattern)

    def read(text: str) -> str:
        if not form.fullmatch(text):
            raise ValueError(text)
        return text

    return Kind(read, refusal, schema or {"type": "string", "pattern": pattern}, **options)


def name(most: int) -> Kind:
    """Return the kind of a name: Chinese characters, letters, digits, ``_``, ``-`` and ``*``."""
    return matching(
        f"(?=.{{1,{most}}}$){_NAME}",
        f"{{name}} must be 1 to {most} letters, digits, _, - or *.",
        {"type": "string", "maxLength": most},
    )


def printable(most: int) -> Kind:
    """Return the kind of a text of printable ASCII characters, kept as it is."""
    return matching(
        f"[ -~]{{0,{most}}}",
        f"{{name}} must be at most {most} printable ASCII characters.",
        {"type": "string", "maxLength": most, "pattern": "^[ -~]*$"},
        strip=False,
    )


def inside(parent: str, kind: Kind) -> Kind:
    """Return the kind that names the element with its container where it refuses a text."""
    return replace(kind, refusal=f"{parent}.{kind.refusal}")


def shown_empty(kind: Kind) -> Kind:
    """Return the kind whose element may be empty in answers."""
    return replace(kind, shown=_STRING)


def hidden_empty(kind: Kind) -> Kind:
    """Return the kind whose element is left out of answers while its text is empty."""
    return replace(kind, write=lambda value: value or None)


def _object_key(text: str) -> str:
    if _CONTROL.search(text) or len(text.encode()) > MAX_KEY_BYTES:
        raise ValueError(text)
    # HTTP clients and stores in folders resolve such segments: the object would be another one.
    if not {".", ".."}.isdisjoint(text.split("/")):
        raise ValueError(text)
    return text


def _url_text(text: str) -> str:
    if len(text) > _MAX_URL_CHARS:
        raise ValueError(text)
    return text


def _http_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError(text)
    if len(text) > _MAX_URL_CHARS or _CONTROL.search(text) or " " in text:
        raise ValueError(text)
    return text


TEXT: Final = Kind(strip=False)
QUERY_TEXT: Final = replace(TEXT, most=_MAX_QUERY_CHARS)
"""A parameter that is compared with what is stored, and not stored itself."""
WORD: Final = Kind(refusal=f"{{name}} must be at most {_MAX_WORD_CHARS} characters.", most=_MAX_WORD_CHARS)
COMMA_LIST: Final = Kind(lambda text: tuple(split(text)), most=_MAX_QUERY_CHARS)
BUCKET: Final = matching(
    BUCKET_NAME,
    "{name} must be the name of a bucket: 3 to 63 lower-case letters, digits and hyphens.",
)
KEY: Final = Kind(
    _object_key,
    f"{{name}} must be at most {MAX_KEY_BYTES} bytes without control characters and . or .. segments.",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_BYTES},
    strip=False,
)
"""An object key."""
TIME: Final = Kind(
    times.parse_time,
    "{name} must be a time such as 2026-03-01T10:20:30+0800.",
    {"type": "string", "pattern": times.PATTERN},
    parameter=_STRING,
    write=times.format_time,
)
"""A time, µs since the epoch."""
DECIBELS: Final = decimal(2, sign="-?")
HTTP_URL: Final = Kind(
    _http_url,
    "{name} must be an http or https URL.",
    {"type": "string", "pattern": "^https?://"},
    shown=_STRING,
)
URL_TEXT: Final = Kind(
    _url_text,
    f"{{name}} must be at most {_MAX_URL_CHARS} characters.",
    {"type": "string", "maxLength": _MAX_URL_CHARS},
)
"""A text that is used and checked as a URL only under a condition."""
CALLBACK: Final = replace(
    HTTP_URL,
    read=lambda text: "no" if text.lower() == "no" else _http_url(text),
    schema={"type": "string", "pattern": "^(https?://.*|no)$"},
)
"""A URL, or ``no`` in any case."""
