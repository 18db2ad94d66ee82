"""Connections: what one may be used for, and when each kind of silence ends it."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stemline.testing.api_server import ApiServer
from stemline.testing.client import HOST, Answer, exchange, read_answer, submission
from stemline.testing.processes import eventually
from tests.integration.api.conftest import AT_ONCE_S, LONG

pytestmark = pytest.mark.slow

UNKNOWN = "/jobs/j" + "0" * 32
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
#: Deadlines that a test can wait for.
SHORT = {"header_timeout_s": 0.5, "idle_timeout_s": 0.7, "body_timeout_s": 0.5, "write_timeout_s": 0.5}


@contextlib.contextmanager
def connected(server: ApiServer, timeout_s: float = 180) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout_s) as connection:
        yield connection


def end_of(connection: socket.socket) -> float:
    """How long the server keeps a connection open, s."""
    began = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while connection.recv(65_536):
            pass
    return time.monotonic() - began


def test_pipelined_requests(server: ApiServer) -> None:
    """Requests that are sent ahead of their answers are answered one after the other."""
    data = b"".join(server.client.raw("GET", f"/jobs/j{number:032x}") for number in range(50))
    with connected(server) as connection:
        connection.sendall(data + HEALTH.replace(b"Host", b"Connection: close\r\nHost"))
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert 51 == received.count(b"HTTP/1.1 200 OK\r\n")
    at = [received.index(b"j%032x" % number) for number in range(50)]
    assert at == sorted(at)


JAVA = (
    "Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
    "Upgrade: h2c\r\nUser-Agent: Java-http-client/21.0.4\r\n"
)


@pytest.mark.parametrize("name", ["java.net.http.HttpClient", "Spring RestClient"])
def test_upgrade_to_http_2(server: ApiServer, name: str) -> None:
    """Java offers HTTP/2 with each request: it is served as HTTP/1.1, with its body, and may go on."""
    body = submission().encode()
    if name == "Spring RestClient":  # it streams its bodies
        sent = server.client.raw(
            "POST", "/jobs", head_bytes=JAVA.encode() + b"Transfer-Encoding: chunked\r\n"
        )
        sent = sent.replace(b"content-length: 0\r\n", b"")
        sent += b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        lines, _, rest = sent.partition(b"\r\n\r\n")
        authorization = server.client.authorization("POST", "/jobs", [("host", HOST.encode())]).encode()
        kept = [line for line in lines.split(b"\r\n") if not line.lower().startswith(b"authorization")]
        sent = b"\r\n".join([*kept, b"Authorization: " + authorization]) + b"\r\n\r\n" + rest
    else:
        sent = server.client.raw("POST", "/jobs", body, head_bytes=JAVA.encode())
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(sent)
            answer = read_answer(connection)
            assert 200 == answer.status, answer.body
            assert "Submitted" == answer.text("JobsDetail/State")
            assert "keep-alive" == answer.headers["connection"]


@pytest.mark.parametrize(
    "offer", ["Connection: upgrade\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"]
)
def test_other_upgrades(server: ApiServer, offer: str) -> None:
    """An upgrade without a body is served as HTTP/1.1 too."""
    with connected(server) as connection:
        for _ in range(2):
            connection.sendall(server.client.raw("GET", UNKNOWN, head_bytes=offer.encode()))
            assert 200 == read_answer(connection).status


def test_http_1_0(server: ApiServer) -> None:
    """An HTTP/1.0 client is answered by length, and its connection closed."""
    data = server.client.raw("GET", UNKNOWN).replace(b"HTTP/1.1", b"HTTP/1.0")
    with connected(server) as connection:
        connection.sendall(data)
        answer = read_answer(connection)
        assert (200, "close") == (answer.status, answer.headers["connection"])
        assert "transfer-encoding" not in answer.headers
        assert b"" == connection.recv(1)


def test_half_closed(server: ApiServer) -> None:
    """A client that has sent all it will send still gets all its answers; then the connection ends."""
    data = server.client.raw("GET", UNKNOWN)
    with connected(server) as connection:
        connection.sendall(data * 3)
        connection.shutdown(socket.SHUT_WR)
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert 3 == received.count(b"HTTP/1.1 200 OK\r\n")


def test_half_closed_within_a_body(server: ApiServer) -> None:
    """A body that ends too early is refused at once, in the form of the wire."""
    with connected(server) as connection:
        connection.sendall(server.client.raw("POST", "/jobs", submission().encode())[:-5])
        connection.shutdown(socket.SHUT_WR)
        answer = read_answer(connection)
        assert (400, "InvalidContent", "close") == (
            answer.status,
            answer.code,
            answer.headers["connection"],
        )
        assert end_of(connection) < AT_ONCE_S


def test_invalid_chunks(server: ApiServer) -> None:
    """A body whose chunks are not valid is refused at once."""
    authorization = server.client.authorization("POST", "/jobs", [("host", HOST.encode())])
    head = f"POST /jobs HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: {authorization}\r\n"
    data = head.encode() + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"
    began = time.monotonic()
    answer = exchange(server.port, data)
    assert (400, "InvalidContent") == (answer.status, answer.code)
    assert time.monotonic() - began < AT_ONCE_S


def test_early_answer(server: ApiServer) -> None:
    """An answer before the body's end says that the connection ends; what is still sent is thrown away."""
    head = f"POST /jobs HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 200000\r\n\r\n".encode()
    with connected(server) as connection:
        connection.sendall(head)
        answer = read_answer(connection)
        assert (403, "close") == (answer.status, answer.headers["connection"])
        connection.sendall(b"a" * 200_000)
        assert end_of(connection) < AT_ONCE_S


