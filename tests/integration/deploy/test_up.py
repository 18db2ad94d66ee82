"""``stemline up --tls`` beside taken ports, misleading files, a Redis elsewhere and an unusable proxy."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.processes import Program, eventually, program
from tests.integration.deploy.conftest import IMPORTED, write_misleading_files
from tests.support.measured import MEASURED
from tests.support.processes import alive

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Up:
    """The running command, and what it was given."""

    program: Program
    home: Path
    taken: int
    """A port that another program listens on."""
    where: dict[str, Any]
    """What its ``stack.json`` says."""


@pytest.fixture(scope="module")
def up(valkey_server: ValkeyServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The stack, once it says that it is up."""
    folder = tmp_path_factory.mktemp("up")
    home = folder / "home"
    home.mkdir()
    (home / "stack.json").write_text('{"pids": {"stack": 1}}')
    nowhere = "http://127.0.0.1:1"
    variables = {
        "STEMLINE_HOME": str(home),
        "STEMLINE_MODELS_FETCH": "false",
        "REDIS_URL": valkey_server.url,
        "COLUMNS": "300",
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "https_proxy"), nowhere),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), ""),
        **MEASURED,
    }
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        taken = occupied.getsockname()[1]
        (home / "ports.json").write_text(json.dumps({"api": taken, "s3": taken}))
        # As from a terminal, in a folder whose files have the names of modules.
        command = (str(Path(sys.executable).with_name("stemline")), "up", "--tls")
        misleading = write_misleading_files(folder / "misleading")
        with program(folder / "up.log", variables, *command, folder=misleading) as started:

            def ready() -> bool:
                assert started.process.poll() is None, started.text()
                return "Stemline is up" in started.text()

            eventually(ready, 240, "the stack")
            yield Up(started, home, taken, json.loads((home / "stack.json").read_text()))


def test_it_serves_https_beside_a_proxy(up: Up) -> None:
    """With an unusable proxy and no NO_PROXY the stack becomes ready, and clients that trust its CA reach it.

    The certificate is for loopback and for the vendor's host names, which clients with a fixed name need.
    """
    port = int(up.where["api"].rpartition(":")[2])
    assert up.where["api"] == f"https://127.0.0.1:{port}"
    trusting = ssl.create_default_context(cafile=up.where["ca_file"])
    for name in ("127.0.0.1", "localhost", "media-1250000000.ci.ap-chongqing.myqcloud.com"):
        with (
            socket.create_connection(("127.0.0.1", port), timeout=120) as plain,
            trusting.wrap_socket(plain, server_hostname=name) as secured,
        ):
            secured.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            assert secured.recv(100).startswith(b"HTTP/1.1 200")
    assert 0o600 == (up.home / "tls" / "ca.key").stat().st_mode & 0o777


def test_it_starts_elsewhere_and_uses_the_given_redis(up: Up, valkey_server: ValkeyServer) -> None:
    """Given taken ports, a stale stack.json and REDIS_URL, the stack starts elsewhere with that Redis."""
    assert "was not stopped cleanly" in up.program.text()
    assert not up.where["api"].endswith(f":{up.taken}")
    assert not up.where["s3"]["endpoint_url"].endswith(f":{up.taken}")
    assert valkey_server.url == up.where["redis_url"]
    assert "valkey" not in up.where["pids"]


def test_no_process_imports_a_file_of_the_folder(up: Up) -> None:
    """Beside files with the names of modules no process of the stack imported one of them."""
    logs = {log.stem: log.read_text(errors="replace") for log in (up.home / "logs").glob("*.log")}
    assert up.where["pids"].keys() - {"stack"} <= logs.keys()
    assert [] == [name for name, text in logs.items() if IMPORTED in text]
    assert IMPORTED not in up.program.text()


@pytest.mark.last
def test_a_process_that_keeps_dying_ends_it(up: Up) -> None:
    """When one process dies again and again, the stack ends with an error that names it and its log.

    Nothing is left running.
    """

    def ended() -> bool:
        kill_beat(up.home)
        return up.program.process.poll() is not None

    eventually(ended, 300, "the end")
    assert 1 == up.program.process.returncode
    error = f"The stack has stopped: beat was killed by signal 9; see {up.home}/logs/beat.log"
    assert error in up.program.text()
    assert not (up.home / "stack.json").exists()
    eventually(lambda: not any(map(alive, up.where["pids"].values())), 120, "the end of the processes")


def kill_beat(home: Path) -> None:
    """Kill Celery beat, and wait until it is there again or the stack has ended."""
    if victim := pid_of_beat(home):
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        eventually(lambda: pid_of_beat(home) != victim, 180, "another beat, or the end")


def pid_of_beat(home: Path) -> int:
    """The process id of beat; 0 where the stack has ended."""
    try:
        return int(json.loads((home / "stack.json").read_text())["pids"].get("beat", 0))
    except FileNotFoundError:
        return 0
