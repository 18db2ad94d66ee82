"""What health probes are told, by real workers and a real clock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import pytest

from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.processes import eventually, program
from stemline.workers.liveness import ConsumerLiveness, age_s


def probe(env: dict[str, str], *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "stemline", "health", *words]
    done = subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def broker(tmp_path: Path):
    server = ValkeyServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("words", [("worker", "callbacks"), ("beat",)])
def test_a_probe_tells_a_part_that_works_from_one_that_hangs(words, broker, tmp_path: Path):
    """It passes while a part does its work; a frozen part or a silent broker lets the sign grow old."""
    sign = tmp_path / "alive"
    env = {
        "STEMLINE_REDIS_URL": broker.url,
        "STEMLINE_ALIVE_FILE": str(sign),
        "STEMLINE_SWEEP_INTERVAL_S": "1",
    }
    kind = "beat" if words == ("beat",) else "worker"
    assert probe(env, kind)[0] == 1
    with program(tmp_path / "part.log", env, "-m", "stemline", *words) as part:
        eventually(lambda: age_s(sign) is not None, what="a first sign of life")
        assert (0, "ok\n") == probe(env, kind)
        part.signal(signal.SIGSTOP)
        time.sleep(3)
        age = age_s(sign)
        assert age is not None
        assert age > 1.5
        part.signal(signal.SIGCONT)
        eventually(lambda: (age_s(sign) or 99) < 1.5, what="life again")
        # The part runs and its connection stands, but nothing comes over it: a ping would not tell.
        broker.process.send_signal(signal.SIGSTOP)
        try:
            eventually(lambda: (age_s(sign) or 0) > 3, 15, "silence is noticed")
        finally:
            broker.process.send_signal(signal.SIGCONT)
        eventually(lambda: (age_s(sign) or 99) < 1.5, what="life after the silence")


def test_a_worker_that_lost_its_broker_is_not_ready_but_need_not_be_restarted(broker, tmp_path: Path):
    """With the broker away the probe fails, except where only what a restart mends is asked."""
    sign = tmp_path / "alive"
    sign.write_text(f"{max(0.0, time.monotonic() - 100):015.3f}\n")
    env = {"STEMLINE_REDIS_URL": broker.url, "STEMLINE_ALIVE_FILE": str(sign)}
    assert probe(env, "worker")[0] == 1
    assert probe(env, "worker", "--live")[0] == 1  # the broker answers: this worker hangs
    broker.kill()
    assert probe(env, "worker")[0] == 1
    assert probe(env, "worker", "--live")[0] == 0


class Channel:
    """A broker channel whose credit a test decides about."""

    def __init__(self, *, full: bool) -> None:
        self.qos = self
        self.full = full

    def can_consume(self) -> bool:
        return not self.full


@pytest.mark.parametrize("full", [True, False])
def test_a_full_worker_is_alive_by_its_loop_and_an_idle_one_only_by_the_broker(full, tmp_path):
    """With every slot taken there is nothing to wait for; with a free slot the timer alone proves nothing."""
    sign = tmp_path / "alive"

    class Parent:
        steps: ClassVar[list[object]] = []
        app = SimpleNamespace(conf=SimpleNamespace(liveness_file=sign))

    step = ConsumerLiveness(Parent())
    step._touch_while_busy(Channel(full=full))
    assert full == sign.exists()


def test_a_sign_from_before_a_reboot_is_none(tmp_path: Path):
    """The monotonic clock starts again with the machine: a time in its future is no sign of life."""
    sign = tmp_path / "alive"
    sign.write_text(f"{time.monotonic() + 1000:015.3f}\n")
    assert age_s(sign) is None