def test_early_answer_after_a_whole_body(server: ApiServer) -> None:
    """A refused request whose body has arrived leaves its connection usable."""
    data = server.client.raw("POST", "/jobs", submission().encode(), signed=False)
    with connected(server) as connection:
        for _ in range(3):
            connection.sendall(data)
            answer = read_answer(connection)
            assert (403, "keep-alive") == (answer.status, answer.headers["connection"])


SILENT = {
    "from the start": (b"", False, b"", 0.5),
    "after blank lines": (b"\r\n\r\n", False, b"", 0.5),
    "in the head": (b"GET / HTTP/1.1\r\nHost:", False, b"", 0.5),
    "after an answer": (HEALTH, True, b"", 0.7),
    "after an answer and a blank line": (HEALTH, True, b"\r\n", 0.7),
    "after an answer and half a head": (HEALTH, True, HEALTH[:-2], 0.5),
    "after an early answer": (b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", True, b"", 0),
    "after an early answer and a byte": (
        b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n",
        True,
        b"<",
        0,
    ),
    "after what is no request": (b"hello\r\n\r\n", True, b"", 0),
    "after what is no request and a byte": (b"hello\r\n\r\n", True, b"<", 0),
}


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("name", SILENT)
def test_silence_ends(
    serve: Callable[..., ApiServer], certificate: tuple[Path, Path], name: str, tls: bool
) -> None:
    """A client that is silent in any state is disconnected when the deadline of that state has passed."""
    opening, answered, then, after_s = SILENT[name]
    keys = {"tls_certificate": certificate[0], "tls_key": certificate[1]} if tls else {}
    server = serve(**SHORT, **keys)

    def end_comes() -> bool:
        began = time.monotonic()  # before any deadline begins
        with contextlib.ExitStack() as stack:
            try:
                connection = stack.enter_context(connected(server))
                if tls:
                    connection = stack.enter_context(trusting().wrap_socket(connection))
                connection.sendall(opening)
                if answered:
                    read_answer(connection)
                connection.sendall(then)
            except OSError:
                return False  # on a busy machine this client itself was too late
            assert end_of(connection) < AT_ONCE_S
            assert time.monotonic() - began > after_s * 0.9
            return True

    eventually(end_comes, 180, "a client that is silent in this state")


def is_cut_off(connection: socket.socket, data: bytes) -> bool:
    """Send some bytes, and wait for the connection's timeout or for what the server says."""
    try:
        connection.sendall(data)
        connection.recv(65_536)
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("unit", [b"X", b"\r\n"])
@pytest.mark.parametrize("every_s", [0.02, 0.2])
def test_slowness_is_silence(serve: Callable[..., ApiServer], unit: bytes, every_s: float) -> None:
    """A head that never ends, or blank lines, are cut off in time, however steadily they come."""
    server = serve(**SHORT)
    end = time.monotonic() + 180
    with connected(server, every_s) as connection:
        if unit == b"X":
            connection.sendall(b"GET / HTTP/1.1\r\nX-A: ")
        while not is_cut_off(connection, unit):
            assert time.monotonic() < end
    assert 200 == server.client.get(UNKNOWN).status


def test_unread_answers(serve: Callable[..., ApiServer]) -> None:
    """A client that sends requests and reads no answer is disconnected, with requests unanswered."""
    server = serve(**SHORT)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.port))
        with pytest.raises(OSError, match=r"reset|pipe"):
            connection.sendall(server.client.raw("GET", "/openapi.json") * 50_000)
    assert 200 == server.client.get(UNKNOWN).status


def test_one_address(serve: Callable[..., ApiServer]) -> None:
    """A client beyond its own limit loses its longest waiting connection; another client loses none."""
    server = serve(max_connections_per_client=2, **LONG)
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(
            socket.create_connection(("127.0.0.1", server.port), source_address=("127.0.0.2", 0))
        )
        other.sendall(HEALTH)
        read_answer(other)
        first, second, third = (stack.enter_context(connected(server)) for _ in range(3))
        for connection in (second, third, other):
            connection.sendall(HEALTH)
            assert 200 == read_answer(connection).status
        assert end_of(first) < AT_ONCE_S


