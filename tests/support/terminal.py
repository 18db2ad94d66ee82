"""Commands on a terminal of a given width."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\r")


class Terminal:
    """A command of `stemline` on a terminal; it is killed when the block ends.

    Attributes:
        text: What was shown so far, without colours and movements of the cursor.
    """

    def __init__(
        self, *words: str, environment: Mapping[str, str] | None = None, columns: int = 100, folder: Path
    ) -> None:
        """Start the command.

        Args:
            words: Its arguments.
            environment: Variables besides those of this process.
            columns: Width of the terminal.
            folder: In which it runs.
        """
        self.text = ""
        self._raw = b""
        self._shown, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "stemline", *words],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**kept, "TERM": "xterm-256color", **(environment or {})},
            cwd=folder,
            start_new_session=True,
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._shown)

    def wait_for(self, pattern: str, timeout_s: float = 60) -> str:
        """Wait until something is shown, and return it.

        Raises:
            AssertionError: It is not shown in time, or the command ends before.
        """
        deadline = time.monotonic() + timeout_s
        while not (found := re.search(pattern, self.text)):
            assert time.monotonic() < deadline, f"no {pattern!r} in {self.text!r}"
            assert self._read(), f"no {pattern!r} in {self.text!r}"
        return found.group()

    def ctrl_c(self) -> None:
        """Interrupt the command, as the terminal does when Ctrl-C is pressed."""
        os.killpg(self.process.pid, signal.SIGINT)

    def end(self, timeout_s: float = 60) -> int:
        """Read until the command ends, and return its exit status."""
        deadline = time.monotonic() + timeout_s
        while self._read():
            assert time.monotonic() < deadline, f"it does not end: {self.text!r}"
        return self.process.wait(timeout_s)

    def _read(self) -> bool:
        """Read what is there; return whether there may be more."""
        if not select.select([self._shown], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self._shown, 65_536)
        except OSError:  # the other end is closed
            data = b""
        self._raw += data
        self.text = _SEQUENCE.sub("", self._raw.decode(errors="replace"))
        return bool(data)
