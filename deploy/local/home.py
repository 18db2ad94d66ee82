"""The folder of a local stack: who has it, and what is kept there beside the servers' data."""

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
from stemline.deploy.local.servers import write_private

#: How long a start waits for what is left of the last stack, s.
_PATIENCE_S = 30.0


class Home:
    """The folder; one stack at a time has it."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.logs = self.path / "logs"
        self.stack_file = self.path / "stack.json"
        self._lock: int | None = None

    def take(self, tell: Callable[[str], None]) -> int:
        """Make the folder and hold it for as long as this process or its supervisor lives.

        Args:
            tell: hears about waiting, and about a stack that did not end in order.

        Returns:
            The file descriptor of the lock, for the supervisor to hold as well.

        Raises:
            StackError: another stack has it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        self._lock = lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + _PATIENCE_S
        told = False
        while not _locked(lock):
            owner = self._owner()
            if owner is not None:
                raise StackError(f"a stack runs in {self.path} already (process {owner}, {self.stack_file})")
            if time.monotonic() > deadline:
                raise StackError(f"another stack in {self.path} does not end")
            if not told:
                tell("Waiting for the last stack's processes to end ...")
                told = True
            time.sleep(0.2)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        if self.stack_file.exists():
            tell("The last stack did not end in order; its data is kept.")
            self.stack_file.unlink()
        return lock

    def release(self) -> None:
        """Let another stack have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _owner(self) -> int | None:
        """The living process that took the folder."""
        try:
            pid = int((self.path / "lock").read_text() or 0)
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid or None

    def log(self, name: str) -> Path:
        """The log of one process."""
        return self.logs / f"{name}.log"

    def data(self, name: str) -> Path:
        """The folder of one server's data."""
        folder = self.path / name
        folder.mkdir(exist_ok=True)
        return folder

    def credentials(self) -> Credentials:
        """The stack's secrets, made at its first start.

        Raises:
            ValueError: their file cannot be read.
        """
        return Credentials.load_or_create(self.path / "credentials.json")

    def choose_ports(self, preferred: Mapping[str, int], *, paired: Iterable[str]) -> dict[str, int]:
        """The ports of the last start, or the preferred ones; others for those that are taken."""
        remembered = self.path / "ports.json"
        wanted = dict(preferred)
        with suppress(OSError, ValueError):
            last = json.loads(remembered.read_text())
            wanted |= {name: int(port) for name, port in last.items() if name in wanted}
        chosen = ports.choose(wanted, paired=paired)
        write_private(remembered, json.dumps(chosen) + "\n")
        return chosen

    def announce(self, document: Mapping[str, Any]) -> None:
        """Write ``stack.json``."""
        write_private(self.stack_file, json.dumps(document, indent=2) + "\n")

    def withdraw(self) -> None:
        """Remove ``stack.json``: nothing runs."""
        self.stack_file.unlink(missing_ok=True)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