def test_room_for_bodies(serve: Callable[..., ApiServer]) -> None:
    """Where too many bodies are in memory, a large one is asked to come later and a small one is served."""
    server = serve(body_memory_bytes=100_000)
    large = server.client.raw("POST", "/jobs", b"a" * 90_000)
    held = server.client.raw("POST", "/jobs", b"a" * 30_000)
    with connected(server) as first:
        first.sendall(held[:-1])

        def refused() -> Answer | None:
            answer = exchange(server.port, large)
            return answer if answer.status == 503 else None

        answer = eventually(refused, 180, "the first body is in memory")
        assert (503, "SlowDown", "1") == (answer.status, answer.code, answer.headers["retry-after"])
        assert 200 == server.client.post("/jobs", submission()).status
        first.sendall(held[-1:])
        assert "InvalidContent" == read_answer(first).code
    assert "InvalidContent" == server.client.post("/jobs", b"a" * 40_000).code


def trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@pytest.fixture
def secure(serve: Callable[..., ApiServer], certificate: tuple[Path, Path]) -> ApiServer:
    """A server with TLS."""
    return serve(tls_certificate=certificate[0], tls_key=certificate[1], **LONG)


def test_tls_bodies_and_keep_alive(secure: ApiServer) -> None:
    """Over TLS bodies of many records arrive, several requests share a connection, and pipelining works."""
    get = secure.client.raw("GET", UNKNOWN)
    with connected(secure) as plain, trusting().wrap_socket(plain) as connection:
        connection.sendall(secure.client.raw("POST", "/jobs", b"a" * 900_000) + get * 5)
        received = b""
        while received.count(b"HTTP/1.1 200 OK\r\n") < 5:
            received += connection.recv(65_536)
    assert received.startswith(b"HTTP/1.1 400")
    assert b"InvalidContent" in received


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_versions(secure: ApiServer, version: ssl.TLSVersion) -> None:
    """TLS 1.2 and 1.3 are served, and HTTP/1.1 is what is agreed on."""
    context = trusting()
    context.minimum_version = context.maximum_version = version
    context.set_alpn_protocols(["h2", "http/1.1"])
    with connected(secure) as plain, context.wrap_socket(plain) as connection:
        assert "http/1.1" == connection.selected_alpn_protocol()
        connection.sendall(HEALTH)
        assert 200 == read_answer(connection).status


HANDSHAKES = {
    "none": b"",
    "half a header": b"\x16\x03\x01",
    "a message announced with 128 KiB": bytes.fromhex("16030102000101ffb80303"),
    "half a record": bytes.fromhex("16030102000100010003"),
    "plain HTTP": HEALTH,
    "an alert": bytes.fromhex("15030300020100"),
}


@pytest.mark.parametrize("name", HANDSHAKES)
def test_unfinished_handshakes(
    serve: Callable[..., ApiServer], certificate: tuple[Path, Path], name: str
) -> None:
    """A late or invalid handshake ends the connection; another one succeeds."""
    server = serve(tls_certificate=certificate[0], tls_key=certificate[1], **SHORT)
    with connected(server) as connection:
        connection.sendall(HANDSHAKES[name])
        assert end_of(connection) < AT_ONCE_S

    def is_served() -> bool:
        try:
            with connected(server) as plain, trusting().wrap_socket(plain) as connection:
                connection.sendall(HEALTH)
                return read_answer(connection).status == 200
        except OSError:
            return False  # on a busy machine this client itself was too late

    eventually(is_served, 180, "an answer over TLS")


def test_tls_without_close_notify(secure: ApiServer) -> None:
    """A client that closes its socket, or never answers a close_notify, keeps nothing open."""
    closing = secure.client.raw("GET", UNKNOWN, head_bytes=b"Connection: close\r\n")
    with connected(secure) as plain:
        connection = trusting().wrap_socket(plain, suppress_ragged_eofs=False)
        connection.sendall(closing)
        assert 200 == read_answer(connection).status
        assert b"" == connection.recv(1)  # the server's close_notify; it does not wait for ours
        connection.close()


def s_client(server: ApiServer, *options: str, sent: str = "") -> str:
    """What OpenSSL's own client prints."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", *options]
    done = subprocess.run(command, input=sent, capture_output=True, text=True, timeout=180, check=False)
    return done.stdout + done.stderr


def test_neither_renegotiation_nor_early_data(secure: ApiServer) -> None:
    """A client cannot start another handshake on a connection, nor send a request that could be replayed."""
    assert "no renegotiation" in s_client(secure, "-tls1_2", sent="R\n")
    answered = s_client(secure, "-tls1_3", "-ign_eof", sent="GET /healthz HTTP/1.1\nHost: x\n\n")
    assert "Max Early Data: 0" in answered
