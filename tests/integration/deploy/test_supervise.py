"""The supervisor alone, with small programs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemline.deploy.local.supervise import Program, Supervisor
from tests.processes import eventually

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import time, signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); time.sleep(300)",
]
OWNER = """
import sys, time
from pathlib import Path
from stemline.deploy.local.supervise import Program, Supervisor
folder = Path(sys.argv[1])
sleep = Program("sleep", [sys.executable, "-c", "import time; time.sleep(300)"], folder / "log")
supervisor = Supervisor(folder, [sleep])
supervisor.start({})
supervisor.run("sleep")
print(supervisor.pid, supervisor.status()["sleep"].pid, flush=True)
time.sleep(300)
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def supervised(folder: Path, *programs: Program) -> Supervisor:
    supervisor = Supervisor(folder, programs)
    supervisor.start(dict(os.environ))
    return supervisor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    odd = tmp_path / "100% odd"
    odd.mkdir()
    return odd


@pytest.fixture
def server_and_part(folder: Path) -> Iterator[Supervisor]:
    supervisor = supervised(
        folder,
        Program("part", STUBBORN, folder / "part.log", stop_wait_s=1),
        Program("server", SLEEP, folder / "server.log", server=True),
    )
    yield supervisor
    supervisor.stop()


def test_parts_end_first_and_by_force_if_need_be(server_and_part: Supervisor, folder: Path) -> None:
    """A part that ignores TERM is killed after its time; the server lives until then; odd paths are fine."""
    for name in ("server", "part"):
        server_and_part.run(name)
    log = folder / "part.log"
    eventually(lambda: log.exists() and "up" in log.read_text(), 10)
    pids = {name: each.pid for name, each in server_and_part.status().items()}
    began = time.monotonic()
    server_and_part.stop()
    assert 1 <= time.monotonic() - began < 10
    assert [] == [name for name, pid in pids.items() if alive(pid)]
    ended = [line for line in server_and_part.log.read_text().splitlines() if "stopped:" in line]
    assert ["part", "server"] == [line.split("stopped: ")[1].split()[0] for line in ended]


def test_a_death_is_seen(server_and_part: Supervisor) -> None:
    """A program that was killed is told as ended by a signal, and can be started again."""
    server_and_part.run("server")
    first = server_and_part.status()["server"].pid
    os.kill(first, signal.SIGKILL)
    eventually(lambda: not server_and_part.status()["server"].running, 10)
    assert -1 == server_and_part.status()["server"].exit_code
    server_and_part.run("server")
    second = server_and_part.status()["server"]
    assert second.running
    assert first != second.pid


def test_a_program_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """A command that cannot be started is told by name."""
    supervisor = supervised(tmp_path, Program("ghost", ["/no/such/program"], tmp_path / "log"))
    try:
        with pytest.raises(RuntimeError, match="ghost: NO_FILE"):
            supervisor.run("ghost")
    finally:
        supervisor.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for the death of its parent")
def test_kill_9_leaves_nothing_running(tmp_path: Path) -> None:
    """When the process that owns the supervisor is killed with -9, supervisor and programs end too."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert all(alive(pid) for pid in pids)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    eventually(lambda: not any(alive(pid) for pid in pids), 20, "the end of the orphans")
