"""Programs of an image, run in its root folder: read-only, as its user, without privileges."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.images.building import Image

#: Folders that stay writable, as in deploy/compose.yaml.
WRITABLE = ("/tmp", "/scratch")


def command_in(image: Image, folders: Path, variables: Mapping[str, str], words: Sequence[str]) -> list[str]:
    """Return the command line that runs `words` in the image.

    Args:
        image: A mounted image.
        folders: Holds the writable folders; another program with the same ones sees the same files.
        variables: Besides those of the image.
        words: Program and arguments.
    """
    root = shlex.quote(str(image.root))
    steps = ["set -e", f"mount --bind {root} {root}", f"mount -t proc proc {root}/proc"]
    steps += [f"mount --rbind /dev {root}/dev", f"mount -o remount,bind,ro {root}"]
    for name in WRITABLE:
        own = folders / name.strip("/")
        own.mkdir(parents=True, exist_ok=True)
        own.chmod(0o777)
        steps.append(f"test ! -d {root}{name} || mount --bind {shlex.quote(str(own))} {root}{name}")
    environment = [f"{name}={value}" for name, value in {**image.variables, **variables}.items()]
    program = ["setpriv", "--no-new-privs", "chroot", f"--userspec={image.user}", str(image.root)]
    steps.append("exec " + shlex.join([*program, "env", "-i", *environment, *words]))
    # The death of whoever started it ends it, and with it everything in its namespace.
    tied = ["setpriv", "--pdeathsig", "KILL"]
    return [*tied, "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", "\n".join(steps)]


def output_of(image: Image, folders: Path, variables: Mapping[str, str], words: Sequence[str]) -> str:
    """Run `words` in the image to their end and return what they print.

    Raises:
        SystemExit: They failed.
    """
    command = command_in(image, folders, variables, words)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words[0]} ended with {done.returncode} in an image:\n{done.stderr[-3000:]}")
    return done.stdout


class Service:
    """A running image."""

    def __init__(
        self, image: Image, folders: Path, variables: Mapping[str, str], command: Sequence[str] = ()
    ) -> None:
        """Start the image's command, or another one."""
        self._image, self._folders, self._variables = image, folders, variables
        words = [*image.entrypoint, *(command or image.command)]
        self.log = folders / "log"
        folders.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as output:
            self._process = subprocess.Popen(
                command_in(image, folders, variables, words),
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def is_healthy(self, probe: Sequence[str] = ()) -> bool:
        """Whether the health check of the image, or another one, succeeds.

        Raises:
            SystemExit: The service has ended.
        """
        if self._process.poll() is not None:
            raise SystemExit(f"{self.log} ended with {self._process.returncode}:\n{self.tail()}")
        words = [*(probe or self._image.probe)]
        done = subprocess.run(
            command_in(self._image, self._folders, self._variables, words), capture_output=True, check=False
        )
        return done.returncode == 0

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    def tail(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(errors="replace")[-3000:]

    def users(self) -> set[int]:
        """Return the user ids of its programs: those of all children of `unshare`."""
        found, pids = set(), [self._process.pid]
        while pids:
            pid = pids.pop()
            pids += _children(pid)
            with suppress(OSError):
                if pid != self._process.pid:
                    found.add(Path(f"/proc/{pid}").stat().st_uid)
        return found

    def stop(self) -> None:
        """End it: the death of its first process, a child of `unshare`, kills all of its namespace.

        Killing `unshare` is not enough: a process that becomes another user no longer dies with its parent.
        """
        for pid in (*_children(self._process.pid), self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()


def _children(pid: int) -> list[int]:
    """Return the children of a process; none of one that has ended."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(each) for each in text.split()]
