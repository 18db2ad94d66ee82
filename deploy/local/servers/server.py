"""A server that is started on loopback, with a data folder of its own."""

from __future__ import annotations

import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

#: How long a server may take to become ready, s.
START_TIMEOUT_S = 60.0
#: How long a server may take to end after SIGTERM before it gets SIGKILL, s.
STOP_TIMEOUT_S = 5.0


class ServerMissing(RuntimeError):
    """The program of a server is not installed."""


class ServerFailed(RuntimeError):
    """A server did not become ready."""


class Server(ABC):
    """A server with its own data folder; it can be started again after a stop or a crash."""

    name: str
    port: int
    """The port on loopback that clients use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file that its output goes to when :meth:`start` starts it."""
        return self.folder / f"{self.name}.log"

    @abstractmethod
    def prepare(self) -> list[str]:
        """Write the configuration and return the command line that starts the server.

        Raises:
            ServerMissing: Its program is not installed.
        """

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers requests."""

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            ServerFailed: It ended or was not ready in time.
        """
        command = self.prepare()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait_ready()

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the server is ready.

        Raises:
            ServerFailed: It ended or was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.process is not None and self.process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self.process.returncode}; see {self.log}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready after {timeout_s:g} s; see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server with SIGTERM, or with SIGKILL where that does not end it in time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
