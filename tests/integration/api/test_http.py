"""HTTP itself: headers, targets, limits on heads and bodies, and everything that is not quite a request."""

from __future__ import annotations

import re
import resource
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from stemline.testing.api_server import ApiServer
from stemline.testing.client import HOST, Client, exchange, read_answer, submission
from stemline.testing.processes import eventually
from tests.integration.api.conftest import AT_ONCE_S

UNKNOWN = "/jobs/j" + "0" * 32


@pytest.mark.shows("response headers, exact Content-Type, Content-Length, both request ids")
def test_answer_headers(client: Client) -> None:
    """Every answer names the server, the date, its length, its connection, and one request id twice."""
    answer = client.get(UNKNOWN)
    assert 200 == answer.status
    assert "tencent-ci" == answer.headers["server"]
    assert "application/xml" == answer.headers["content-type"]
    assert "keep-alive" == answer.headers["connection"]
    assert abs(parsedate_to_datetime(answer.headers["date"]).timestamp() - time.time()) < 60
    assert re.fullmatch(r"[A-Za-z0-9+/=]{30,}", answer.headers["x-ci-request-id"])
    assert answer.headers["x-ci-request-id"] == answer.headers["x-cos-request-id"]
    assert "x-ci-trace-id" not in answer.headers
    raw = answer.raw_names
    assert {"Content-Type", "Content-Length", "Server", "Date", "Connection"} <= raw  # spelled like that
    assert "x-cos-error-code" not in answer.headers


def test_error_answer(client: Client) -> None:
    """An error is one flat element whose five children are never empty, with its ids in the headers too."""
    answer = client.request("GET", UNKNOWN, signed=False)
    assert (403, "application/xml") == (answer.status, answer.headers["content-type"])
    assert "Error" == answer.xml.tag
    children = {child.tag: child.text for child in answer.xml}
    request_id = answer.headers["x-ci-request-id"]
    expected = {
        "Code": "AccessDenied",
        "Message": "Access Denied.",
        "Resource": HOST + UNKNOWN,
        "RequestId": request_id,
        "TraceId": answer.headers["x-ci-trace-id"],
    }
    assert expected == children
    assert all(children.values())
    assert "x-cos-error-code" not in answer.headers


def test_every_request_has_its_own_id(client: Client) -> None:
    """Request ids do not repeat."""
    assert 20 == len({client.get(UNKNOWN).headers["x-ci-request-id"] for _ in range(20)})


def test_keep_alive(server: ApiServer) -> None:
    """Several requests go over one connection, pipelined too; a client may ask to close it."""
    data = server.client.raw("GET", UNKNOWN)
    closing = server.client.raw("GET", UNKNOWN, head_bytes=b"Connection: close\r\n")
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        for _ in range(3):
            connection.sendall(data)
            assert 200 == read_answer(connection).status
        connection.sendall(closing)
        answer = read_answer(connection)
        assert "close" == answer.headers["connection"]
        assert b"" == connection.recv(1)


@pytest.mark.shows("absolute-form request targets")
def test_absolute_form(server: ApiServer) -> None:
    """A request as it is sent through a proxy: the whole URL on the request line."""
    data = server.client.raw("GET", UNKNOWN).replace(b"GET /", f"GET http://{HOST}/".encode(), 1)
    assert 200 == exchange(server.port, data).status
    tagged = server.client.raw("GET", "/jobs?tag=VoiceSeparate")
    assert 200 == exchange(server.port, tagged.replace(b"GET /", f"GET http://{HOST}/".encode(), 1)).status


@pytest.mark.shows("absolute-form request targets")
def test_absolute_form_cannot_redirect(server: ApiServer) -> None:
    """A signed request cannot be led to another bucket by its request line, which nothing signs."""
    other = HOST.replace("media", "other").encode()
    data = server.client.raw("GET", UNKNOWN).replace(b"GET /", b"GET http://" + other + b"/", 1)
    assert "InvalidHost" == exchange(server.port, data).code


@pytest.mark.parametrize("lines", [b"Host: other-1250000000.ci.ap-chongqing.myqcloud.com\r\n", None])
def test_one_host(server: ApiServer, lines: bytes | None) -> None:
    """Two Host headers or none are refused."""
    data = server.client.raw("GET", UNKNOWN, head_bytes=lines or b"")
    if lines is None:
        data = re.sub(rb"host: [^\r]*\r\n", b"", data)
    answer = exchange(server.port, data)
    assert (400, "InvalidHost") == (answer.status, answer.code)


