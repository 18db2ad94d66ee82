"""``stemline up --tls`` on a machine whose proxy must not see requests to the machine itself."""

from __future__ import annotations

import json
import os
import socket
import ssl
from pathlib import Path

import pytest

from stemline.testing.processes import Program, eventually


@pytest.mark.slow
def test_up_serves_https_beside_a_proxy(tmp_path: Path) -> None:
    """With an unusable proxy and no NO_PROXY the stack becomes ready, and clients that trust its CA reach it.

    The certificate is for loopback and for the vendor's host names, which clients with a fixed name need.
    """
    home = tmp_path / "home"
    variables = {
        name: value for name, value in os.environ.items() if name.lower() not in {"no_proxy", "http_proxy"}
    }
    variables |= {
        "STEMLINE_HOME": str(home),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "https_proxy": "http://127.0.0.1:1",
        "no_proxy": "",
        "NO_PROXY": "",
        "STEMLINE_MODELS_FETCH": "false",
    }
    stack = Program(tmp_path / "up.log", variables, "-m", "stemline", "up", "--tls")
    try:
        found = home / "stack.json"
        eventually(found.exists, 240, "the stack")
        where = json.loads(found.read_text())
        port = int(where["api"].rpartition(":")[2])
        assert where["api"] == f"https://127.0.0.1:{port}"
        trusting = ssl.create_default_context(cafile=where["ca_file"])
        for name in ("127.0.0.1", "localhost", "media-1250000000.ci.ap-chongqing.myqcloud.com"):
            with (
                socket.create_connection(("127.0.0.1", port), timeout=120) as plain,
                trusting.wrap_socket(plain, server_hostname=name) as secured,
            ):
                secured.sendall(
                    f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode()
                )
                assert secured.recv(100).startswith(b"HTTP/1.1 200")
        assert 0o600 == (home / "tls" / "ca.key").stat().st_mode & 0o777
    finally:
        assert stack.terminate() in {0, 1}
