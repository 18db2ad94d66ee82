"""Requests read from a stream of bytes, one at a time, with a bound on everything that is not a body.

httptools parses; this module decides how much it is given. A head is passed on as a whole if it has arrived,
else line by line, and bodies by their length, so the parser never sees the beginning of the next request.

- Request line, headers, chunk sizes and extensions, trailers and blank lines share one budget of bytes.
- Trailers are discarded. ``Upgrade`` is left out: the request is served as HTTP/1.1 (RFC 9110, 7.8).
- Framing that two servers could read differently is refused (RFC 9112, 11.2).
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias
from urllib.parse import unquote

import httptools

MAX_HEADERS: Final = 100
#: Least that a line counts for: short ones cost as much time as longer ones.
LINE_COST: Final = 16
#: What Python needs for a header beside its text, bytes.
HEADER_COST: Final = 128

_REQUEST_LINE = re.compile(rb"[!-~]+ +[^ \r\n]+ HTTP/1\.[01]\r\n")
#: What is cut line by line: blank lines before a request, and Upgrade, which the parser does not see.
_CUT = re.compile(rb"\A\r|\nupgrade:", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"[0-9A-Fa-f]+")
#: Of absolute-form targets, as a client sends them to a proxy.
_SCHEMES = frozenset({b"http", b"https"})
_NOT_HTTP = "The request is not valid HTTP."


class BadRequest(Exception):
    """The bytes are not a request that can be served; the text says why."""


@dataclass(frozen=True, slots=True)
class RequestHead:
    """Request line and headers."""

    method: str
    raw_path: bytes
    query: bytes
    authority: str | None
    """Host of an absolute-form target, as a client sends it to a proxy."""
    version: str
    headers: list[tuple[bytes, bytes]]
    """Names in lower case."""
    has_body: bool
    keep_alive: bool
    """Whether another request may follow."""
    expects_continue: bool

    @property
    def path(self) -> str:
        """The path, percent-decoded."""
        return unquote(self.raw_path.decode("ascii"))


class RequestEnd:
    """The request is complete."""


Event: TypeAlias = RequestHead | bytes | RequestEnd
"""A request's head; if it has a body, the parts of that and then its end."""


class _Part(Enum):
    """What comes next."""

    START = auto()
    """Blank lines or a request line."""
    HEAD = auto()
    BODY = auto()
    """A body of known length."""
    CHUNKS = auto()
    """A chunked body with its trailers."""


