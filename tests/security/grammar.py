"""Every element of an HTTP/1.1 request, sent endlessly, slowly and halfway."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.security.attacker import Ending, Script

_HOST: Final = b"Host: x\r\n"
_CHUNKED: Final = b"POST /jobs HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Element:
    """A place in a request where something can be repeated."""

    name: str
    before: bytes
    unit: bytes
    after: bytes

    def endless(self, *, tls: bool, reads: bool) -> Script:
        """Send it without end."""
        return Script(opening=self.before, repeat=self.unit, tls=tls, reads=reads)

    def slow(self, every_s: float, *, tls: bool) -> Script:
        """Send it without end, one byte at a time."""
        return Script(opening=self.before, repeat=self.unit, every_s=every_s, tls=tls, reads=True)

    def halfway(self, order: random.Random, *, tls: bool) -> Script:
        """Stop somewhere, and then be silent, reset the connection, or send nothing more."""
        whole = self.before + self.unit * order.randint(1, 40) + self.after
        cut = order.randint(0, len(whole))
        ending = order.choice(list(Ending))
        return Script(opening=whole[:cut], tls=tls, reads=order.random() < 0.5, ending=ending)


def elements(authorized: bytes) -> list[Element]:
    """Return the elements.

    Args:
        authorized: Header lines that let a ``POST /jobs`` with a chunked body pass.
    """
    chunked = _CHUNKED.replace(_HOST, b"") + authorized
    length = b"POST /jobs HTTP/1.1\r\n" + authorized
    get = b"GET /healthz HTTP/1.1\r\n"
    return [
        Element("blank lines", b"", b"\r\n", get + _HOST + b"\r\n"),
        Element("method", b"", b"A", b" / HTTP/1.1\r\n\r\n"),
        Element("spaces after the method", b"GET", b" ", b"/ HTTP/1.1\r\n\r\n"),
        Element("path", b"GET /", b"a", b" HTTP/1.1\r\n\r\n"),
        Element("percent signs in the path", b"GET /", b"%2e", b" HTTP/1.1\r\n\r\n"),
        Element("query", b"GET /?", b"a=b&", b" HTTP/1.1\r\n\r\n"),
        Element("absolute target", b"GET http://", b"a.", b"/ HTTP/1.1\r\n\r\n"),
        Element("version", b"GET / HTTP/", b"1", b"\r\n\r\n"),
        Element("header name", get, b"a", b": b\r\n\r\n"),
        Element("space before a value", get + b"a:", b" ", b"b\r\n\r\n"),
        Element("header value", get + b"a: ", b"b", b"\r\n\r\n"),
        Element("headers", get, b"a: b\r\n", b"\r\n"),
        Element("empty headers", get, b"a:\r\n", b"\r\n"),
        Element("folded lines", get + b"a: b\r\n", b" c\r\n", b"\r\n"),
        Element("cookies", get, b"Cookie: a=b\r\n", b"\r\n"),
        Element("upgrades", get, b"Upgrade: h2c\r\n", b"\r\n"),
        Element("digits of Content-Length", length + b"Content-Length: ", b"0", b"1\r\n\r\na"),
        Element("body", length + b"Content-Length: 900000\r\n\r\n", b"<a>", b""),
        Element("body beyond the limit", length + b"Content-Length: 90000000000\r\n\r\n", b"<a>", b""),
        Element("digits of a chunk's size", chunked + b"\r\n", b"0", b"\r\n\r\n"),
        Element("extensions of a chunk", chunked + b"\r\n1", b";a=b", b"\r\na\r\n0\r\n\r\n"),
        Element("value of an extension", chunked + b'\r\n1;a="', b"b", b'"\r\na\r\n0\r\n\r\n'),
        Element("chunk", chunked + b"\r\nf4240\r\n", b"<a>", b""),
        Element("chunk of line ends", chunked + b"\r\nf4240\r\n", b"\n", b""),
        Element("chunks of one byte", chunked + b"\r\n", b"1\r\na\r\n", b"0\r\n\r\n"),
        Element("trailer name", chunked + b"\r\n0\r\n", b"a", b": b\r\n\r\n"),
        Element("trailer value", chunked + b"\r\n0\r\na: ", b"b", b"\r\n\r\n"),
        Element("trailers", chunked + b"\r\n0\r\n", b"a: \r\n", b"\r\n"),
        Element("blank lines after a request", get + _HOST + b"\r\n", b"\r\n", b""),
        Element("requests", b"", get + _HOST + b"\r\n", b""),
        Element("refused requests", b"", b"GET /jobs/j1 HTTP/1.1\r\nHost: x\r\n\r\n", b""),
        Element("garbage", b"", bytes(range(256)), b""),
    ]
