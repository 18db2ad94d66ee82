"""Reading single fields out of a parsed body or a query, with the refusal each fault deserves."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

from stemline.jobs.errors import RequestRefused
from stemline.wire.codec import Fields
from stemline.wire.times import parse_time

MAX_KEY_BYTES = 1024
MAX_URL_CHARS = 2048
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_INTEGER = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z0-9_*\-\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]+")


def text(fields: Mapping[str, Any], name: str) -> str | None:
    """A text as given, or ``None`` where it is absent.

    Raises:
        RequestRefused: the element is repeated or holds elements.
    """
    value = fields.get(name)
    if value is None or value == {}:
        return None
    if not isinstance(value, str):
        raise RequestRefused(f"{name} must be a single text.")
    return value


def word(fields: Mapping[str, Any], name: str) -> str | None:
    """A text without the white space around it."""
    value = text(fields, name)
    return value.strip() if value is not None else None


def choice(fields: Mapping[str, Any], name: str, allowed: Collection[str]) -> str | None:
    """One of some words.

    Raises:
        RequestRefused: another word.
    """
    value = word(fields, name)
    if value is not None and value not in allowed:
        raise RequestRefused(f"{name} must be one of {', '.join(allowed)}.")
    return value


def integer(fields: Mapping[str, Any], name: str, *, least: int = 0, most: int = 999_999_999) -> int | None:
    """A decimal number.

    Raises:
        RequestRefused: not a number, or outside the bounds.
    """
    value = word(fields, name)
    if value is None:
        return None
    if not _INTEGER.fullmatch(value) or not least <= int(value) <= most:
        raise RequestRefused(f"{name} must be a whole number from {least} to {most}.")
    return int(value)


def container(fields: Mapping[str, Any], name: str) -> Fields | None:
    """The children of an element, ``{}`` where all are empty, ``None`` where it is absent.

    Raises:
        RequestRefused: the element is repeated or holds text.
    """
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, dict):
        raise RequestRefused(f"{name} must be a single element with children.")
    return value


def key(fields: Mapping[str, Any], name: str) -> str | None:
    """An object key.

    Raises:
        RequestRefused: too long, or with control characters.
    """
    value = text(fields, name)
    if value is not None and (_CONTROL.search(value) or len(value.encode()) > MAX_KEY_BYTES):
        raise RequestRefused(f"{name} must be at most {MAX_KEY_BYTES} bytes without control characters.")
    return value


def label(fields: Mapping[str, Any], name: str, *, most: int) -> str | None:
    """The name of a queue or template: letters, Chinese characters, digits, ``_``, ``-``, ``*``.

    Raises:
        RequestRefused: other characters, or too many.
    """
    value = word(fields, name)
    if value is not None and (len(value) > most or not _NAME.fullmatch(value)):
        raise RequestRefused(f"{name} must be 1 to {most} letters, digits, _, - or *.")
    return value


def http_url(name: str, value: str) -> str:
    """A URL to send callbacks to.

    Raises:
        RequestRefused: not http(s), no host, or characters that no URL has.
    """
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(value) > MAX_URL_CHARS or _CONTROL.search(value) or " " in value:
        raise RequestRefused(f"{name} must be an http or https URL.")
    return value


def listed(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """The entries of a comma list, each once, in their order."""
    return tuple(dict.fromkeys(item.strip() for item in str(fields.get(name, "")).split(",") if item.strip()))


def moment(query: Mapping[str, str], name: str) -> int | None:
    """A time of a query, µs since the epoch.

    Args:
        query: names in lower case.
        name: as documented.

    Raises:
        RequestRefused: it is none.
    """
    value = query.get(name.lower())
    if value is None:
        return None
    try:
        return parse_time(value)
    except (ValueError, OverflowError):
        raise RequestRefused(f"{name} must be a time such as 2026-03-01T10:20:30+0800.") from None


def page(query: Mapping[str, str]) -> tuple[int, int]:
    """``pageNumber`` (from 1) and ``pageSize`` (1 to 100).

    Raises:
        RequestRefused: one of them is out of bounds.
    """
    number = integer({"pageNumber": query.get("pagenumber")}, "pageNumber", least=1)
    size = integer({"pageSize": query.get("pagesize")}, "pageSize", least=1, most=100)
    return number or 1, size or 10
