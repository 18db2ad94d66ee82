"""The local stack when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stemline.cli.main import main
from stemline.deploy.local.addresses import Addresses
from stemline.deploy.local.stack import Stack, StackError
from stemline.testing.processes import eventually
from tests.integration.deploy.test_up import pid_of_beat
from tests.integration.test_stack import s3_for
from tests.support.processes import alive


def test_one_folder_one_stack(where: dict[str, Any], stack_home: Path, tmp_path: Path) -> None:
    """A second start in the folder of a running stack is refused and names its process; the first goes on."""
    ran = subprocess.run(
        [sys.executable, "-m", "stemline", "up"],
        check=False,
        env={**os.environ, "STEMLINE_HOME": str(stack_home), "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert 1 == ran.returncode
    assert f"a stack is already running in {stack_home} (process {where['pids']['stack']}" in ran.stderr
    assert "end it with Ctrl-C in its terminal; STEMLINE_HOME=FOLDER keeps another one apart" in ran.stderr
    assert where["pids"]["stack"] == json.loads((stack_home / "stack.json").read_text())["pids"]["stack"]


def test_a_process_that_dies_is_restarted(where: dict[str, Any], stack_home: Path) -> None:
    """A killed process is restarted, and stack.json holds its new id."""
    victim = where["pids"]["beat"]
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: pid_of_beat(stack_home) not in {0, victim}, 180, "another beat")
    now = json.loads((stack_home / "stack.json").read_text())["pids"]
    assert where["pids"] | {"beat": now["beat"]} == now, "the other processes are left alone"
    assert alive(now["beat"])


def test_stack_json_is_for_its_owner_alone(where: dict[str, Any], stack_home: Path) -> None:
    """Files with secrets are readable by their owner only; stack.json has all that a client needs."""
    assert 0o700 == stack_home.stat().st_mode & 0o777
    for name in ("stack.json", "credentials.json", "valkey/valkey.conf", "seaweedfs/s3.json"):
        assert 0o600 == (stack_home / name).stat().st_mode & 0o777
    keys = {"api", "region", "bucket", "secret_id", "secret_key", "webhook_secret"}
    assert keys | {"s3", "redis_url", "flower", "pids"} == set(where)
    assert {"endpoint_url", "access_key", "secret_key"} == set(where["s3"])
    assert {"url", "user", "password"} == set(where["flower"])
    processes = {"stack", "valkey", "seaweedfs", "api", "worker", "callbacks", "beat", "flower"}
    assert processes == set(where["pids"])


def test_secrets_are_on_no_command_line(where: dict[str, Any], stack_home: Path) -> None:
    """The list of processes shows no password or key."""
    secrets = [where["secret_key"], where["s3"]["secret_key"], where["flower"]["password"]]
    secrets.append(where["redis_url"].split("@")[0].split(":")[-1])
    assert all(len(secret) >= 8 for secret in secrets)
    pids = json.loads((stack_home / "stack.json").read_text())["pids"]  # another test may have killed one
    lines = [Path(f"/proc/{pid}/cmdline").read_text(errors="replace") for pid in pids.values()]
    assert len(lines) >= 8
    assert [] == [line for line in lines for secret in secrets if secret in line]


def test_a_demo_that_fails_gives_the_reason(
    where: dict[str, Any], stack_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a file that is not audio the demo prints the error of the job and the path of the logs."""

    class Started(Stack):
        """The running stack, for a command that would start its own."""

        addresses = Addresses.read(where)

        def start(self) -> None:
            pass

        stop = check = start

        def s3_client(self) -> Any:
            return s3_for(where)

    monkeypatch.setenv("STEMLINE_HOME", str(stack_home))
    monkeypatch.setattr("stemline.deploy.local.stack.Stack", Started)
    monkeypatch.chdir(tmp_path)
    song = tmp_path / "song.mp3"
    song.write_text("no music at all\n" * 100)
    ran = CliRunner().invoke(main, ["demo", str(song)])
    assert 1 == ran.exit_code
    assert "The demo failed: the job ended Failed: InvalidContent" in ran.output
    assert f"Logs: {stack_home / 'logs'}" in ran.output


def test_a_redis_that_does_not_answer_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong REDIS_URL ends the start at once, without its password."""
    monkeypatch.setenv("REDIS_URL", "redis://:hush@127.0.0.1:1/0")
    stack = Stack(tmp_path / "home")
    with pytest.raises(StackError, match="REDIS_URL does not answer") as refused, stack:
        pass
    assert "hush" not in str(refused.value)


@pytest.mark.slow
def test_a_port_lost_at_the_last_moment_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another program takes a chosen port before the server listens there, others are chosen."""
    reported: list[str] = []
    stack = Stack(tmp_path / "home", report=reported.append)
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        taken = thief.getsockname()[1]
        choose = stack.home.choose_ports
        message = "Another program took a port of valkey; choosing other ports ..."

        def choose_badly(*arguments: Any, **options: Any) -> dict[str, int]:
            chosen = choose(*arguments, **options)
            return chosen if message in reported else chosen | {"valkey": taken}

        monkeypatch.setattr(stack.home, "choose_ports", choose_badly)
        monkeypatch.setattr("stemline.deploy.local.stack.service_programs", lambda _: [])
        with stack:
            found = stack.addresses.redis_url
    assert message in reported
    assert f":{taken}/" not in found
