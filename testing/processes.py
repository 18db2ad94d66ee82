"""Starts Stemline's programs as an operator would, and ends what it started."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stemline.runtime.settings import BucketAccess, Settings


def environment(redis_url: str, s3: Any, **changes: Any) -> dict[str, str]:
    """Return the STEMLINE_ variables of a process that uses the test's servers.

    Args:
        redis_url: URL of the job store and broker.
        s3: Has ``endpoint_url``, ``access_key`` and ``secret_key``.
        changes: Settings by the name of their variable.
    """
    access = {"endpoint_url": s3.endpoint_url, "access_key": s3.access_key, "secret_key": s3.secret_key}
    values: dict[str, Any] = {
        "redis_url": redis_url,
        "buckets": {"*": access},
        "callback_allow_networks": ["127.0.0.0/8"],
        "log_format": "json",
        "sweep_interval_s": 1,
        **changes,
    }
    texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in values.items()}
    return {f"STEMLINE_{name.upper()}": text for name, text in texts.items()}


def settings(redis_url: str, s3: Any, **changes: Any) -> Settings:
    """Return the same settings for the test itself; the arguments are those of :func:`environment`."""
    access = BucketAccess(
        endpoint_url=s3.endpoint_url, access_key=s3.access_key, secret_key=s3.secret_key, keeps_files=True
    )
    return Settings(redis_url=redis_url, buckets={"*": access}, **changes)


class Program:
    """A running program whose output goes to a file."""

    def __init__(self, log: Path, env: dict[str, str], *command: str, folder: Path | None = None) -> None:
        """Start this Python interpreter with arguments.

        Args:
            log: File that its output is appended to.
            env: Variables besides those of this process.
            command: Its arguments.
            folder: In which it runs; the current one by default.
        """
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=folder,
                env={**os.environ, **env},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        """Send a signal to the program and its children."""
        os.killpg(self.process.pid, number)

    def terminate(self, timeout_s: float = 120) -> int:
        """Send TERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Kill the program with its children."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait()

    def text(self) -> str:
        """Return its output so far."""
        return self.log.read_text(errors="replace")


@contextmanager
def program(log: Path, env: dict[str, str], *command: str, folder: Path | None = None) -> Iterator[Program]:
    """Run a program while the block runs."""
    started = Program(log, env, *command, folder=folder)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                started.terminate(60)
        started.kill()


def eventually(check: Callable[[], Any], timeout_s: float = 180, what: str = "") -> Any:
    """Wait until a check returns something true, and return that.

    It checks every 50 ms at first, and less often the longer it waits: every 0.2 s after 8 s.

    Raises:
        AssertionError: It does not in time; names ``what`` was waited for.
    """
    began = time.monotonic()
    while True:
        found = check()
        if found:
            return found
        waited = time.monotonic() - began
        if waited > timeout_s:
            raise AssertionError(f"not within {timeout_s} s: {what or check}")
        time.sleep(min(0.05 + waited / 50, 0.2))


def stop(pid: int) -> None:
    """Stop a process by SIGSTOP, and return when it stands still, which is later than the signal.

    Raises:
        ProcessLookupError: There is no such process.
    """
    os.kill(pid, signal.SIGSTOP)
    status = Path(f"/proc/{pid}/stat")
    if status.exists():
        eventually(
            lambda: status.read_text().rpartition(")")[2].split()[0] in "TtZX", what=f"{pid} stands still"
        )


@contextmanager
def running_stack(home: Path, log: Path, **variables: str) -> Iterator[tuple[Program, dict[str, Any]]]:
    """Run ``stemline up`` while the block runs; yields the program and the content of its ``stack.json``.

    Args:
        home: Folder of its data.
        log: File that its output is appended to.
        variables: Variables of its environment, besides those of this process.
    """
    file = home / "stack.json"
    with program(log, {"STEMLINE_HOME": str(home), **variables}, "-m", "stemline", "up") as started:

        def ready() -> bool:
            if started.process.poll() is not None:
                raise AssertionError(started.text())
            return file.is_file()

        eventually(ready, 180, "stack.json")
        yield started, json.loads(file.read_text())