def test_unknown_host(server: ApiServer) -> None:
    """A host that maps to no bucket is refused as InvalidHost."""
    answer = Client(server.port, host="www.example.org").get(UNKNOWN)
    assert (400, "InvalidHost") == (answer.status, answer.code)


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "NoSuchResource"),
        ("GET", "/job", 404, "NoSuchResource"),
        ("GET", "/jobs/a/b", 404, "NoSuchResource"),
        ("GET", "/jobs//", 404, "NoSuchResource"),
        ("GET", "/%00", 404, "NoSuchResource"),
        ("GET", "/..%2f..%2fetc/passwd", 404, "NoSuchResource"),
        ("DELETE", "/jobs", 405, "MethodNotAllowed"),
        ("PATCH", UNKNOWN, 405, "MethodNotAllowed"),
        ("POST", UNKNOWN, 405, "MethodNotAllowed"),
        ("GET", "/template/t1", 405, "MethodNotAllowed"),
        ("OPTIONS", "/asrqueue", 405, "MethodNotAllowed"),
        ("POST", "/healthz", 405, "MethodNotAllowed"),
        ("GET", "/jobs/%ff", 400, "InvalidArgument"),
        ("GET", "/jobs?tag=%ff", 400, "InvalidArgument"),
        ("GET", "/jobs?" + "&".join(f"a{i}=1" for i in range(300)), 400, "InvalidArgument"),
    ],
)
def test_unknown_paths_and_methods(client: Client, method: str, target: str, status: int, code: str) -> None:
    """An unknown path or method is answered with an error in the form of the wire."""
    answer = client.request(method, target, signed=False)
    assert (status, code) == (answer.status, answer.code)
    assert answer.text("Resource")


def test_allowed_methods_are_named(client: Client) -> None:
    """405 names the allowed methods."""
    assert "GET, POST" == client.request("DELETE", "/jobs", signed=False).headers["allow"]


def test_head_has_no_body(server: ApiServer) -> None:
    """HEAD gets headers only, and the connection stays usable."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(server.client.raw("HEAD", "/jobs"))
        answer = read_answer(connection, head=True)
        assert (405, b"") == (answer.status, answer.body)
        connection.sendall(server.client.raw("GET", UNKNOWN))
        assert 200 == read_answer(connection).status


@pytest.mark.shows("one trailing slash, + and % in path and query, names without case")
def test_trailing_slash(client: Client) -> None:
    """One trailing slash is tolerated, and signed as it was sent."""
    assert 200 == client.get(f"{UNKNOWN}/").status
    assert "InvalidArgument" == client.get("/jobs/").code  # tag is missing: the list was reached


@pytest.mark.shows("GET /jobs/{ids}")
@pytest.mark.parametrize("separator", [",", "%2C", "%2c"])
def test_commas(client: Client, separator: str) -> None:
    """Ids are separated by commas, raw as Go sends them or encoded as Python does."""
    answer = client.get(f"/jobs/j1{separator}j2")
    assert ["j1", "j2"] == answer.texts("NonExistJobIds")


@pytest.mark.shows("one trailing slash, + and % in path and query, names without case")
def test_plus(client: Client) -> None:
    """A plus is a plus in a path and a space in a query."""
    assert ["a+b"] == client.get("/jobs/a+b").texts("NonExistJobIds")
    times = "startCreationTime=2026-01-01T00:00:00+0800"
    assert 200 == client.request("GET", f"/jobs?tag=VoiceSeparate&{times}").status


@pytest.mark.shows("bodies without Content-Type, empty elements, Content-MD5")
def test_content_md5(client: Client) -> None:
    """A Content-MD5 that does not fit the body is refused."""
    bad = client.post("/jobs", submission(), {"Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert (400, "InvalidContent") == (bad.status, bad.code)
    assert "InvalidContent" == client.post("/jobs", submission(), {"Content-MD5": "nonsense"}).code


def test_expect_continue(server: ApiServer) -> None:
    """A client that asks before it sends its body gets 100 Continue only if the body is read."""
    body = submission().encode()
    data = server.client.raw("POST", "/jobs", body, head_bytes=b"Expect: 100-continue\r\n")
    head = data[: -len(body)]
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(head)
        assert b"HTTP/1.1 100 Continue\r\n\r\n" == connection.recv(100)
        connection.sendall(body)
        assert 200 == read_answer(connection).status


BROKEN = {
    "no HTTP": b"hello\r\n\r\n",
    "TLS": bytes.fromhex("16030100dc010000d80303") + b"\0" * 50,
    "bad method": b"GE T / HTTP/1.1\r\nHost: x\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\nHost: x\r\n\r\n",
    "bad target": b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
    "no slash": b"GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the target": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
    "bad header": b"GET / HTTP/1.1\r\nHost x\r\n\r\n",
    "length twice": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "huge length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "long target": b"GET /" + b"a" * 40_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "long header": b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 200 + b"\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_requests(server: ApiServer, name: str) -> None:
    """What is not a request, or has an oversized head, is refused at once; the server keeps serving."""
    began = time.monotonic()
    answer = exchange(server.port, BROKEN[name])
    assert time.monotonic() - began < AT_ONCE_S
    assert 400 <= answer.status < 500
    assert answer.code
    assert answer.headers["x-ci-request-id"]
    assert 200 == server.client.get(UNKNOWN).status


def test_endless_header(server: ApiServer) -> None:
    """A header that never ends is cut off soon after the limit."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(b"a" * (100 << 20))
    assert 200 == server.client.get(UNKNOWN).status


