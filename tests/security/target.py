"""The service under attack: a real API process on a real Valkey, and what it costs."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import ValkeyServer
from stemline.testing.client import SECRET_ID, SECRET_KEY, Client, read_answer, submission
from stemline.testing.processes import Program, eventually, program
from tests.security.stream import unverified

#: Deadlines short enough that a run sees them pass; limits are the service's own.
DEADLINES: Final = {"header_timeout_s": 2, "idle_timeout_s": 4, "body_timeout_s": 2, "write_timeout_s": 2}
_OTHER_CLIENT: Final = ("AKIDHONESTHONESTHONEST", "SecretKeyOfAnHonestClient")
UNKNOWN: Final = "/jobs/j" + "0" * 32
_LISTENING: Final = "0A"
_PROBE_PAUSE_S: Final = 0.1
_SAMPLE_S: Final = 0.02


@dataclass(slots=True)
class Observation:
    """What was seen during an attack."""

    peak_bytes: int = 0
    peak_descriptors: int = 0
    waits_s: list[float] = field(default_factory=list)
    """How long each request of an honest client took."""
    failures: list[str] = field(default_factory=list)
    """What kept its other requests from being answered."""

    @property
    def longest_s(self) -> float:
        """The longest wait."""
        return max(self.waits_s, default=0.0)


class Target:
    """A running API process."""

    def __init__(self, api: Program, port: int, *, tls: bool) -> None:
        self.api = api
        self.port = port
        self.tls = tls
        secret_id, secret_key = _OTHER_CLIENT
        self.honest = Client(port, secret_id=secret_id, secret_key=secret_key)
        self.attacker = Client(port)

    def resident_bytes(self) -> int:
        """Memory of the process."""
        return int(self._proc("statm").read_text().split()[1]) * resource.getpagesize()

    def descriptors(self) -> int:
        """Open files of the process."""
        return sum(1 for _ in self._proc("fd").iterdir())

    def connections(self) -> int:
        """Connections of clients that the process has open."""
        lines = [line.split() for line in self._proc("net/tcp").read_text().splitlines()[1:]]
        return sum(
            int(line[1].rpartition(":")[2], 16) == self.port and line[3] != _LISTENING and line[9] != "0"
            for line in lines
        )

    def waited_for_processor_s(self) -> float:
        """How long its main thread and this one could have run while others ran instead."""
        own = Path("/proc/thread-self/schedstat")
        return sum(int(file.read_text().split()[1]) for file in (own, self._proc("schedstat"))) / 1e9

    def processor_s(self) -> float:
        """Processor time that the process has used."""
        fields = self._proc("stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _proc(self, name: str) -> Path:
        return Path(f"/proc/{self.api.process.pid}/{name}")

    def ask(self, data: bytes, timeout_s: float = 30.0) -> float:
        """Send an honest request on a new connection; return how long the answer took, s.

        Time in which the machine let other processes run, such as the attacker's, does not count.
        """
        began = time.monotonic() - self.waited_for_processor_s()
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout_s) as plain:
            if not self.tls:
                plain.sendall(data)
                status = read_answer(plain).status
            else:
                with unverified().wrap_socket(plain) as encrypted:
                    encrypted.sendall(data)
                    status = read_answer(encrypted).status
        if status != 200:
            raise ConnectionError(f"answered {status}")
        return time.monotonic() - self.waited_for_processor_s() - began

    def warm_up(self) -> None:
        """Use what is used lazily, so that memory and descriptors are those of a process that works."""
        requests = [
            self.honest.raw("POST", "/jobs", submission().encode()),
            self.honest.raw("GET", "/openapi.json"),
            self.honest.raw("GET", "/console"),
            self.get(),
        ]
        with ThreadPoolExecutor(
            60
        ) as clients:  # more than the process has threads, and connections to its store
            list(clients.map(self.ask, requests * 60))

    def get(self) -> bytes:
        return self.honest.raw("GET", UNKNOWN)

    @contextmanager
    def observed(self) -> Iterator[Observation]:
        """Measure the process, and be its honest client, while something else goes on."""
        seen, over = Observation(), threading.Event()

        def sample() -> None:
            while not over.wait(_SAMPLE_S):
                seen.peak_bytes = max(seen.peak_bytes, self.resident_bytes())
                seen.peak_descriptors = max(seen.peak_descriptors, self.descriptors())

        def probe() -> None:
            while not over.wait(_PROBE_PAUSE_S):
                for data in (self.get(), self.honest.raw("POST", "/jobs", submission().encode())):
                    try:
                        seen.waits_s.append(self.ask(data))
                    except OSError as error:
                        seen.failures.append(repr(error))

        threads = [threading.Thread(target=each) for each in (sample, probe)]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in threads:
                thread.join()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate and its key."""
    key, certificate = folder / "tls.key", folder / "tls.crt"
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
    command = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", "-subj", "/CN=stemline"]
    subprocess.run([*command, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@contextmanager
def running(folder: Path, *, tls: bool = False, files: int | None = None, **changes: Any) -> Iterator[Target]:
    """A service to attack.

    Args:
        folder: For the store, the log and the certificate.
        tls: Whether it speaks TLS.
        files: Descriptors that its process may open; as many as the system allows if not given.
        changes: Settings.
    """
    settings: dict[str, Any] = {**DEADLINES, "queue_max_size": 1_000_000, **changes}
    if tls:
        settings["tls_certificate"], settings["tls_key"] = map(str, make_certificate(folder))
    valkey = ValkeyServer(folder)
    valkey.start()
    try:
        keys = [(SECRET_ID, SECRET_KEY), _OTHER_CLIENT]
        settings |= {
            "redis_url": valkey.url,
            "credentials": [{"secret_id": name, "secret_key": key} for name, key in keys],
        }
        texts = {name: v if isinstance(v, str) else json.dumps(v) for name, v in settings.items()}
        env = {f"STEMLINE_{name.upper()}": text for name, text in texts.items()}
        port = free_port()
        limit = f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}));" if files else ""
        code = f"import resource, sys; {limit} from stemline.cli.main import main; main()"
        with program(folder / "api.log", env, "-c", code, "api", "--port", str(port)) as api:
            target = Target(api, port, tls=tls)

            def answers() -> bool:
                assert api.process.poll() is None, api.text()
                try:
                    return target.ask(target.get()) > 0
                except OSError:
                    return False

            eventually(answers, 180, "the API")
            target.warm_up()
            yield target
    finally:
        valkey.stop()
