"""The stack's processes under Supervisor: started in order, their output kept, ended together."""

from __future__ import annotations

import contextlib
import ctypes
import http.client
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from supervisor.xmlrpc import SupervisorTransport

from stemline.deploy.local.servers import write_private

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Program:
    """A process of the stack."""

    name: str
    command: Sequence[str]
    log: Path
    stop_wait_s: int = 5
    """How long it may take to end after TERM before it gets KILL, s."""
    server: bool = False
    """Servers are ended after all the others."""


@dataclass(frozen=True, slots=True)
class Status:
    """What Supervisor says of a process."""

    pid: int
    running: bool
    exit_code: int
    """As a shell would tell it; -1 where a signal ended it."""


def _die_with_parent() -> None:
    """Ask Linux to send TERM when the parent is gone, so that even its kill -9 leaves nothing running."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Supervisor:
    """One supervisord with the programs of one stack."""

    def __init__(self, folder: Path, programs: Sequence[Program]) -> None:
        self._folder = folder
        self._programs = {program.name: program for program in programs}
        self._process: subprocess.Popen[bytes] | None = None
        self._socket_folder: Path | None = None

    @property
    def log(self) -> Path:
        """Supervisor's own log."""
        return self._folder / "supervisor.log"

    @property
    def pid(self) -> int:
        """The process id of supervisord."""
        return self._process.pid if self._process else 0

    def _config(self, socket: Path) -> str:
        # Supervisor expands %(name)s, so a percent sign is doubled.
        def text(value: object) -> str:
            return str(value).replace("%", "%%")

        sections: list[tuple[str, dict[str, object]]] = [
            ("unix_http_server", {"file": socket, "chmod": "0600"}),
            (
                "rpcinterface:supervisor",
                {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
            ),
            (
                "supervisord",
                {
                    "logfile": self.log,
                    "logfile_maxbytes": "4MB",
                    "logfile_backups": 1,
                    "pidfile": self._folder / "supervisor.pid",
                    "childlogdir": self._folder,
                    "minfds": 256,
                    "minprocs": 64,
                },
            ),
        ]
        sections += [
            (
                f"program:{program.name}",
                {
                    "command": shlex.join(program.command),
                    "autostart": "false",
                    "autorestart": "false",
                    "startsecs": 0,
                    "stopwaitsecs": program.stop_wait_s,
                    "killasgroup": "true",
                    "redirect_stderr": "true",
                    "stdout_logfile": text(program.log),  # expanded twice
                    "stdout_logfile_maxbytes": "16MB",
                    "stdout_logfile_backups": 2,
                },
            )
            for program in self._programs.values()
        ]
        for group, server, priority in (("servers", True, 1), ("parts", False, 2)):
            names = [program.name for program in self._programs.values() if program.server is server]
            if names:
                sections.append((f"group:{group}", {"programs": ",".join(names), "priority": priority}))
        return "\n".join(
            f"[{title}]\n" + "".join(f"{key}={text(value)}\n" for key, value in values.items())
            for title, values in sections
        )

    def start(self, environment: Mapping[str, str], *, hold: Sequence[int] = ()) -> None:
        """Start supervisord; its programs are started one by one with :meth:`run`.

        Args:
            environment: of supervisord and so of all programs.
            hold: file descriptors it keeps open, so that a lock lasts as long as it runs.

        Raises:
            RuntimeError: it did not answer.
        """
        # A Unix socket's path may have 107 bytes, and the stack's folder may lie deep.
        self._socket_folder = Path(tempfile.mkdtemp(prefix="stemline-"))
        socket = self._socket_folder / "socket"
        config = self._folder / "supervisor.conf"
        write_private(config, self._config(socket))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "supervisor.supervisord", "--nodaemon", "-c", str(config)],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,  # why it does not start; all else it logs itself
                start_new_session=True,  # the terminal's Ctrl-C is for us alone
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - called before any thread is made
                pass_fds=hold,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self._call("getState")
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the supervisor did not start; see {self.log}") from error
                time.sleep(0.05)
            else:
                return

    def _call(self, method: str, *arguments: Any) -> Any:
        """One call over the socket, on a connection of its own.

        Raises:
            OSError: supervisord is not there.
            RuntimeError: it refused.
        """
        transport = SupervisorTransport(serverurl=f"unix://{self._socket_folder}/socket")
        try:
            proxy = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            raise RuntimeError(error.faultString) from error
        except (http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(str(error)) from error
        finally:
            transport.close()

    def _group_name(self, name: str) -> str:
        return f"{'servers' if self._programs[name].server else 'parts'}:{name}"

    def run(self, name: str) -> None:
        """Start one program.

        Raises:
            RuntimeError: it cannot be started at all.
        """
        try:
            self._call("startProcess", self._group_name(name), True)
        except OSError as error:
            raise RuntimeError(f"the supervisor is gone; see {self.log}") from error
        except RuntimeError as error:
            raise RuntimeError(f"{name}: {error}") from error

    def status(self) -> dict[str, Status]:
        """What became of each program that was started.

        Raises:
            RuntimeError: supervisord is gone.
        """
        try:
            rows = self._call("getAllProcessInfo")
        except OSError as error:
            raise RuntimeError(f"the supervisor is gone; see {self.log}") from error
        return {
            row["name"]: Status(
                pid=row["pid"],
                running=row["statename"] in {"RUNNING", "STARTING"},
                exit_code=row["exitstatus"],
            )
            for row in rows
            if row["start"]
        }

    def stop(self) -> None:
        """End all programs, the servers last, and supervisord."""
        if self._process is None:
            return
        patience = 10 + 2 * max((program.stop_wait_s for program in self._programs.values()), default=0)
        self._process.terminate()
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(RuntimeError):
                for status in self.status().values():
                    if status.running:
                        with contextlib.suppress(OSError):
                            os.killpg(status.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        if self._socket_folder is not None:
            shutil.rmtree(self._socket_folder, ignore_errors=True)
