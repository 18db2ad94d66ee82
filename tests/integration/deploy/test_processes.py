"""The management of the local stack's processes, with small programs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stemline.deploy.local import processes
from stemline.deploy.local.errors import ProcessEnded
from stemline.deploy.local.processes import RESTARTS, Processes, Program
from stemline.testing.processes import eventually
from tests.support.processes import alive

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import time, signal as s; s.signal(s.SIGTERM, s.SIG_IGN); print('up', flush=True); time.sleep(300)",
]
#: At SIGTERM it writes whether the process named in a file is alive.
SERVER = """
import os, signal, sys, time
from pathlib import Path
def stop(*_):
    running = Path("/proc", Path(sys.argv[1]).read_text()).exists()
    print("the service is running" if running else "the service has ended", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(300)
"""
OWNER = """
import os, sys, time
from pathlib import Path
from stemline.deploy.local.processes import Processes, Program
processes = Processes(os.environ, lambda name: Path(sys.argv[1]) / name)
programs = [
    Program("service", [sys.executable, "-c", sys.argv[2]], lambda: True),
    Program("server", [sys.executable, "-c", sys.argv[3]], lambda: True, is_server=True),
]
processes.start(programs)
print(*processes.pids.values(), flush=True)
time.sleep(300)
"""
#: Its first process kills it right after the fork, before anything else is done there.
KILLED_OWNER = """
import os, signal, sys
from pathlib import Path
from stemline.deploy.local.processes import Processes, Program
owner = os.getpid()
def kill_owner():
    Path(sys.argv[1], "pid").write_text(str(os.getpid()))
    os.kill(owner, signal.SIGKILL)
    while os.getppid() == owner:
        pass
os.register_at_fork(after_in_child=kill_owner)
processes = Processes(os.environ, lambda name: Path(sys.argv[1]) / name)
processes.start([Program("service", [sys.executable, "-c", sys.argv[2]], lambda: True)])
"""


class Bench:
    """Processes whose logs are in a folder of the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[str] = []
        self.processes = Processes(os.environ, lambda name: folder / f"{name}.log")

    def program(self, name: str, command: Sequence[str] = SLEEP, **options: Any) -> Program:
        """A program that is ready once it has written `up`."""
        log = self.folder / f"{name}.log"
        return Program(name, command, lambda: "up" in log.read_text(), **options)

    def run(self, *programs: Program) -> None:
        self.processes.start(programs)
        for program in programs:
            self.processes.wait_ready(program, self.reports.append)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.processes.stop()


def test_services_are_stopped_before_servers_and_killed_if_need_be(bench: Bench) -> None:
    """A service that ignores SIGTERM is killed after its time; only then is the server stopped."""
    pid_file = bench.folder / "pid"
    server = bench.program("server", [sys.executable, "-c", SERVER, str(pid_file)], is_server=True)
    bench.run(server, bench.program("service", STUBBORN, stop_timeout_s=1))
    pids = bench.processes.pids
    pid_file.write_text(str(pids["service"]))
    began = time.monotonic()
    bench.processes.stop()
    assert 1 <= time.monotonic() - began < 180
    assert [] == [name for name, pid in pids.items() if alive(pid)]
    assert "the service has ended" in (bench.folder / "server.log").read_text()


def test_a_process_that_ends_is_restarted_three_times_a_minute(bench: Bench) -> None:
    """A killed process comes back with a new id, and a fourth end within a minute is an error."""
    bench.run(bench.program("sleep"))
    for _ in range(RESTARTS):
        killed = bench.processes.pids["sleep"]
        os.kill(killed, signal.SIGKILL)
        (ended,) = eventually(bench.processes.restart_ended)
        assert f"sleep was killed by signal 9; see {bench.folder}/sleep.log" == str(ended)
        assert alive(bench.processes.pids["sleep"])
        assert killed != bench.processes.pids["sleep"]
    os.kill(bench.processes.pids["sleep"], signal.SIGKILL)
    with pytest.raises(ProcessEnded):
        eventually(bench.processes.restart_ended)


def test_an_end_during_the_start_is_reported(bench: Bench) -> None:
    """While one process is waited for, the end of another one is an error that names that one."""
    bench.run(bench.program("first"))
    os.kill(bench.processes.pids["first"], signal.SIGKILL)
    second = bench.program("second", [sys.executable, "-c", "import time; time.sleep(300)"])
    bench.processes.start([second])
    with pytest.raises(ProcessEnded, match="first was killed by signal 9"):
        bench.processes.wait_ready(second, bench.reports.append)


def test_a_slow_start_is_waited_for_and_reported(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs is waited for, with a line about it and its log now and then."""
    monkeypatch.setattr(processes, "REPORT_INTERVAL_S", 0.1)
    slow = Program("slow", SLEEP, lambda: len(bench.reports) >= 2)
    bench.run(slow)
    first, second, *_ = bench.reports
    assert "Waiting for slow ..." == first
    assert re.search(r"slow runs, but is not ready after \d+ s; its log is .*slow\.log", second)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows whose a port is")
def test_an_answer_of_another_program_is_no_readiness(bench: Bench) -> None:
    """Where another program answers on the port, a program is not ready; its end is reported."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        bench.processes.start([beaten := Program("beaten", SLEEP, lambda: True, port=port)])

        def end(_: str) -> None:
            os.kill(bench.processes.pids["beaten"], signal.SIGKILL)

        with pytest.raises(ProcessEnded, match="beaten was killed"):
            bench.processes.wait_ready(beaten, end)


def test_a_program_that_is_not_installed_is_an_error(bench: Bench) -> None:
    """A command that cannot be executed is an error that names it."""
    with pytest.raises(FileNotFoundError, match="/no/such/program"):
        bench.processes.start([Program("ghost", ["/no/such/program"], lambda: True)])


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent")
def test_kill_9_leaves_nothing_running(tmp_path: Path) -> None:
    """When their starter is killed with kill -9, all processes end, even a service that ignores SIGTERM."""
    command = [sys.executable, "-c", OWNER, str(tmp_path), STUBBORN[-1], SLEEP[-1]]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    log = tmp_path / "service"
    eventually(lambda: "up" in log.read_text(), 180, "the service ignores SIGTERM")
    assert [True, True] == [alive(pid) for pid in pids]
    owner.kill()
    owner.wait()
    owner.stdout.close()
    eventually(lambda: not any(alive(pid) for pid in pids), 180, "the end of the processes")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent")
def test_kill_9_during_a_start_leaves_nothing_running(tmp_path: Path) -> None:
    """A process whose starter is killed between the fork and its first step ends, too."""
    owner = subprocess.run([sys.executable, "-c", KILLED_OWNER, str(tmp_path), STUBBORN[-1]], check=False)
    assert -signal.SIGKILL == owner.returncode
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not alive(pid), 180, "the end of the process")
