"""The folder of a local stack: its lock, credentials, ports, logs and data."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from stemline.deploy.local import ports
from stemline.deploy.local.credentials import Credentials
from stemline.deploy.local.errors import StackError
from stemline.deploy.local.files import write_private

#: How long a start waits for the processes of the previous stack to end, s.
_LOCK_TIMEOUT_S = 30.0
#: A log larger than this is moved aside at the next start, bytes.
_LOG_LIMIT = 16 << 20


class Home:
    """The folder of a stack; one stack at a time holds its lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.stack_file = self.path / "stack.json"
        self._lock: int | None = None

    def lock(self, report: Callable[[str], None]) -> int:
        """Create the folder and lock it for the lifetime of this process and its children.

        Args:
            report: Is called with messages about waiting and about an unclean stop of the previous stack.

        Returns:
            The file descriptor of the lock; children that inherit it keep the folder locked.

        Raises:
            StackError: Another stack holds the lock.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        self._lock = lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _LOCK_TIMEOUT_S
        reported = False
        while not _try_lock(lock):
            owner = self._owner()
            if owner is not None:
                raise StackError(
                    f"a stack is already running in {self.path} (process {owner}, see {self.stack_file}):"
                    " use it, or end it with Ctrl-C in its terminal;"
                    " STEMLINE_HOME=FOLDER keeps another one apart"
                )
            if time.monotonic() > deadline:
                raise StackError(f"the previous stack in {self.path} has not ended in {_LOCK_TIMEOUT_S:g} s")
            if not reported:
                report("Waiting for the processes of the previous stack to end ...")
                reported = True
            time.sleep(0.2)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        if self.stack_file.exists():
            report("The previous stack was not stopped cleanly; its data is kept.")
            self.stack_file.unlink()
        return lock

    def unlock(self) -> None:
        """Release the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _owner(self) -> int | None:
        """Return the id of the process that locked the folder, if it still runs."""
        try:
            pid = int((self.path / "lock").read_text() or 0)
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid or None

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.logs / f"{name}.log"

    def rotate_logs(self) -> None:
        """Move large logs to ``NAME.log.1``."""
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > _LOG_LIMIT:
                log.replace(log.with_name(f"{log.name}.1"))

    def data(self, name: str) -> Path:
        """Return the data folder of a server; create it at the first call."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def credentials(self) -> Credentials:
        """Return the credentials of the stack; generate them at its first start.

        Raises:
            ValueError: Their file cannot be read.
        """
        return Credentials.load_or_create(self.path / "credentials.json")

    def choose_ports(
        self, preferred: Mapping[str, int], *, paired: Iterable[str], reservation: ports.Reservation
    ) -> dict[str, int]:
        """Choose the ports of the last start where they are free, else the preferred ones, else others.

        Args:
            preferred: Name to port.
            paired: Names that also need the port at :data:`ports.GRPC_OFFSET` above.
            reservation: All of them are added to it.
        """
        remembered = self.path / "ports.json"
        wanted = dict(preferred)
        with suppress(OSError, ValueError):
            last = json.loads(remembered.read_text())
            wanted |= {name: int(port) for name, port in last.items() if name in wanted}
        chosen = ports.choose(wanted, paired=paired, reservation=reservation)
        write_private(remembered, json.dumps(chosen) + "\n")
        return chosen

    def write_stack_file(self, document: Mapping[str, Any]) -> None:
        """Write ``stack.json``, which exists while the stack runs."""
        write_private(self.stack_file, json.dumps(document, indent=2) + "\n")

    def remove_stack_file(self) -> None:
        """Remove ``stack.json``."""
        self.stack_file.unlink(missing_ok=True)


def _try_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
