"""How the long-running processes end when they are asked to."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.deploy.local.services import consumes, responds
from stemline.testing.processes import eventually, program
from tests.support.measured import MEASURED
from tests.support.service import NO_STORE

pytestmark = [pytest.mark.slow, pytest.mark.thorough]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_process_that_is_asked_to_stop_ends_with_0(
    tmp_path: Path, valkey_server: ValkeyServer, number: signal.Signals
) -> None:
    """Every process ends with status 0 after SIGINT and SIGTERM, so that nothing counts it as failed."""
    api, several, flower = (free_port() for _ in range(3))
    alive = tmp_path / "alive"
    url = valkey_server.url
    variables = {"STEMLINE_REDIS_URL": url, "STEMLINE_BUCKETS": NO_STORE, **MEASURED}
    variables |= {"FLOWER_BASIC_AUTH": "user:password", "HOME": str(tmp_path)}
    commands = {
        "api": (["api", "--port", str(api)], lambda: responds(f"http://127.0.0.1:{api}/healthz")),
        "processes": (
            ["api", "--port", str(several), "--processes", "2"],
            lambda: responds(f"http://127.0.0.1:{several}/healthz"),
        ),
        "separate": (["worker", "separate", "--name", "s@test"], lambda: consumes("s@test", url)),
        "callbacks": (["worker", "callbacks", "--name", "c@test"], lambda: consumes("c@test", url)),
        "beat": (["beat"], alive.exists),
        "flower": (
            ["flower", "--port", str(flower)],
            lambda: responds(f"http://127.0.0.1:{flower}/healthcheck"),
        ),
    }
    with ExitStack() as stack:
        programs = {}
        for name, (command, _) in commands.items():
            own = {"STEMLINE_ALIVE_FILE": str(alive)} if name == "beat" else {}
            log = tmp_path / f"{name}.log"
            programs[name] = stack.enter_context(program(log, variables | own, "-m", "stemline", *command))
        for name, (_, is_ready) in commands.items():
            eventually(is_ready, 240, f"{name} is ready")
        for each in programs.values():
            each.process.send_signal(number)
        assert dict.fromkeys(commands, 0) == {name: each.process.wait(180) for name, each in programs.items()}
