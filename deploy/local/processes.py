"""The processes of a local stack: started, awaited, restarted when they end, and stopped in order."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from stemline.deploy.local.errors import ProcessEnded
from stemline.deploy.local.ports import listens
from stemline.runtime.parent import end_with_parent

#: A process that ends is restarted at most this often within :data:`RESTART_WINDOW_S`.
RESTARTS = 3
RESTART_WINDOW_S = 60.0
#: How often a start says what it waits for, s.
REPORT_INTERVAL_S = 15.0


@dataclass(frozen=True, slots=True)
class Program:
    """A program that the stack runs as one process."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    stop_timeout_s: float = 8.0
    """How long it may take to end after SIGTERM before it gets SIGKILL, s."""
    port: int | None = None
    """It is ready only once it listens on this loopback port itself: another program might answer there."""
    is_server: bool = False
    """Servers are stopped after the programs that use them."""


@dataclass(slots=True)
class _Process:
    program: Program
    popen: subprocess.Popen[bytes]
    restarts: deque[float] = field(default_factory=lambda: deque(maxlen=RESTARTS))
    """Monotonic times of the latest restarts, s."""


class Processes:
    """The running processes of one stack.

    Args:
        environment: Environment of every process.
        log: From the name of a program to the file that its output is appended to.
        pass_fds: File descriptors that every process inherits.
    """

    def __init__(
        self, environment: Mapping[str, str], log: Callable[[str], Path], *, pass_fds: Sequence[int] = ()
    ) -> None:
        self._environment = environment
        self._log = log
        self._pass_fds = pass_fds
        self._processes: dict[str, _Process] = {}

    @property
    def pids(self) -> dict[str, int]:
        """Process ids by name."""
        return {name: process.popen.pid for name, process in self._processes.items()}

    def start(self, programs: Iterable[Program]) -> None:
        """Start programs without waiting for them.

        Raises:
            OSError: A command cannot be executed.
        """
        for program in programs:
            self._processes[program.name] = _Process(program, self._popen(program))

    def _popen(self, program: Program) -> subprocess.Popen[bytes]:
        # A service gets SIGKILL: it might wait for servers that have ended before it.
        number = signal.SIGTERM if program.is_server else signal.SIGKILL
        with self._log(program.name).open("ab") as log:
            return subprocess.Popen(
                program.command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal reaches only this process
                # Linux ends the process even if this one is killed with kill -9.
                preexec_fn=partial(end_with_parent, os.getpid(), number),  # noqa: PLW1509
                pass_fds=self._pass_fds,
            )

    def wait_ready(self, program: Program, report: Callable[[str], None]) -> None:
        """Wait until a program is ready, for as long as it runs: a busy machine may need minutes.

        Args:
            program: A program that was started.
            report: Is called with what is waited for, at the start and every :data:`REPORT_INTERVAL_S`.

        Raises:
            ProcessEnded: A process of the stack, this or another one, has ended.
        """
        report(f"Waiting for {program.name} ...")
        started = reported = time.monotonic()
        while not (self._listens(program) and program.is_ready()):
            for process in self._processes.values():
                if process.popen.poll() is not None:
                    raise self._ended(process)
            now = time.monotonic()
            if now - reported >= REPORT_INTERVAL_S:
                reported = now
                report(
                    f"{program.name} runs, but is not ready after {now - started:.0f} s; "
                    f"its log is {self._log(program.name)}"
                )
            time.sleep(0.05)

    def _listens(self, program: Program) -> bool:
        return program.port is None or listens(self.pids[program.name], program.port)

    def restart_ended(self) -> list[ProcessEnded]:
        """Restart the processes that have ended.

        Returns:
            One description for each process that was restarted.

        Raises:
            ProcessEnded: A process has ended once more after :data:`RESTARTS` restarts within
                :data:`RESTART_WINDOW_S`.
        """
        restarted = []
        for process in self._processes.values():
            if process.popen.poll() is None:
                continue
            ended, now = self._ended(process), time.monotonic()
            if len(process.restarts) == RESTARTS and now - process.restarts[0] < RESTART_WINDOW_S:
                raise ended
            process.restarts.append(now)
            process.popen = self._popen(process.program)
            restarted.append(ended)
        return restarted

    def _ended(self, process: _Process) -> ProcessEnded:
        name = process.program.name
        return ProcessEnded(name, process.popen.returncode, self._log(name))

    def stop(self) -> None:
        """Stop all processes, servers last; kill those that do not end in time, with their children."""
        with _stop_signals_ignored():
            for servers in (False, True):
                self._stop([each for each in self._processes.values() if each.program.is_server is servers])
        self._processes.clear()

    @staticmethod
    def _stop(processes: Sequence[_Process]) -> None:
        began = time.monotonic()
        for process in processes:
            process.popen.terminate()
        for process in processes:
            try:
                process.popen.wait(max(0.0, began + process.program.stop_timeout_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.killpg(process.popen.pid, signal.SIGKILL)
                process.popen.wait()


@contextmanager
def _stop_signals_ignored() -> Iterator[None]:
    """Ignore a second Ctrl-C: an interrupted stop would leave processes running."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
