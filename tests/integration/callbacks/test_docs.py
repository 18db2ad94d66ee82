"""The receiver in the documentation, run as a reader would run it."""

from __future__ import annotations

import base64
import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest

from stemline.deploy.local.ports import free_port
from stemline.testing.processes import eventually
from tests.conftest import REPOSITORY

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


@pytest.fixture
def receiver(tmp_path):
    """The program from the page, started with the secret; its URL."""
    page = (REPOSITORY / "docs" / "callbacks.md").read_text()
    (program,) = re.findall("```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    port = free_port()
    environment = os.environ | {"WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    with (tmp_path / "out.txt").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "receiver.py"], cwd=tmp_path, env=environment, stdout=out, stderr=out
        )

    def listens() -> bool:
        assert process.poll() is None, (tmp_path / "out.txt").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, 180, "the receiver")
    yield f"http://127.0.0.1:{port}/stems-ready"
    process.kill()
    process.wait()


def test_the_receiver_of_the_documentation(bench, receiver, tmp_path):
    """It accepts a signed callback, ignores a duplicate, and refuses an unsigned request."""
    bench = bench(webhook_secrets=[SECRET])
    bench.clock.now = time.time_ns() // 1000
    delivery = bench.post_to(receiver)
    assert ["204"] == [a.status for a in bench.try_(delivery).attempts]

    # The worker died before it could write down that it had delivered: the same comes again.
    bench.store.client.hset(f"stemline:delivery:{delivery.id}", mapping={"status": "pending"})
    bench.store.outbox.record(delivery.id, None, next_due=bench.clock.now, status="pending")
    assert ["204", "204"] == [a.status for a in bench.try_(delivery).attempts]

    assert (
        401 == httpx.post(receiver, content=b"{}", headers={"webhook-id": "d1"}, trust_env=False).status_code
    )
    assert [f"{delivery.job_id} Success order 17"] == (tmp_path / "out.txt").read_text().splitlines()
