"""The real API for the vendor's SDKs, and names that lead to it."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.api_server import ApiServer, api_settings
from tests.conftest import missing

LOCAL = (".myqcloud.com", ".example.test", ".localhost", ".internal")


@pytest.fixture
def serve(valkey_server: ValkeyServer, valkey: redis.Redis) -> Iterator[Callable[..., ApiServer]]:
    """Starts API servers with settings of their own."""
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(
            ApiServer(api_settings(redis_url=valkey_server.url, **changes))
        )


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hosts file or a wildcard record does: these names are this machine."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else host
        local = isinstance(text, str) and text.endswith(
            (".myqcloud.com", ".example.test", ".localhost", ".internal")
        )
        return resolve("127.0.0.1" if local else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SDK as its lock file pins it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("node with npm")
    folder = tmp_path_factory.mktemp("node")
    for file in Path(__file__).with_name("node").iterdir():
        if file.is_file():
            shutil.copy(file, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        missing(f"cos-nodejs-sdk-v5 (npm ci: {done.stderr[-300:]})")
    return folder
