"""A process that has imported everything and forks the service's processes.

A start takes milliseconds instead of seconds, so a thousand kills take minutes. Every child runs the command
an operator would run (``stemline api``, ``worker``, ``beat``), in its own process group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent


class ForkServer:
    """The harness's side: requests processes."""

    def __init__(self, env: Mapping[str, str], log: Path) -> None:
        variables = {"PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.fork_server"],
                env={**os.environ, **env, **variables},
                cwd=REPOSITORY,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
            )

    def start(self, words: Sequence[str], log: Path) -> int:
        """Run ``stemline <words>``; its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": list(words), "log": str(log)}).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError("the fork server ended; see its log")
        return int(answer)

    def close(self) -> None:
        """End the fork server; the harness ends the children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


def _preload() -> None:
    import celery.apps.beat
    import celery.apps.worker
    import celery.bin.beat
    import celery.bin.worker
    import celery.concurrency.prefork
    import celery.concurrency.thread
    import celery.worker.consumer

    import stemline.api.server
    import stemline.cli.main
    import stemline.cli.serve
    import stemline.workers.deliver
    import stemline.workers.separate
    import stemline.workers.sweep
    from tests.chaos import stub

    assert all((celery, stemline))
    stub.install()


def _child(words: list[str], log: str) -> None:
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from stemline.cli.main import main

    main(args=words, prog_name="stemline")


def run() -> None:
    """Fork a process for each line of standard input."""
    _preload()
    # Nothing waits for the children here, so the kernel reaps them.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            try:
                _child(asked["words"], asked["log"])
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run()
