"""Removes secrets, signatures and clients' own data from log lines.

Three filters, one after another: by the name of a key, by the literal secrets of the settings, and by the
form of a text.

What a store, a receiver or a broker sends ends in log lines too, so every text is cut before anything is
searched in it, and each search takes time in proportion to the text: whoever searches holds Python's lock,
and with it the leases of a worker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

MASK: Final = "[redacted]"

_MIN_SECRET_CHARS: Final = 6
"""Shorter secrets are not masked by their text: they would occur in half of all lines."""

_FEW_SECRETS: Final = 32
"""Up to this many secrets are searched one by one, which is faster than looking at each character."""

_SECRET_KEYS: Final = re.compile(
    r"secret_?key|password|passwd|passphrase|authorization|cookie|signature|webhook_?secret"
    r"|user_?data|^(.*_)?(secret|secrets|body|answer|credentials|headers)$|security_?token",
    re.IGNORECASE,
)

MAX_CHARS: Final = 4096
"""Length of a text in a log line; the rest is left out."""
_MIN_MARGIN: Final = 512
"""How many characters of the rest are searched for secrets, at least."""
MAX_TRACEBACK_CHARS: Final = 16_384
"""Length of a traceback, of which the beginning and the end are kept."""
_TRACEBACKS: Final = frozenset({"exception", "stack"})

_URL: Final = re.compile(r"https?://[^\s'\"<>]+", re.IGNORECASE)


def _without_query(found: re.Match[str]) -> str:
    """Return a URL without its query: presigned requests have signatures there, receivers their keys."""
    place, mark, query = found[0].partition("?")
    return f"{place}?{MASK}" if mark and query else found[0]


_FORMS: Final[tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = (
    # user:password@ in any URL
    (re.compile(r"(?<=://)[^\s/@'\"<>]*@"), f"{MASK}@"),
    (_URL, _without_query),
    (
        re.compile(
            r"((?:q-signature|q-ak|q-sign-[a-z]+|q-key-time|x-amz-(?:signature|credential|security-token)"
            r"|x-cos-security-token|x-ci-security-token|signature|awsaccesskeyid)=)[^\s&'\",<>]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(sentinel_password=)[^\s&;'\",<>]+"), rf"\1{MASK}"),
    (re.compile(r"(authorization['\"]?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), MASK),
    # pydantic quotes the input it refused
    (re.compile(r"input_value=.*?(?:, input_type=|\Z)", re.DOTALL), f"input_value={MASK}, input_type="),
)

_WITH_VALUE: Final = re.compile(r"=[^\s=]")


def _may_have_forms(text: str) -> bool:
    """Return whether a text contains what every form contains; others are not searched for forms."""
    return (
        "://" in text
        or "whsec_" in text
        or "uthorization" in text
        or "UTHORIZATION" in text
        or _WITH_VALUE.search(text) is not None
    )


_PASSWORDS_IN_URL: Final = (
    re.compile(r"[a-z0-9+.-]+://[^/@]*?:([^/@]+)@", re.IGNORECASE),
    re.compile(r"[?&]sentinel_password=([^&;]+)"),
)

_PLAIN: Final = frozenset({str, bool, int, float, type(None)})
"""Types of values that are written as they are."""

Line: TypeAlias = MutableMapping[str, Any]

Secrets = Callable[[], Collection[str]]
"""Returns secrets that may change; the same object as long as they do not."""


@lru_cache(1024)
def _is_secret_key(name: str) -> bool:
    return _SECRET_KEYS.search(name) is not None


class Redaction:
    """A structlog processor that masks secrets."""

    def __init__(self, secrets: Iterable[str] = (), *sources: Secrets) -> None:
        """Mask these literal secrets wherever they appear.

        Args:
            secrets: Those that do not change.
            sources: Return those that may; asked for each line.
        """
        self._constant = frozenset(secrets)
        self._sources = sources
        self._update([frozenset() for _ in sources])

    def __call__(self, _logger: Any, _method: str, event: Line) -> Line:
        """Return a line's keys and values with secrets masked."""
        read = [source() for source in self._sources]
        if any(new is not old for new, old in zip(read, self._read, strict=True)):
            self._update(read)
        if self._is_harmless(event):
            return event
        return {name: self.value(value, name) for name, value in event.items()}

    def _is_harmless(self, event: Mapping[str, Any]) -> bool:
        """Return whether a line needs no masking or cutting, as most; all its texts are searched at once."""
        if any(map(_is_secret_key, event)) or not _PLAIN.issuperset(map(type, event.values())):
            return False
        text = "\n".join([value for value in event.values() if isinstance(value, str)])
        return len(text) <= MAX_CHARS and not _may_have_forms(text) and not self._secrets_that_begin_in(text)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a value, at any depth, with secrets masked; bytes as their number."""
        if isinstance(value, bool | int | float) or value is None:
            return value
        if name and _is_secret_key(name):
            return MASK
        if isinstance(value, Mapping):
            return {str(key): self.value(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        return self.traceback(str(value)) if name in _TRACEBACKS else self.text(str(value))

    def text(self, text: str) -> str:
        """Return the beginning of a text with secrets masked."""
        if len(text) <= MAX_CHARS:
            return self._masked(text)
        return f"{self._beginning(text, MAX_CHARS)}… ({len(text)} characters)"

    def traceback(self, text: str) -> str:
        """Return the beginning and the last lines of a traceback with secrets masked."""
        if len(text) <= MAX_TRACEBACK_CHARS:
            return self._masked(text)
        half = MAX_TRACEBACK_CHARS // 2
        end = self._masked(text[-half:].partition("\n")[2])
        return f"{self._beginning(text, half)}\n… ({len(text)} characters) …\n{end}"

    def _beginning(self, text: str, most: int) -> str:
        """Return at most so many characters; some more are searched, so that no secret is cut before that."""
        return self._masked(text[: most + self._margin])[: -self._margin]

    def _masked(self, text: str) -> str:
        for secret in self._secrets_that_begin_in(text):
            text = text.replace(secret, MASK)
        if _may_have_forms(text):
            for pattern, mask in _FORMS:
                text = pattern.sub(mask, text)
        return text

    def _secrets_that_begin_in(self, text: str) -> list[str]:
        """Return the secrets whose beginning is in a text, the longest first: a secret may contain another.

        The time is that of the text, not of the secrets, of which a thousand tenants have thousands.
        """
        length = _MIN_SECRET_CHARS
        if len(self._by_beginning) <= _FEW_SECRETS:
            found = {part for part in self._by_beginning if part in text}
        else:
            parts = {text[start : start + length] for start in range(len(text) - length + 1)}
            found = self._by_beginning.keys() & parts
        return sorted((each for part in found for each in self._by_beginning[part]), key=len, reverse=True)

    def _update(self, read: list[Collection[str]]) -> None:
        by_beginning: dict[str, list[str]] = {}
        longest = 0
        for secret in self._constant.union(*read):
            if len(secret) >= _MIN_SECRET_CHARS:
                by_beginning.setdefault(secret[:_MIN_SECRET_CHARS], []).append(secret)
                longest = max(longest, len(secret))
        self._by_beginning = by_beginning
        self._margin = max(_MIN_MARGIN, longest)
        self._read = read


def secrets_of(value: Any) -> Iterator[str]:
    """Yield every secret in settings or credentials, at any depth; of a URL, its passwords."""
    from pydantic import BaseModel, SecretStr  # noqa: PLC0415 - takes half a second, which most commands save

    left = [value]
    while left:
        each = left.pop()
        if each is None or isinstance(each, str | int | float):  # most values of ten thousand tenants
            continue
        if isinstance(each, SecretStr):
            secret = each.get_secret_value()
            yield from _passwords_of(secret) if "://" in secret else (secret,)
        elif isinstance(each, BaseModel):
            left += each.__dict__.values()
        elif isinstance(each, list | tuple):
            left += each
        elif isinstance(each, Mapping):
            left += each.values()


def _passwords_of(url: str) -> Iterator[str]:
    """Yield the passwords in a URL, as they are written there and as they are."""
    for pattern in _PASSWORDS_IN_URL:
        for password in pattern.findall(url):
            yield from {password, unquote(password)}
