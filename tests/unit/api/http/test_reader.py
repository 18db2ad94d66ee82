"""Requests read from bytes: which are accepted, and that this does not depend on how they arrive."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemline.api.http.reader import BadRequest, RequestEnd, RequestHead, RequestReader

MAX_BYTES = 4096


def read(reader: RequestReader, *pieces: bytes) -> list[object]:
    """Feed pieces; heads as method, path, query and whether a body follows, bodies as one, ends as '.'."""
    found: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next_event()) is not None:
            if isinstance(event, RequestHead):
                found.append((event.method, event.raw_path, event.query, event.has_body))
            elif isinstance(event, RequestEnd):
                found.append(".")
            elif found and isinstance(found[-1], bytes):
                found[-1] += event
            else:
                found.append(event)
    return found


def head(*lines: bytes, method: bytes = b"POST") -> bytes:
    return b"\r\n".join([method + b" /a?b=c HTTP/1.1", b"Host: x", *lines, b"", b""])


POST = ("POST", b"/a", b"b=c", True)
GET = ("GET", b"/a", b"b=c", False)
CHUNKED = b"Transfer-Encoding: chunked"

SERVED: dict[str, tuple[bytes, list[object]]] = {
    "no body": (head(method=b"GET"), [GET]),
    "blank lines first": (b"\r\n\r\n" + head(method=b"GET"), [GET]),
    "two in one": (head(method=b"GET") * 2, [GET, GET]),
    "a length": (head(b"Content-Length: 3") + b"abc", [POST, b"abc", "."]),
    "a length of none": (head(b"Content-Length: 0"), [("POST", b"/a", b"b=c", False)]),
    "chunks": (head(CHUNKED) + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", [POST, b"abcde", "."]),
    "line ends in a chunk": (head(CHUNKED) + b"4\r\n\n\r\n\n\r\n0\r\n\r\n", [POST, b"\n\r\n\n", "."]),
    "leading zeros": (head(CHUNKED) + b"0003\r\nabc\r\n000\r\n\r\n", [POST, b"abc", "."]),
    "trailers": (head(CHUNKED) + b"1\r\na\r\n0\r\nA: b\r\nC: d\r\n\r\n", [POST, b"a", "."]),
    "another after chunks": (
        head(CHUNKED) + b"1\r\na\r\n0\r\n\r\n" + head(method=b"GET"),
        [POST, b"a", ".", GET],
    ),
    "h2c with a body": (
        head(b"Connection: Upgrade, HTTP2-Settings", b"Content-Length: 3", b"Upgrade: h2c") + b"abc",
        [POST, b"abc", "."],
    ),
    "h2c without a body": (head(b"Connection: upgrade", b"Upgrade: h2c", method=b"GET") * 2, [GET, GET]),
    "Connection: upgrade alone": (head(b"Connection: upgrade", method=b"GET") * 2, [GET, GET]),
    "websocket": (head(b"Connection: Upgrade", b"Upgrade: websocket", method=b"GET"), [GET]),
}


@pytest.mark.parametrize("name", SERVED)
def test_served(name: str) -> None:
    """Requests are read the same at once, in halves and byte by byte; nothing of the next is lost."""
    data, expected = SERVED[name]
    assert expected == read(RequestReader(MAX_BYTES), data)
    assert expected == read(RequestReader(MAX_BYTES), data[: len(data) // 2], data[len(data) // 2 :])
    assert expected == read(RequestReader(MAX_BYTES), *(data[at : at + 1] for at in range(len(data))))


REFUSED = {
    "no HTTP": b"hello\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "RTSP": b"SETUP rtsp://x/ RTSP/1.0\r\n\r\n",
    "a TLS handshake": b"\x16\x03\x01",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: x\n\n",
    "a bare line feed": b"GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n",
    "a bare carriage return": b"GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "a folded upgrade": b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n ,x\r\n\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: \0\r\n\r\n",
    "two lengths": head(b"Content-Length: 1", b"Content-Length: 1"),
    "a list of lengths": head(b"Content-Length: 1, 1"),
    "a signed length": head(b"Content-Length: +1"),
    "length and chunks": head(b"Content-Length: 1", CHUNKED),
    "chunks and length": head(CHUNKED, b"Content-Length: 1"),
    "chunks twice": head(CHUNKED, CHUNKED),
    "gzip, then chunks": head(b"Transfer-Encoding: gzip, chunked"),
    "no chunks last": head(b"Transfer-Encoding: chunked, identity"),
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a chunk of 0x1": head(CHUNKED) + b"0x1\r\na\r\n0\r\n\r\n",
    "a chunk of 1_0": head(CHUNKED) + b"1_0\r\na\r\n0\r\n\r\n",
    "a chunk of 2^64": head(CHUNKED) + b"1" + b"0" * 16 + b"\r\n",
    "a chunk longer than it says": head(CHUNKED) + b"1\r\nab\r\n0\r\n\r\n",
    "a bare line feed after a chunk's size": head(CHUNKED) + b"1\na\r\n0\r\n\r\n",
    "a hexadecimal length": head(b"Content-Length: 0x1"),
    "an empty length": head(b"Content-Length:"),
    "a length in two words": head(b"Content-Length: 1 1"),
    "a length of 2^64": head(b"Content-Length: 18446744073709551617"),
    "a negative length": head(b"Content-Length: -1"),
    "a length behind a vertical tab": head(b"Content-Length: \x0b1"),
    "chunked behind a vertical tab": head(b"Transfer-Encoding: \x0bchunked"),
    "chunked before a tab": head(b"Transfer-Encoding: chunked\t"),
    "chunked on a folded line": head(b"Transfer-Encoding:\r\n chunked"),
    "a tab before the colon": head(b"Transfer-Encoding\t: chunked"),
    "chunked in quotes": head(b'Transfer-Encoding: "chunked"'),
    "chunked with a parameter": head(b"Transfer-Encoding: chunked;q=1"),
    "chunked behind a comma": head(b"Transfer-Encoding: ,chunked"),
    "xchunked": head(b"Transfer-Encoding: xchunked"),
    "an empty coding": head(b"Transfer-Encoding:", b"Content-Length: 1"),
    "identity and a length": head(b"Transfer-Encoding: identity", b"Content-Length: 1"),
    "framing in trailers": head(CHUNKED) + b"0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a length in trailers": head(CHUNKED) + b"0\r\nContent-Length: 5\r\n\r\n",
    "a space after a chunk's size": head(CHUNKED) + b"1 \r\na\r\n0\r\n\r\n",
    "a space before a chunk's size": head(CHUNKED) + b" 1\r\na\r\n0\r\n\r\n",
    "no chunk's size": head(CHUNKED) + b"\r\na\r\n0\r\n\r\n",
    "a negative chunk": head(CHUNKED) + b"-1\r\na\r\n0\r\n\r\n",
    "a bare line feed in an extension": head(CHUNKED) + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "a bare carriage return in an extension": head(CHUNKED) + b"1;a\rb\r\na\r\n0\r\n\r\n",
    "a line end in a quoted extension": head(CHUNKED) + b'1;a="\r\n"\r\na\r\n0\r\n\r\n',
    "a bare line feed after a chunk": head(CHUNKED) + b"1\r\na\n0\r\n\r\n",
    "a bare line feed after the last chunk": head(CHUNKED) + b"0\n\r\n",
    "a bare line feed after the trailers": head(CHUNKED) + b"0\r\n\n",
    "spaces in the request line": b"GET  /  HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs in the request line": b"GET\t/\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "a space after the version": b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n",
    "a version in lower case": b"GET / http/1.1\r\nHost: x\r\n\r\n",
    "a method in lower case": b"get / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown method": b"SUBMIT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a folded first header": b"GET / HTTP/1.1\r\n Host: x\r\n\r\n",
    "a header without a name": head(b": x", method=b"GET"),
    "a header without a colon": head(b"abc", method=b"GET"),
    "a header with a parenthesis in its name": head(b"a(b: x", method=b"GET"),
    "a header with a letter beyond ASCII in its name": head(b"\xe9: x", method=b"GET"),
    "a control character in a value": head(b"a: \x1b", method=b"GET"),
    "a path beyond ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with a fragment": b"GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n",
    "a path with a backslash": b"GET \\a HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with a user": b"GET http://x@y/ HTTP/1.1\r\nHost: y\r\n\r\n",
    "a target of another scheme": b"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "a file as target": b"GET file:///etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without a path": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target with an impossible port": b"GET http://x:99999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "101 headers": head(*[b"a: b"] * 100, method=b"GET"),
    "a long line": b"GET /" + b"a" * MAX_BYTES,
    "many lines": b"GET / HTTP/1.1\r\n" + b"a: bcdefghijklmnopqrstuvwxyz\r\n" * 200,
    "blank lines": b"\r\n" * MAX_BYTES,
    "trailers without end": head(CHUNKED) + b"0\r\n" + b"a: \r\n" * MAX_BYTES,
    "an extension without end": head(CHUNKED) + b"1;" + b"a" * MAX_BYTES,
    "chunks of one byte without end": head(CHUNKED) + b"1\r\na\r\n" * MAX_BYTES,
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_refused(name: str, size: int) -> None:
    """What two servers could read differently, or what has no end, is refused however it arrives."""
    data = REFUSED[name]
    with pytest.raises(BadRequest):
        read(RequestReader(MAX_BYTES), *(data[at : at + size] for at in range(0, len(data), size)))


def test_expectations() -> None:
    """``Expect: 100-continue`` counts in HTTP/1.1, in any case."""
    for version, expected in ((b"1.1", True), (b"1.0", False)):
        reader = RequestReader(MAX_BYTES)
        reader.feed(b"POST / HTTP/%b\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n" % version)
        event = reader.next_event()
        assert isinstance(event, RequestHead)
        assert expected == event.expects_continue


@given(st.lists(st.binary(max_size=60) | st.sampled_from([data for data, _ in SERVED.values()]), max_size=30))
def test_any_bytes(pieces: list[bytes]) -> None:
    """Whatever arrives is read, refused, or held within the bound."""
    reader = RequestReader(MAX_BYTES)
    with suppress(BadRequest):
        read(reader, *pieces)
    assert reader.buffered <= MAX_BYTES
    assert reader.memory <= 2 * MAX_BYTES + 128 * 100


@given(st.data())
def test_any_split(data: st.DataObject) -> None:
    """Where the bytes of several requests are cut changes nothing."""
    chosen = data.draw(st.lists(st.sampled_from(list(SERVED)), min_size=1, max_size=5))
    whole = b"".join(SERVED[name][0] for name in chosen)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = [event for name in chosen for event in SERVED[name][1]]
    assert expected == read(RequestReader(MAX_BYTES), *pieces)
