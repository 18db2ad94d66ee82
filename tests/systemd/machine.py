"""A Debian machine in namespaces, with systemd as its first process; needs root and mmdebstrap."""

from __future__ import annotations

import ctypes
import os
import shlex
import subprocess
import sys
import tarfile
import uuid
import zlib
from pathlib import Path
from typing import Self

from stemline.testing.processes import eventually
from tests.paths import REPOSITORY

#: What docs/deployment.md expects of a machine.
_PACKAGES = "ca-certificates,dbus,gcc,libc6-dev,python3,python3-pip,python3-venv,sudo,systemd,systemd-sysv"
#: Units that would change this machine's kernel or devices, or need a terminal.
_MASKED = (
    "console-getty.service",
    "systemd-modules-load.service",
    "systemd-sysctl.service",
    "systemd-tmpfiles-setup-dev.service",
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_CA_FILE = "/etc/ssl/certs/ca-certificates.crt"
#: Read by every program that resolves names or verifies certificates.
_OF_THIS_MACHINE = ("/etc/resolv.conf", "/etc/hosts", _CA_FILE)
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CLONE_NEWNET = 0x40000000


def leave_the_network() -> int:
    """Move this process into a network of its own, of loopback alone, and return a descriptor of the former.

    Raises:
        OSError: The kernel refuses.
    """
    former = os.open("/proc/self/ns/net", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWNET) failed")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return former


def make_base(folder: Path) -> Path:
    """Return the root folder of machines, made once from Debian's packages and only read later."""
    root = folder / f"root-{zlib.crc32(_PACKAGES.encode()):08x}"
    if root.is_dir():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    archive, partial = folder / "root.tar", folder / "partial"
    _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(archive))
    partial.mkdir(exist_ok=True)
    _run("tar", "--extract", "--file", str(archive), "--directory", str(partial), "--exclude=./dev/*")
    archive.unlink()
    partial.rename(root)
    return root


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command[:2])} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


