"""What a process that decodes can do once a file has taken it over: read that file, and nothing else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stemline.separation.confinement import missing
from stemline.separation.decoder import Decoder
from stemline.separation.media import MediaLimits
from tests.media import KINDS, Kind, make, tone
from tests.support.processes import children

#: Tries everything in a confined process: name of the try to what came of it, "done" or the kind of error.
SCRIPT = """
import ctypes, fcntl, json, os, resource, signal, socket, sys, threading
from pathlib import Path
from stemline.separation.confinement import confine

source, other, folder, port, abstract, victim = json.loads(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
held = os.open(folder, os.O_RDONLY)

def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")

def started(make):
    if make() != 0:
        raise OSError("it did not run")

def thread():
    one = threading.Thread(target=int)
    one.start()
    one.join()

def forked():
    if os.fork() == 0:
        os._exit(0)

tries = {
    "read the source": lambda: Path(source).read_bytes(),
    "start a thread": thread,
    "lower a limit": lambda: resource.setrlimit(resource.RLIMIT_CPU, (100, 100)),
    "read another file": lambda: Path(other).read_bytes(),
    "read it by its folder": lambda: os.open("other", os.O_RDONLY, dir_fd=held),
    "list a folder": lambda: os.listdir(folder),
    "write the source": lambda: open(source, "r+b"),
    "truncate the source": lambda: os.truncate(source, 0),
    "write a file": lambda: Path(folder, "new").write_bytes(b"x"),
    "remove a file": lambda: os.unlink(other),
    "rename a file": lambda: os.rename(other, other + "2"),
    "link a file": lambda: os.symlink(other, source + "2"),
    "change its mode": lambda: os.chmod(source, 0o777),
    "read variables of a process": lambda: Path(f"/proc/{victim}/environ").read_bytes(),
    "read its memory": lambda: open(f"/proc/{victim}/mem", "rb"),
    "read its own variables": lambda: Path("/proc/self/environ").read_bytes(),
    "send a signal": lambda: os.kill(victim, 0),
    "send itself another signal": lambda: os.kill(os.getpid(), 0),
    "have a signal sent": lambda: fcntl.fcntl(1, fcntl.F_SETOWN, victim),
    "change limits of a process": lambda: resource.prlimit(victim, resource.RLIMIT_CORE, (0, 0)),
    "trace a process": lambda: call({"x86_64": 101, "aarch64": 117}[os.uname().machine], 16, victim, 0, 0),
    "connect": lambda: socket.create_connection(("127.0.0.1", port), 5),
    "connect to an abstract socket": lambda: socket.socket(socket.AF_UNIX).connect(abstract),
    "make a datagram socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "make a pair of sockets": socket.socketpair,
    "make a ring of requests": lambda: call(425, 1, bytes(120)),
    "make a user namespace": lambda: call({"x86_64": 272, "aarch64": 97}[os.uname().machine], 0x10000000),
    "fork": forked,
    "run a program": lambda: started(lambda: os.system("true")),
    "become a program": lambda: os.execv("/bin/true", ["true"]),
    "make a file in memory": lambda: os.memfd_create("x"),
}
confine(Path(source))
found = {}
for name, act in tries.items():
    try:
        act()
    except Exception as error:
        found[name] = type(error).__name__
    else:
        found[name] = "done"
print(json.dumps(found))
"""
ALLOWED = {"read the source", "start a thread", "lower a limit"}


def test_nothing_is_missing_here():
    """The system of the tests can confine a process, so what follows shows something."""
    assert [] == missing()


def test_a_confined_process_reads_its_file_and_nothing_else(tmp_path: Path):
    """No other file, process, program or address can be reached, whichever way."""
    source, other = tmp_path / "source", tmp_path / "other"
    source.write_bytes(b"music")
    other.write_bytes(b"secret")
    abstract = f"\0stemline-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as local:
        local.bind(abstract)
        local.listen()
        reported = [str(source), str(other), str(tmp_path), server.getsockname()[1], abstract, os.getpid()]
        result = subprocess.run(
            (sys.executable, "-c", SCRIPT, json.dumps(reported)), capture_output=True, text=True, check=True
        )

    found = json.loads(result.stdout)

    assert ALLOWED == {name for name, came in found.items() if came == "done"}
    assert (b"music", b"secret") == (source.read_bytes(), other.read_bytes())
    assert {"source", "other"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.slow
def test_every_kind_of_source_is_decoded_by_a_confined_process(tmp_path: Path):
    """The process has a filter of system calls and can get no rights, and needs no more to decode."""
    decoder = Decoder()
    try:
        for kind in (*KINDS, Kind("wv", "wavpack"), Kind("tta", "tta"), Kind("mpg", "mp2", muxer="mpeg")):
            channels = 1 if kind.layout == "mono" else 2
            path = make(tmp_path / kind.name, kind, tone(2 * kind.rate, channels, kind.rate))
            with decoder.open(path, limits=MediaLimits(60, 10**9)) as audio:
                assert decoder._server is not None
                status = [
                    Path(f"/proc/{pid}/status").read_text() for pid in children(decoder._server.process.pid)
                ]
                assert sum(len(block) for block in audio) > 80_000, kind
            assert status
            assert all("Seccomp:\t2" in text and "NoNewPrivs:\t1" in text for text in status), kind
    finally:
        decoder.close()
