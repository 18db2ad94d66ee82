"""Valkey and SeaweedFS accept their configuration in compose.yaml."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from pathlib import Path

import pytest
import redis

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ServerMissing, valkey_program, weed_program
from stemline.testing.processes import eventually
from tests.conftest import REPOSITORY, missing
from tests.support import compose

DEPLOY = REPOSITORY / "deploy"


@pytest.fixture(scope="module")
def project():
    return compose.load(DEPLOY / "compose.yaml", compose.example())


def test_valkey_starts_from_its_configuration(project, tmp_path: Path):
    """The configuration is valid and in effect: password, append-only file, no eviction."""
    try:
        program = valkey_program()
    except ServerMissing as error:
        missing(str(error))
    text = project["configs"]["valkey"]["content"].replace("dir /data", f"dir {tmp_path}")
    port = free_port()
    (tmp_path / "valkey.conf").write_text(f"{text}bind 127.0.0.1\nport {port}\n")
    process = subprocess.Popen([program, str(tmp_path / "valkey.conf")], stdout=subprocess.DEVNULL)
    client = redis.Redis(port=port, password="hush-hush", decode_responses=True)

    def answers() -> bool:
        assert process.poll() is None
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False

    try:
        eventually(answers, 180, "valkey answers")
        reported = {
            name: client.config_get(name)[name] for name in ("appendonly", "maxmemory-policy", "maxmemory")
        }
        assert {"appendonly": "yes", "maxmemory-policy": "noeviction", "maxmemory": str(2 << 30)} == reported
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        client.close()
        process.terminate()
        process.wait(60)


def test_seaweedfs_knows_every_option(project):
    """Every option of the command exists in this release."""
    try:
        program = weed_program()
    except ServerMissing as error:
        missing(str(error))
    done = subprocess.run([program, "mini", "-h"], capture_output=True, text=True, check=False)
    known = set(re.findall(r"^  -(\S+)", done.stdout + done.stderr, re.MULTILINE))
    command = project["services"]["seaweedfs"]["command"]
    assert "mini" == command[0]
    assert {word.lstrip("-").partition("=")[0] for word in command[1:]} <= known


def test_the_health_check_of_seaweedfs_works(project, s3_server):
    """The S3 server answers the path of the health check without a signature."""
    address = project["services"]["seaweedfs"]["healthcheck"]["test"][-1]
    path = re.fullmatch(r"http://127\.0\.0\.1:8333(/\S+)", address)[1]
    with urllib.request.urlopen(s3_server.endpoint_url + path, timeout=120) as answer:
        assert 200 == answer.status