class Machine:
    """A machine that runs while the context lasts; all its processes end with it.

    Its changes go to an overlay that is thrown away. It is in this process's network.
    """

    def __init__(self, folder: Path, base: Path, network: int) -> None:
        """Prepare its folders.

        Args:
            folder: For its changes.
            base: The root folder below its changes.
            network: A descriptor of the network that commands use which install something.
        """
        self._folder, self._network = folder, network
        self._group = f"stemline-{uuid.uuid4().hex[:12]}"
        self._base = base
        for name in ("upper", "work", "root", "groups"):
            (folder / name).mkdir()
        self.console = folder / "console"
        self.console.touch()

    def __enter__(self) -> Self:
        """Start systemd, and wait until it takes commands."""
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "sh", "-ec", self._outer()],
            stdout=self.console.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        eventually(self._is_up, 120, f"systemd runs: {self.console}")
        return self

    def __exit__(self, *_: object) -> None:
        """Kill its first process, which kills all others, and remove its control groups."""
        if first := self._first():
            os.kill(first, 9)
        self._process.wait(60)
        group = f"{self._groups()}/{self._group}"
        # A group is busy until the last process in it has been reaped.
        remove = f"""
            for try in $(seq 100); do
                find {group} -depth -type d -exec rmdir {{}} + 2>/dev/null && break
                test -d {group} && sleep 0.1
            done
        """
        mounted = f"mount -t cgroup2 cgroup2 {self._groups()}"
        subprocess.run(["unshare", "--mount", "sh", "-ec", f"{mounted}\n{remove}"], check=False)

    def _groups(self) -> str:
        return shlex.quote(str(self._folder / "groups"))

    def _outer(self) -> str:
        """Return the script that makes a control group and enters it, then the other namespaces."""
        inner = shlex.quote(self._inner())
        return f"""
            mount -t cgroup2 cgroup2 {self._groups()}
            mkdir {self._groups()}/{self._group}
            echo $$ > {self._groups()}/{self._group}/cgroup.procs
            exec unshare --pid --cgroup --uts --ipc --fork --kill-child sh -ec {inner}
        """

    def _inner(self) -> str:
        """Return the script that mounts what a machine has, and becomes systemd."""
        root = shlex.quote(str(self._folder / "root"))
        layers = f"lowerdir={self._base},upperdir={self._folder}/upper,workdir={self._folder}/work"
        lines = [
            f"mount -t overlay overlay -o {shlex.quote(layers)} {root}",
            f"mount -t proc proc {root}/proc",
            f"mount --bind {root}/proc/sys {root}/proc/sys",
            f"mount -o remount,bind,ro {root}/proc/sys",
            f"mount -t sysfs -o ro sysfs {root}/sys",
            f"mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup",
            f"mount -t tmpfs -o mode=755 tmpfs {root}/run",
            f"mount -t tmpfs -o mode=755 tmpfs {root}/dev",
            f"mkdir {root}/dev/pts {root}/dev/shm",
            f"mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts {root}/dev/pts",
            f"ln -s pts/ptmx {root}/dev/ptmx",
            f"ln -s /proc/self/fd {root}/dev/fd",
            f"touch {root}/dev/console",
            f"mount --bind {shlex.quote(str(self.console))} {root}/dev/console",
            "hostname stemline",
        ]
        for name in _DEVICES:
            lines += [f"touch {root}/dev/{name}", f"mount --bind /dev/{name} {root}/dev/{name}"]
        for name in filter(os.path.exists, _OF_THIS_MACHINE):
            lines += [f"touch {root}{name}", f"mount --bind {name} {root}{name}"]
        lines += [f"ln -sf /dev/null {root}/etc/systemd/system/{name}" for name in _MASKED]
        start = "/lib/systemd/systemd --unit=multi-user.target --log-target=console --show-status=no"
        start = shlex.quote(f"umount --lazy /mnt; exec env -i container=other {_PATH} {start}")
        return "\n".join([*lines, f"cd {root}", "pivot_root . mnt", f"exec chroot . sh -ec {start}"])

    def _first(self) -> int | None:
        """Return systemd's process id outside, once its namespaces are made."""
        try:
            text = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        except OSError:
            return None
        return int(text.split()[0]) if text.split() else None

    def _is_up(self) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f"the machine ended:\n{self.console.read_text(errors='replace')[-3000:]}")
        # Commands enter the namespaces of systemd's process, not those of the shell that becomes it.
        first = self._first()
        if first is None or "systemd" not in Path(f"/proc/{first}/comm").read_text():
            return False
        state = self.run("systemctl is-system-running", check=False).strip()
        return state in {"running", "degraded"}

    def run(self, script: str, *, installs: bool = False, check: bool = True) -> str:
        """Run a shell script there, as root, and return its output.

        Args:
            script: Its commands.
            installs: Whether they reach the network that this process left, to install packages.
            check: Whether a failure is an error.

        Raises:
            SystemExit: It failed.
        """
        enter = ["nsenter", "--target", str(self._first()), "--mount", "--pid", "--cgroup", "--uts", "--ipc"]
        variables = ["HOME=/root", "LANG=C.UTF-8", _PATH]
        # A proxy's certificate may be among this machine's.
        variables += [f"{name}={_CA_FILE}" for name in ("PIP_CERT", "SSL_CERT_FILE")]
        if installs:
            enter.append(f"--net=/proc/self/fd/{self._network}")
        command = [*enter, "--root", "--wd", "env", "-i", *variables]
        done = subprocess.run(
            [*command, "bash", "-ec", script],
            pass_fds=[self._network],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if check and done.returncode:
            raise SystemExit(f"{script.strip()}\nfailed with {done.returncode}:\n{done.stdout[-4000:]}")
        return done.stdout

    def write(self, path: str, text: str) -> None:
        """Replace the content of a file there; its owner and mode stay."""
        self.run(f"cat > {shlex.quote(path)} <<'END OF FILE'\n{text}\nEND OF FILE")

    def put_repository(self, path: str) -> None:
        """Copy the files of the repository that git knows or would add."""
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
        archive = self._folder / "repository.tar"
        with tarfile.open(archive, "w") as out:
            for name in filter(None, names.split("\0")):
                if os.path.lexists(REPOSITORY / name):
                    out.add(REPOSITORY / name, name)
        self.run(f"mkdir -p {path}")
        first = self._first()
        where = f"/proc/{first}/root{path}"
        subprocess.run(["tar", "--extract", "--file", str(archive), "--directory", where], check=True)
        archive.unlink()


def refusal() -> str:
    """Return why no machine can be started here, or nothing."""
    if os.geteuid() != 0:
        return "it needs root"
    for program in ("mmdebstrap", "unshare", "nsenter", "setpriv", "ip"):
        if subprocess.run(["which", program], capture_output=True, check=False).returncode:
            return f"it needs {program}"
    if "cgroup2" not in Path("/proc/filesystems").read_text() or sys.platform != "linux":
        return "the kernel has no cgroup2"
    return ""
