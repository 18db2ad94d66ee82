"""The API as the command line runs it, with several processes behind one port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.client import SECRET_ID, SECRET_KEY, Client, exchange, submission
from stemline.testing.processes import eventually
from tests.support.measured import MEASURED
from tests.support.processes import alive

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def running(folder: Path, redis_url: str, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``stemline api`` until the test is over."""
    port = free_port()
    settings = {
        "STEMLINE_REDIS_URL": redis_url,
        "STEMLINE_CREDENTIALS": json.dumps([{"secret_id": SECRET_ID, "secret_key": SECRET_KEY}]),
    }
    command = [sys.executable, "-m", "stemline", "api", "--port", str(port), *options]
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(command, env=os.environ | settings | MEASURED, stdout=log, stderr=log)
    try:
        eventually(lambda: answers(port) or process.poll() is not None, 400, "the API")
        assert process.poll() is None, (folder / "api.log").read_text()
        yield process, port
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def answers(port: int) -> bool:
    try:
        return exchange(port, HEALTH, timeout_s=5).status == 200
    except OSError:
        return False


def spawned(parent: int) -> list[int]:
    """The processes behind a port, which the command has spawned."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            owner = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if owner == parent and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_serves_and_stops(tmp_path: Path, valkey_server: ValkeyServer, valkey: redis.Redis) -> None:
    """Two processes serve one port, a stored submission sends its wake-up, and TERM ends them all soon."""
    with running(tmp_path, valkey_server.url, "--processes", "2") as (process, port):
        servers = eventually(
            lambda: found if len(found := spawned(process.pid)) == 2 else None, 60, "two processes"
        )
        for server in servers:  # while one of them stands still, the other answers
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGSTOP)
            try:
                eventually(lambda: answers(port), 180, "an answer of the other process")
            finally:
                with suppress(ProcessLookupError):
                    os.kill(server, signal.SIGCONT)
        eventually(lambda: answers(port), 180, "an answer")
        answer = Client(port).post("/jobs", submission(operation="<JobLevel>2</JobLevel>"))
        assert 200 == answer.status
        eventually(lambda: valkey.llen("separate.2"), 180, "the wake-up")
        assert 1 == valkey.llen("separate.2")
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=180)
        assert not answers(port)
    assert b"SecretKeyExample" not in (tmp_path / "api.log").read_bytes()


@pytest.mark.slow
@pytest.mark.thorough
def test_kill_9_ends_all_processes(tmp_path: Path, valkey_server: ValkeyServer) -> None:
    """When the command is killed by -9, no process goes on answering behind the port."""
    with running(tmp_path, valkey_server.url, "--processes", "2") as (process, port):
        eventually(lambda: len(spawned(process.pid)) == 2, 180, "two processes")
        eventually(lambda: answers(port), 180, "an answer")
        children = spawned(process.pid)
        process.kill()
        eventually(lambda: not any(map(alive, children)), 180, "the end of the processes")
        assert 2 == len(children)
        assert not answers(port)