def test_slow_head(serve: Callable[..., ApiServer]) -> None:
    """Headers that do not come in time are refused and the connection is closed."""
    server = serve(header_timeout_s=0.3)

    def is_refused(start: bytes) -> bool:
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
            try:
                connection.sendall(start)
                status = read_answer(connection).status
            except ConnectionError:
                return False  # on a busy machine this client itself was too late
            assert (400, b"") == (status, connection.recv(1))
            return True

    for start in (b"G", b"GET / HTTP/1.1\r\nHost:"):
        eventually(lambda start=start: is_refused(start), 180, "the refusal")


def test_slow_body(serve: Callable[..., ApiServer]) -> None:
    """A body that does not come in time is refused, although it keeps trickling."""
    server = serve(body_timeout_s=2.0)
    data = server.client.raw("POST", "/jobs", submission().encode())
    with socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(data[:-100])
        for byte in data[-100:-97]:
            connection.sendall(bytes([byte]))
            time.sleep(0.1)
        answer = read_answer(connection)
    assert (400, "InvalidContent") == (answer.status, answer.code)
    assert "did not arrive" in (answer.text("Message") or "")


def resident_bytes() -> int:
    """Memory of this process, which is the server's too."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("memory is read from /proc")
    return int(statm.read_text().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("chunked", [False, True])
def test_large_body(server: ApiServer, chunked: bool) -> None:
    """A body above the limit is refused, whether its length is announced or not, and memory stays flat."""
    size = 40 << 20
    exchange(server.port, server.client.raw("POST", "/jobs", b"x" * (2 << 20)))
    before = resident_bytes()
    chunk = b"x" * 65536
    head = [("host", HOST.encode())]
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size
    authorization = server.client.authorization("POST", "/jobs", head)
    top = b"POST /jobs HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n" + framing
    answer = None
    # To be cut off while sending is as good as an answer; what it cost is looked at all the same.
    with suppress(OSError), socket.create_connection(("127.0.0.1", server.port), timeout=120) as connection:
        connection.sendall(top + f"Authorization: {authorization}\r\n\r\n".encode())
        for _ in range(size // len(chunk)):
            connection.sendall(b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk)
        if chunked:
            connection.sendall(b"0\r\n\r\n")
        answer = read_answer(connection)
    assert resident_bytes() - before < 20 << 20
    assert answer is None or (400, "InvalidContent") == (answer.status, answer.code)


def test_strangers_bodies_are_not_read(server: ApiServer) -> None:
    """Without a signature the answer comes before the body does."""
    top = f"POST /jobs HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 1000000\r\n\r\n".encode()
    assert "AccessDenied" == exchange(server.port, top).code


def test_too_many_connections(serve: Callable[..., ApiServer]) -> None:
    """Above the limit the connection that has waited longest makes room for a new one; the others stay."""
    server = serve(max_connections=3)
    kept = [socket.create_connection(("127.0.0.1", server.port), timeout=120) for _ in range(3)]
    try:
        for connection in kept:  # an answer shows that it was accepted
            connection.sendall(server.client.raw("GET", UNKNOWN))
            assert 200 == read_answer(connection).status
        with socket.create_connection(("127.0.0.1", server.port), timeout=120) as newcomer:
            newcomer.sendall(server.client.raw("GET", UNKNOWN))
            assert 200 == read_answer(newcomer).status
        with pytest.raises(ConnectionError):
            read_answer(kept[0])
        for connection in kept[1:]:
            connection.sendall(server.client.raw("GET", UNKNOWN))
            assert 200 == read_answer(connection).status
    finally:
        for connection in kept:
            connection.close()


@pytest.mark.shows("https")
def test_tls(serve: Callable[..., ApiServer], certificate: tuple[Path, Path]) -> None:
    """With a certificate the server speaks https, as Java and PHP demand."""
    server = serve(tls_certificate=certificate[0], tls_key=certificate[1])
    context = ssl.create_default_context(cafile=str(certificate[0]))
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=120)
    with context.wrap_socket(plain, server_hostname=HOST) as connection:
        connection.sendall(server.client.raw("GET", UNKNOWN))
        assert 200 == read_answer(connection).status