class RequestReader:
    """Turns received bytes into events."""

    def __init__(self, max_head_bytes: int) -> None:
        """Create a reader for one connection.

        Args:
            max_head_bytes: Most bytes of a request that are not its body; a line counts for at least 16.
        """
        self._most = max_head_bytes
        self._parser = httptools.HttpRequestParser(self)
        self._buffer = bytearray()
        self._events: deque[Event] = deque()
        self._part = _Part.START
        self._overhead = 0
        self._left = 0
        """Bytes of the body, or of a chunk with its line end, still to come."""
        self._has_body = False
        self._line = b""
        self._fault = ""
        self._target = b""
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def in_head(self) -> bool:
        """Whether a request has begun and its head is not complete."""
        return self._part is _Part.HEAD or (self._part is _Part.START and bool(self._buffer))

    @property
    def buffered(self) -> int:
        """Bytes received and not yet returned as events."""
        return len(self._buffer)

    @property
    def memory(self) -> int:
        """About how many bytes of memory the unfinished request takes."""
        headers = HEADER_COST * len(self._headers) if self._part is _Part.HEAD else 0
        return len(self._buffer) + self._overhead + headers

    def feed(self, data: bytes | memoryview) -> None:
        """Take received bytes."""
        self._buffer += data

    def clear(self) -> None:
        """Drop what was received and not yet returned."""
        self._buffer.clear()

    def close(self) -> None:
        """Free what the reader holds: parser and reader refer to each other."""
        self._buffer.clear()
        self._headers = []
        del self._parser

    def next_event(self) -> Event | None:
        """Return the next event; None until more bytes are fed.

        Raises:
            BadRequest: The bytes are not a request, or too many of them are not its body. The reader is of no
                more use then.
        """
        while not self._events:
            piece = self._whole_head() or self._next_piece()
            if piece is None:
                return None
            self._parse(piece)
        return self._events.popleft()

    # -- cutting

    def _whole_head(self) -> bytes | None:
        """Take a head off the buffer that has arrived as a whole, as most do; None for the others."""
        size = self._buffer.find(b"\r\n\r\n") + 4 if self._part is _Part.START else 0
        if not LINE_COST <= size <= self._most:
            return None
        head = bytes(memoryview(self._buffer)[:size])
        lines = head.split(b"\r\n")[:-1]
        cost = sum([max(len(line) + 2, LINE_COST) for line in lines])
        if self._overhead + cost > self._most or len(lines) != head.count(b"\n") or _CUT.search(head):
            return None
        del self._buffer[:size]
        self._overhead += cost
        return head

    def _next_piece(self) -> bytes | None:
        """Take one line off the buffer, or what has arrived of a body."""
        if self._left:
            size = min(self._left, len(self._buffer))
            self._left -= size
        else:
            size = self._buffer.find(b"\n") + 1
            if self._overhead + (size or len(self._buffer)) > self._most:
                raise BadRequest(f"The head of the request is larger than {self._most} bytes.")
            if not size and self._part is _Part.START:
                self._refuse_garbage()
        if not size:
            return None
        piece = bytes(memoryview(self._buffer)[:size])
        del self._buffer[:size]
        self._overhead += max(size, LINE_COST)
        return piece

    def _refuse_garbage(self) -> None:
        """Refuse at once what cannot become a request, such as a TLS handshake on a plain port."""
        first = self._buffer.lstrip(b"\r")[:1]
        if first and not first.isalpha():
            raise BadRequest(_NOT_HTTP)

    def _parse(self, piece: bytes) -> None:
        if self._part is _Part.START:
            if piece == b"\r\n":
                return
            if not _REQUEST_LINE.match(piece):
                raise BadRequest(_NOT_HTTP)
            self._part = _Part.HEAD
        elif self._part is _Part.HEAD and piece[:8].lower() == b"upgrade:":
            return
        self._line = piece
        try:
            self._parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            raise BadRequest("CONNECT is not served.") from None
        except httptools.HttpParserError as error:
            raise BadRequest(self._fault or _NOT_HTTP) from error
        if self._fault:
            raise BadRequest(self._fault)

    # -- the parser's callbacks

    def on_url(self, url: bytes) -> None:
        """Take a part of the request target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; a trailer is discarded."""
        if self._part is _Part.HEAD:
            self._headers.append((name.lower(), value))
            if len(self._headers) > MAX_HEADERS:
                self._fault = f"A request may have {MAX_HEADERS} headers."

    def on_headers_complete(self) -> None:
        """Return the head, and find out how the body is framed."""
        version = self._parser.get_http_version()
        values = dict(self._headers)
        codings = b",".join(value for name, value in self._headers if name == b"transfer-encoding").lower()
        target = _parse_target(self._target)
        if target is None:
            self._fault = "The request target is not valid."
            return
        if codings and (codings != b"chunked" or version == "1.0"):
            self._fault = "Of transfer codings only chunked is served, in HTTP/1.1."
            return
        self._left = int(values.get(b"content-length", 0))
        self._part = _Part.CHUNKS if codings else _Part.BODY
        self._has_body = bool(codings) or self._left > 0
        self._events.append(
            RequestHead(
                method=self._parser.get_method().decode("ascii"),
                raw_path=target[0],
                query=target[1],
                authority=target[2],
                version=version,
                headers=self._headers,
                has_body=self._has_body,
                keep_alive=version == "1.1" and self._parser.should_keep_alive(),
                expects_continue=version == "1.1" and values.get(b"expect", b"").lower() == b"100-continue",
            )
        )

    def on_chunk_header(self) -> None:
        """Note the length of a chunk, which the parser has found valid."""
        size = _CHUNK_SIZE.match(self._line)
        length = int(size[0], 16) if size else 0
        self._left = length + len(b"\r\n") if length else 0

    def on_body(self, body: bytes) -> None:
        """Return a part of the body."""
        self._overhead -= len(body)
        self._events.append(body)

    def on_message_complete(self) -> None:
        """Return the end of a body, and begin again."""
        if self._has_body:
            self._events.append(RequestEnd())
        self._part = _Part.START
        self._overhead = 0
        self._target = b""
        self._headers = []


def _parse_target(target: bytes) -> tuple[bytes, bytes, str | None] | None:
    """Return path, query and host of a request target; None if it is neither a path nor an http URL with one.

    A fragment or a user, which no client sends, could hide from a proxy what is asked for.
    """
    try:
        parsed = httptools.parse_url(target)
    except httptools.HttpParserInvalidURLError:
        return None
    if (parsed.schema or b"http") not in _SCHEMES or parsed.userinfo or b"#" in target:
        return None
    if parsed.path is None or not parsed.path.isascii():
        return None
    return parsed.path, parsed.query or b"", parsed.host.decode("latin-1") if parsed.host else None
