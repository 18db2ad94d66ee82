"""Where the end of a job is announced (docs/wire/wire.md, 7.1 and 7.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit


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
