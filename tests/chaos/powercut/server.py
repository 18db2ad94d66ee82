"""Valkey on a disk that can be cut off: its start, its refusals, and their repair."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import redis

from stemline.deploy.local.servers import valkey_program

START_S: Final = 30.0
_SOCKET: Final = "valkey.sock"
REFUSALS: Final = (
    "Bad file format reading the append only file",
    "Unexpected end of file reading the append only file",
    "the truncated file is not the last file",
    "Error reading the RDB preamble",
    "Wrong RDB checksum",
    "Short read or OOM loading DB",
    "Internal error in RDB reading",
    "Wrong signature trying to load DB from file",
    "Error reading the append only file",
    "AOF MANIFEST FILE ERROR",
    "Unable to obtain the AOF file",
)
"""What the server says when it does not load a damaged file."""


class Refused(Exception):
    """The server does not load its files, and says so."""

    def __init__(self, reason: str, text: str) -> None:
        """Keep which of :data:`REFUSALS` it was, and what the log says."""
        self.reason = reason
        super().__init__(text)


class Silent(Exception):
    """The server did not start, without a reason that is one of a damaged file."""


class CutAtStart(Exception):
    """The power was cut before the server was ready."""


class CutServer:
    """One life of a server."""

    def __init__(self, root: Path, folder: Path, appendfsync: str, environment: Mapping[str, str]) -> None:
        """Start it on the files of a folder.

        Raises:
            Refused: They are damaged, and it says so.
            Silent: It did not start.
            CutAtStart: It killed itself, as it was asked to.
        """
        self.socket = root / _SOCKET
        self.socket.unlink(missing_ok=True)
        self._log = root / "valkey.log"
        self._log.write_bytes(b"")
        options = {
            "port": "0",
            "unixsocket": str(self.socket),
            "dir": str(folder),
            "appendonly": "yes",
            "appendfsync": appendfsync,
            "auto-aof-rewrite-percentage": "50",
            "auto-aof-rewrite-min-size": "48kb",
            "save": "",
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [valkey_program(), *words],
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
            )
        try:
            self._await()
        except BaseException:
            self.kill()
            raise

    def _await(self) -> None:
        deadline = time.monotonic() + START_S
        with redis.Redis(unix_socket_path=str(self.socket), retry=None) as client:
            while True:
                try:
                    client.ping()
                except redis.exceptions.RedisError:
                    time.sleep(0.002)
                else:
                    return
                if self.process.poll() is not None:
                    raise self._reason()
                if time.monotonic() > deadline:
                    raise Silent(f"not ready after {START_S:g} s: {self.said()}")

    def _reason(self) -> Exception:
        if self.process.returncode == -signal.SIGKILL:
            return CutAtStart()
        text = self.said()
        for reason in REFUSALS:
            if reason in text:
                return Refused(reason, text)
        return Silent(f"ended with {self.process.returncode}: {text}")

    def said(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-12:])

    def kill(self) -> None:
        """Kill it with its child that rewrites the file."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def repair(folder: Path, refused: Refused) -> None:
    """Cut damaged tails off the append-only files, as the runbook says; files after such a one are emptied.

    The program of the server is that of the check as well, under another name. It is given each file by
    itself: given the manifest, that of Valkey 9 does not know the header of its own base file.
    """
    is_damaged, files = False, folder.glob("appendonlydir/*.incr.aof")
    for path in sorted(files, key=lambda path: int(path.name.split(".")[2])):
        if is_damaged:
            path.write_bytes(b"")
            continue
        done = subprocess.run(
            ["valkey-check-aof", "--fix", str(path)],
            executable=valkey_program(),
            input=b"y\n",
            capture_output=True,
            timeout=START_S,
            check=False,
        )
        # The server cuts off a tail by itself before it finds that the file is not the last one.
        is_damaged = f"Truncating the AOF {path.name}" in str(refused)
        is_damaged |= b"Successfully truncated" in done.stdout
