"""The fields of a signature, as a header or the query carries them (docs/wire/wire.md, 2)."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from urllib.parse import unquote_to_bytes

from stemline.jobs.errors import Forbidden
from stemline.wire.spelling import spelled_names

FIELDS = (
    "q-sign-algorithm",
    "q-ak",
    "q-sign-time",
    "q-key-time",
    "q-header-list",
    "q-url-param-list",
    "q-signature",
)
_MAY_BE_EMPTY = frozenset({"q-header-list", "q-url-param-list"})
_TIMES = re.compile(r"(\d{1,12});(\d{1,12})", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Authorization:
    """The fields of a signature, without its algorithm."""

    secret_id: str
    sign_time: str
    key_time: str
    header_list: tuple[str, ...]
    param_list: tuple[str, ...]
    signature: str = ""

    @classmethod
    def parse(cls, text: str) -> Authorization:
        """Return the signature in an ``Authorization`` header or a ``sign`` parameter.

        Raises:
            Forbidden: It is malformed.
        """
        parts = (part.partition("=") for part in text.split("&"))
        return cls.from_fields([(name.strip(), value) for name, _, value in parts if name.strip() in FIELDS])

    @classmethod
    def from_fields(cls, pairs: Sequence[tuple[str, str]]) -> Authorization:
        """Return the signature with these fields.

        Raises:
            Forbidden: One is missing, malformed or given twice.
        """
        fields = dict(pairs)
        if len(fields) != len(pairs):
            raise Forbidden("The signature has a field twice.")
        for name in FIELDS:
            if name not in fields or (not fields[name] and name not in _MAY_BE_EMPTY):
                raise Forbidden(f"The signature lacks {name}.")
        if fields["q-sign-algorithm"] != "sha1":
            raise Forbidden("The signature's algorithm is not sha1.")
        if not _DIGEST.fullmatch(fields["q-signature"]):
            raise Forbidden("q-signature is not 40 lower-case hexadecimal digits.")
        if not (_TIMES.fullmatch(fields["q-sign-time"]) and _TIMES.fullmatch(fields["q-key-time"])):
            raise Forbidden("The signature's time is not start;end in Unix seconds.")
        return cls(
            secret_id=fields["q-ak"],
            sign_time=fields["q-sign-time"],
            key_time=fields["q-key-time"],
            header_list=_split(fields["q-header-list"]),
            param_list=_split(fields["q-url-param-list"]),
            signature=fields["q-signature"],
        )

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of both times, Unix seconds."""
        matches = [_TIMES.fullmatch(text) for text in (self.sign_time, self.key_time)]
        return [(int(match[1]), int(match[2])) for match in matches if match]

    def compute(self, secret_key: str, http_string: str) -> str:
        """Return the signature of an HttpString (docs/wire/wire.md, 2.2)."""
        data = http_string.encode("utf-8", "surrogateescape")
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()  # the wire's; the HMAC protects it
        # docs/wire/wire.md, 2.4 also allows q-key-time here; then nothing would protect q-sign-time.
        text = f"sha1\n{self.sign_time}\n{digest}\n"
        return _hmac(_hmac(secret_key, self.key_time), text)

    def __str__(self) -> str:
        """Return the value of the ``Authorization`` header."""
        headers, params = ";".join(self.header_list), ";".join(self.param_list)
        values = ("sha1", self.secret_id, self.sign_time, self.key_time, headers, params, self.signature)
        return "&".join(f"{name}={value}" for name, value in zip(FIELDS, values, strict=True))


def _hmac(key: str, message: str) -> str:
    return hmac.digest(key.encode(), message.encode(), "sha1").hex()


@lru_cache(256)
def _split(text: str) -> tuple[str, ...]:
    """Return the names of a list that a signature carries."""
    items = (item.strip() for item in text.split(";"))
    return spelled_names(unquote_to_bytes(item) if "%" in item else item for item in items if item)
