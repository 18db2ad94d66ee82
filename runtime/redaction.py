"""What must never be in a log line, and how it is taken out: secrets, signatures, the clients' own data.

Three nets behind one another: the names of keys, the shape of values, and the very secrets of the settings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

MASK: Final = "[redacted]"

_LEAST_SECRET_CHARS: Final = 6
"""Shorter secrets would black out half of every line."""

_KEYS: Final = re.compile(
    r"secret_?key|password|passwd|passphrase|authorization|cookie|signature|webhook_?secret"
    r"|user_?data|^(.*_)?(secret|secrets|body|answer|credentials|headers)$|security_?token",
    re.IGNORECASE,
)

_SHAPES: Final = (
    # user:password@ in any URL
    (re.compile(r"(?<=://)[^\s/@'\"<>]*@"), f"{MASK}@"),
    # the query of a URL: presigned requests and receivers' own keys
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+", re.IGNORECASE), rf"\1?{MASK}"),
    (
        re.compile(
            r"((?:q-signature|q-ak|q-sign-[a-z]+|q-key-time|x-amz-(?:signature|credential|security-token)"
            r"|x-cos-security-token|x-ci-security-token|signature|awsaccesskeyid)=)[^\s&'\",<>]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(authorization['\"]?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), MASK),
    # pydantic shows what it refused
    (re.compile(r"input_value=.*?, input_type=", re.DOTALL), f"input_value={MASK}, input_type="),
)


_SIGNS: Final = ("://", "=", "whsec_", "uthorization", "UTHORIZATION")
"""What every shape holds at least one of: most values hold none, and need no closer look."""


@lru_cache(1024)
def _hides(name: str) -> bool:
    """Whether a key's value is never told."""
    return _KEYS.search(name) is not None


class Redaction:
    """A structlog processor that takes out what must not be told."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know some secrets by heart, wherever they turn up."""
        self._known = sorted({s for s in secrets if len(s) >= _LEAST_SECRET_CHARS}, key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> dict[str, Any]:
        """Clean one line, before it is rendered."""
        return {name: self.value(value, name) for name, value in event.items()}

    def value(self, value: Any, name: str = "") -> Any:
        """A value that may be told, at any depth."""
        if isinstance(value, bool | int | float) or value is None:
            return value
        if name and _hides(name):
            return MASK
        if isinstance(value, Mapping):
            return {str(key): self.value(each, str(key)) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        if isinstance(value, bytes | bytearray | memoryview):
            return f"[{len(value)} bytes]"
        return self.text(str(value))

    def text(self, text: str) -> str:
        """A text without what looks like a secret, or is one."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, MASK)
        if any(sign in text for sign in _SIGNS):
            for pattern, mask in _SHAPES:
                text = pattern.sub(mask, text)
        return text


def secrets_of(value: Any) -> Iterator[str]:
    """Every secret in settings, at any depth, and in the JSON files they name; URLs give their password."""
    from pydantic import BaseModel, SecretStr  # noqa: PLC0415 - half a second that other commands save

    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        password = re.match(r"[a-z0-9+.-]+://[^/@]*?:([^/@]+)@", secret, re.IGNORECASE)
        yield password[1] if password else "" if "://" in secret else secret
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            held = getattr(value, name)
            if isinstance(held, Path) and name.endswith("_file"):
                yield from _secrets_in_file(held)
            else:
                yield from secrets_of(held)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from secrets_of(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from secrets_of(each)


def _secrets_in_file(path: Path) -> Iterator[str]:
    try:
        yield from _secrets_in_json(json.loads(path.read_bytes()))
    except (OSError, ValueError):
        return  # whoever needs the file says so


def _secrets_in_json(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, each in value.items():
            yield from _secrets_in_json(each, secret=name == "token" or bool(_KEYS.search(str(name))))
    elif isinstance(value, list):
        for each in value:
            yield from _secrets_in_json(each, secret=secret)
    elif secret and isinstance(value, str):
        yield value
