"""The proxy of the compose file, run in front of a server that records requests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemline.deploy.local.ports import free_port
from stemline.testing.processes import eventually
from tests.conftest import REPOSITORY, missing

HOST = "media-1250000000.ci.ap-chongqing.example.com"


class Upstream:
    """Answers every request and records the heads as received."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (data := connection.recv(65536)):
                    head += data
                self.heads.append(head)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.listener.close()


@pytest.fixture(scope="module")
def proxy(upstream, tmp_path_factory) -> Iterator[int]:
    """The port of Caddy with the configuration of the compose file."""
    beside = Path(sys.executable).with_name("caddy")
    program = str(beside) if beside.exists() else shutil.which("caddy")
    if program is None:
        missing("caddy")
    home, port = tmp_path_factory.mktemp("caddy"), free_port()
    env = {
        **os.environ,
        "API_HOST": "127.0.0.1",
        "API_PORT": str(upstream.port),
        "SITE_ADDRESS": f"http://:{port}",
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
    }
    config = str(REPOSITORY / "deploy" / "docker" / "Caddyfile")
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "run", "--config", config, "--adapter", "caddyfile"],
            env=env,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def listens() -> bool:
        assert process.poll() is None, (home / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, 180, "caddy listens")
    yield port
    process.terminate()
    process.wait(60)


def send(port: int, head: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=180) as connection:
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


@pytest.mark.parametrize(
    "target",
    [
        "/jobs?jobIds=a%2Cb&size=%31&tag=VoiceSeparate",
        "/a%2Fb//c%20d/../e/./f?x=%7e&y=1;2&z&=&x=+",
        "/jobs/%E4%BD%A0?q=%zz",
        "/?",
    ],
)
def test_path_and_query_arrive_as_they_were_sent(proxy: int, upstream: Upstream, target: str):
    """Signatures cover path and query byte by byte, so the proxy forwards both unchanged."""
    answer = send(proxy, f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: q-sign-algorithm=sha1\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    lines = upstream.heads[-1].decode().split("\r\n")
    assert f"GET {target} HTTP/1.1" == lines[0]
    assert f"Host: {HOST}" in lines
    assert "Authorization: q-sign-algorithm=sha1" in lines


def test_an_absolute_target_arrives_with_its_own_host(proxy: int, upstream: Upstream):
    """A client that uses Stemline as its HTTP proxy sends the bucket's host in the target."""
    answer = send(proxy, f"GET http://{HOST}/jobs?size=1 HTTP/1.1\r\nHost: {HOST}\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    lines = upstream.heads[-1].decode().split("\r\n")
    assert "GET /jobs?size=1 HTTP/1.1" == lines[0]
    assert f"Host: {HOST}" in lines
