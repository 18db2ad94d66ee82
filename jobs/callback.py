"""Where the end of a job is announced (docs/wire/wire.md, 7.1 and 7.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

MASK = "***"
_SECRET_SEGMENT_CHARS = 8


def masked_url(url: str) -> str:
    """Return a URL without what may be secret in it: user, password, path, values of the query, fragment."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    if url and not parts.netloc:  # any text may be kept while notifications are off
        return MASK
    host = parts.netloc.rpartition("@")
    netloc = f"{MASK}@{host[2]}" if host[1] else host[2]
    query = "&".join(_masked_pair(pair) for pair in parts.query.split("&")) if parts.query else ""
    path = f"/{MASK}" if parts.path.strip("/") else parts.path
    fragment = MASK if parts.fragment else ""
    return urlunsplit(parts._replace(netloc=netloc, path=path, query=query, fragment=fragment))


def secrets_in_url(url: str) -> tuple[str, ...]:
    """Return the texts that :func:`masked_url` hides, the longest first."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    user = parts.netloc.rpartition("@")[0]
    pairs = [pair.rpartition("=")[2] for pair in parts.query.split("&")]
    # Short segments, such as "hooks", are words that an answer may hold as well.
    segments = [segment for segment in parts.path.split("/") if len(segment) >= _SECRET_SEGMENT_CHARS]
    found = {user, user.rpartition(":")[2], parts.path, parts.query, parts.fragment, *pairs, *segments}
    decoded = {unquote(text) for text in found}
    return tuple(sorted((text for text in found | decoded if len(text) > 2), key=len, reverse=True))


def _masked_pair(pair: str) -> str:
    name, sign, value = pair.partition("=")
    if not sign:
        return MASK  # a value without a name
    return f"{name}={MASK}" if value else pair


#: Names that Celery, Kombu and RabbitMQ use themselves, and those of the service's own queues.
_RESERVED = re.compile(
    r"unacked.*|_.*|celery.*|(.*\.)?pidbox|reply\..*|amq\..*|separate(\.[0-9]+(\..*)?)?|callbacks|sweep|stemline(:.*)?",
    re.IGNORECASE,
)


def is_reserved_mq_name(name: str, key_prefix: str = "stemline") -> bool:
    """Return whether a message queue or topic must not have a name, on whatever server it is.

    Args:
        name: The ``MqName``.
        key_prefix: First part of the keys of the job store.
    """
    return bool(_RESERVED.fullmatch(name)) or f"{name}:".lower().startswith(f"{key_prefix}:".lower())


@dataclass(frozen=True, slots=True)
class MqConfig:
    """A TDMQ target (docs/wire/wire.md, 7.4)."""

    region: str
    mode: str
    """``Queue`` or ``Topic``."""
    name: str


@dataclass(frozen=True, slots=True)
class CallbackRequest:
    """What a job says about its callback; what is ``None`` was not given."""

    format: str | None = None
    """``XML`` or ``JSON``."""
    type: str | None = None
    """``Url`` or ``TDMQ``."""
    url: str | None = None
    """A URL, or ``no`` for no callback."""
    mq: MqConfig | None = None


@dataclass(frozen=True, slots=True)
class CallbackTarget:
    """Where and how the end of a job is announced, by the job and the defaults of its queue."""

    type: str
    """``Url`` or ``TDMQ``."""
    format: str
    """``XML`` or ``JSON``."""
    url: str = ""
    mq: MqConfig | None = None

    @property
    def shown_url(self) -> str:
        """The URL with its password masked."""
        return re.sub(r"//([^/?#@:]*):[^/?#]*@", r"//\1:***@", self.url)

    @property
    def host(self) -> str:
        """The host of the URL, or region and name of the message queue or topic."""
        if self.mq:
            return f"{self.mq.region}/{self.mq.name}"
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:  # not a URL
            return ""
