"""``make fulldisk``: fill the disk of Valkey's append-only file under load, and free it again.

The disk is a small tmpfs in a mount namespace of its own, for which the program needs to be root.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from rich.console import Console

from stemline.deploy.local.servers import ServerFailed, ValkeyServer
from stemline.runtime.store import open_store
from tests.chaos import trials
from tests.chaos.clients import Client, Receiver
from tests.chaos.ledger import Ledger
from tests.chaos.service import Service

Fsync = Literal["always", "everysec"]
#: Size of the disk: the append-only file of some thousand jobs, and no rewrite of it.
DISK_MIB = 48
#: How long the disk stays full, s: longer than a lease.
FULL_S = 20.0
_INSIDE = "FULL_DISK_NAMESPACE"
_RESTART_S = 0.5


class Disk:
    """A small file system that can be filled."""

    def __init__(self, folder: Path) -> None:
        """Mount it on a folder."""
        self._ballast = folder / "ballast"
        command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "stemline", str(folder)]
        subprocess.run(command, check=True)

    def fill(self) -> None:
        """Write a file until there is no more room."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while file.write(bytes(size)):
                        pass

    def free(self) -> None:
        """Remove that file."""
        self._ballast.unlink()


@contextmanager
def restarted(valkey: ValkeyServer, ends: list[float]) -> Iterator[None]:
    """Start Valkey again whenever it ends, as Compose, Kubernetes and systemd do; collect the times."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_RESTART_S):
            if valkey.process is not None and valkey.process.poll() is not None:
                ends.append(time.monotonic())
                with suppress(ServerFailed):
                    valkey.start()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(fsync: Fsync, seed: int, log: Callable[[str], None]) -> trials.Report:
    """Work, fill the disk, free it, work on, and compare what was promised with what is there."""
    folder = Path(tempfile.mkdtemp(prefix="stemline-full-disk-"))
    service = Service(folder, **trials.SETTINGS, durability="disk" if fsync == "always" else "process")
    data = folder / "data"
    data.mkdir()
    disk = Disk(data)
    service.valkey.appendfsync = fsync
    service.valkey.options = {"dir": str(data)}  # its log and its configuration have room
    ledger, outcome, ends = Ledger(), trials.Report(seed), list[float]()
    receiver = Receiver(ledger)
    client = Client(service, ledger, receiver.url, seed)
    try:
        service.start()
        with restarted(service.valkey, ends):
            client.start()
            trials.wait(lambda: len(ledger.beats["called back"]) > 20, 180, "the first callbacks")
            before = ledger.answers.copy()
            full = _keep_full(disk, client)
            log(f"answers in {full:.0f} s: {dict(ledger.answers - before)}; Valkey ended {len(ends)} times")
            outcome.faults += [f"ended by itself: {name}" for name in service.exited()]
            disk.free()
            freed = time.monotonic()
            for kind, count in (("accepted", 1), ("called back", 20)):
                trials.wait(lambda: _since(ledger, kind, freed) >= count, 180, f"{kind} again")  # noqa: B023
                log(f"{count} {kind} {time.monotonic() - freed:.1f} s after there was room")
            client.stop()
            store = open_store(service.settings)
            if not trials.settle(service, store, outcome):
                outcome.faults.append(f"work was left {trials.SETTLE_S:.0f} s after there was room")
            trials.check_jobs(service, store, ledger, outcome)
            store.close()
    finally:
        service.stop()
        receiver.close()
        subprocess.run(["umount", "--lazy", str(data)], check=False)
        if outcome.faults:
            log(f"logs are kept in {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return outcome


def _since(ledger: Ledger, kind: str, moment: float) -> int:
    return sum(each > moment for each in ledger.beats[kind])


def _keep_full(disk: Disk, client: Client) -> float:
    """Keep the disk full while clients ask for lists as well; return how long, s."""
    began = time.monotonic()
    while time.monotonic() - began < FULL_S:
        disk.fill()  # also what the server gives back when it ends
        client.ask("GET", "/jobs?tag=VoiceSeparate", b"", {})
        time.sleep(0.2)
    return time.monotonic() - began


def _say(console: Console, fsync: Fsync, text: str) -> None:
    console.print(f"{fsync}: {text}", markup=False, highlight=False, soft_wrap=True)


def main() -> int:
    """Fill the disk under both settings, and print what was answered and what was found."""
    parser = argparse.ArgumentParser(prog="make fulldisk", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="repeats the same choices")
    asked = parser.parse_args()
    if os.environ.get(_INSIDE) is None:
        command = ["unshare", "--mount", sys.executable, "-m", "tests.chaos.full_disk", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, _INSIDE: "1"}, check=False).returncode
    seed = secrets.randbelow(10**6) if asked.seed is None else asked.seed
    console = Console(width=110)
    faults = []
    for fsync in get_args(Fsync):
        outcome = run(fsync, seed, partial(_say, console, fsync))
        states = {str(state): count for state, count in outcome.states.items()}
        _say(console, fsync, f"{outcome.accepted} accepted: {states}; {outcome.lost} lost")
        _say(console, fsync, f"{outcome.stored_after_503} stored although the response was 503")
        for fault in outcome.faults[:30]:
            _say(console, fsync, fault)
        faults += outcome.faults
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
