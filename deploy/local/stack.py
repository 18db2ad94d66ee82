"""The whole service on one machine: servers, API, workers, beat and Flower, started and ended together."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from pydantic import SecretStr

from deploy.local import parts, ports
from deploy.local.credentials import Credentials
from deploy.local.servers import (
    REGION,
    SeaweedServer,
    Server,
    ServerFailed,
    ValkeyServer,
    write_private,
)
from deploy.local.supervise import Program, Supervisor
from jobs.models import Job
from jobs.settings import Settings
from jobs.store import Store

BUCKET = "media-1250000000"
#: A part may end this often within :data:`RESTART_WINDOW_S` and is started again; once more ends the stack.
RESTARTS = 3
RESTART_WINDOW_S = 60.0
_PORTS = {"api": 8787, "flower": 5555, "valkey": 6390, "s3": 8333, "master": 9333, "volume": 9340}
_PORTS |= {"filer": 8888, "admin": 23646}


class StackError(RuntimeError):
    """The stack could not be started or did not hold."""


class PartEnded(StackError):
    """A part of the stack ended although nobody asked it to."""

    def __init__(self, name: str, exit_code: int, log: Path) -> None:
        how = "was killed" if exit_code < 0 else f"ended with {exit_code}"
        super().__init__(f"{name} {how}; its log is {log}")
        self.name = name
        self.log = log


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a running stack are, as ``stack.json`` says it."""

    api: str
    region: str
    bucket: str
    secret_id: str
    secret_key: str
    s3_endpoint_url: str
    s3_access_key: str
    s3_secret_key: str
    redis_url: str
    flower_url: str
    flower_user: str
    flower_password: str

    def document(self, pids: Mapping[str, int]) -> dict[str, Any]:
        """The content of ``stack.json``."""
        return {
            "api": self.api,
            "region": self.region,
            "bucket": self.bucket,
            "secret_id": self.secret_id,
            "secret_key": self.secret_key,
            "s3": {
                "endpoint_url": self.s3_endpoint_url,
                "access_key": self.s3_access_key,
                "secret_key": self.s3_secret_key,
            },
            "redis_url": self.redis_url,
            "flower": {
                "url": self.flower_url,
                "user": self.flower_user,
                "password": self.flower_password,
            },
            "pids": dict(pids),
        }


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Impatience must not leave half of the stack running; a part that hangs is killed anyhow."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Stack:
    """One local stack; its data, logs, credentials and ``stack.json`` live in ``home``."""

    def __init__(self, home: Path, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.home = home.resolve()
        self.logs = self.home / "logs"
        self.file = self.home / "stack.json"
        self._tell = tell
        self._lock: int | None = None
        self._supervisor: Supervisor | None = None
        self._servers: list[Server] = []
        self._parts: dict[str, parts.Part] = {}
        self._endings: dict[str, deque[float]] = {}
        self._pids: dict[str, int] = {}
        self.addresses: Addresses

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # -- start

    def start(self) -> None:
        """Start everything and return when all of it is ready.

        Raises:
            StackError: something could not be started; the message names its log.
        """
        if sys.platform == "win32":
            raise StackError("the local stack runs on Linux and macOS; on Windows use WSL")
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o700)
        self.logs.mkdir(exist_ok=True)
        lock = self._take_lock()
        if self.file.exists():
            self._tell("The last stack did not end in order; its data is kept.")
            self.file.unlink()
        credentials = Credentials.load_or_create(self.home / "credentials.json")
        listen = self._choose_ports()
        redis_url = self._plan_servers(credentials, listen)
        s3 = next(server for server in self._servers if isinstance(server, SeaweedServer))
        self.addresses = Addresses(
            api=f"http://127.0.0.1:{listen['api']}",
            region=REGION,
            bucket=BUCKET,
            secret_id=credentials.secret_id,
            secret_key=credentials.secret_key,
            s3_endpoint_url=s3.endpoint_url,
            s3_access_key=credentials.s3_access_key,
            s3_secret_key=credentials.s3_secret_key,
            redis_url=redis_url,
            flower_url=f"http://127.0.0.1:{listen['flower']}",
            flower_user=credentials.flower_user,
            flower_password=credentials.flower_password,
        )
        self._parts = {part.name: part for part in parts.of(self.addresses)}
        environment = {**os.environ, **parts.environment(self.addresses, self.home)}
        self._supervisor = Supervisor(self.logs, [*self._server_programs(), *self._part_programs()])
        self._supervisor.start(environment, hold=[lock])
        self._start_servers(s3)
        self._start_parts()
        self._write_file()

    def _take_lock(self) -> int:
        """Hold the folder for as long as this process or its supervisor lives."""
        self._lock = lock = os.open(self.home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        deadline = time.monotonic() + 30
        told = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                owner = self._owner()
                if owner is not None:
                    raise StackError(
                        f"a stack runs in {self.home} already (process {owner}, {self.file})"
                    ) from None
                if time.monotonic() > deadline:
                    raise StackError(f"another stack in {self.home} does not end") from None
                if not told:
                    self._tell("Waiting for the last stack's processes to end ...")
                    told = True
                time.sleep(0.2)
            else:
                os.ftruncate(lock, 0)
                os.pwrite(lock, str(os.getpid()).encode(), 0)
                return lock

    def _owner(self) -> int | None:
        """The living process that started the stack of this folder."""
        try:
            pid = int((self.home / "lock").read_text() or 0)
            os.kill(pid, 0)
        except (OSError, ValueError):
            return None
        return pid or None

    def _choose_ports(self) -> dict[str, int]:
        remembered = self.home / "ports.json"
        wanted = dict(_PORTS)
        with suppress(OSError, ValueError):
            wanted |= {
                name: port for name, port in json.loads(remembered.read_text()).items() if name in wanted
            }
        chosen = ports.choose(wanted, paired=SeaweedServer.parts)
        write_private(remembered, json.dumps(chosen) + "\n")
        return chosen

    def _plan_servers(self, credentials: Credentials, listen: dict[str, int]) -> str:
        """Decide which servers are ours; where Redis is."""
        redis_url = os.environ.get("REDIS_URL", "")
        folders = {name: self.home / name for name in ("valkey", "seaweedfs")}
        for folder in folders.values():
            folder.mkdir(exist_ok=True)
        if not redis_url:
            valkey = ValkeyServer(
                folders["valkey"], port=listen["valkey"], password=credentials.valkey_password
            )
            self._servers.append(valkey)
            redis_url = valkey.url
        else:
            try:
                redis.Redis.from_url(redis_url, socket_timeout=5, socket_connect_timeout=5).ping()
            except (redis.exceptions.RedisError, ValueError) as error:
                raise StackError(f"the Redis of REDIS_URL does not answer: {error}") from error
        self._servers.append(
            SeaweedServer(
                folders["seaweedfs"],
                listen={part: listen[part] for part in SeaweedServer.parts},
                access_key=credentials.s3_access_key,
                secret_key=credentials.s3_secret_key,
            )
        )
        return redis_url

    def _server_programs(self) -> list[Program]:
        return [
            Program(server.name, server.prepare(), self.logs / f"{server.name}.log", server=True)
            for server in self._servers
        ]

    def _part_programs(self) -> list[Program]:
        return [
            Program(part.name, part.command, self.logs / f"{part.name}.log", stop_wait_s=part.stop_wait_s)
            for part in self._parts.values()
        ]

    def _start_servers(self, s3: SeaweedServer) -> None:
        for server in self._servers:
            self._run(server.name)
        for server in self._servers:
            self._tell(f"Waiting for {server.name} ...")
            try:
                self._wait(server.name, server.is_ready, 60.0)
            except ServerFailed as error:
                raise StackError(str(error)) from error
        s3.create_bucket(BUCKET)

    def _start_parts(self) -> None:
        for name in self._parts:
            self._run(name)
        for name, part in self._parts.items():
            self._tell(f"Waiting for {name} ...")
            self._wait(name, part.is_ready, part.start_timeout_s)

    def _run(self, name: str) -> None:
        try:
            self._running().run(name)
        except RuntimeError as error:
            raise StackError(str(error)) from error

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise StackError("the stack is not running")
        return self._supervisor

    def log(self, name: str) -> Path:
        """The log of one part."""
        return self.logs / f"{name}.log"

    def _wait(self, name: str, is_ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            for each, status in self._running().status().items():
                if not status.running:
                    raise PartEnded(each, status.exit_code, self.log(each))
            if time.monotonic() > deadline:
                raise StackError(f"{name} was not ready after {timeout_s:g} s; its log is {self.log(name)}")
            time.sleep(0.05)

    # -- while it runs

    def check(self) -> None:
        """Look after the parts: one that ended is started again, unless it does so too often.

        Raises:
            PartEnded: it does; the message names its log.
        """
        try:
            status = self._running().status()
        except RuntimeError as error:
            raise StackError(str(error)) from error
        for name, each in status.items():
            if each.running:
                continue
            ending = PartEnded(name, each.exit_code, self.log(name))
            endings = self._endings.setdefault(name, deque(maxlen=RESTARTS))
            now = time.monotonic()
            if len(endings) == RESTARTS and now - endings[0] < RESTART_WINDOW_S:
                raise ending
            endings.append(now)
            self._tell(f"{ending}; started again")
            self._run(name)
        if self._pids_of_now() != self._pids:
            self._write_file()

    def _pids_of_now(self) -> dict[str, int]:
        status = self._running().status()
        return {
            "stack": os.getpid(),
            "supervisor": self._running().pid,
            **{name: each.pid for name, each in status.items() if each.running},
        }

    def _write_file(self) -> None:
        self._pids = self._pids_of_now()
        write_private(self.file, json.dumps(self.addresses.document(self._pids), indent=2) + "\n")

    def s3_client(self) -> Any:
        """A boto3 client of the stack's S3."""
        return next(server for server in self._servers if isinstance(server, SeaweedServer)).client()

    def job(self, job_id: str) -> Job:
        """A job's record, with its times to the microsecond.

        Raises:
            StackError: there is none.
        """
        settings = Settings(redis_url=SecretStr(self.addresses.redis_url))
        job = Store.open(settings).find(job_id)
        if job is None:
            raise StackError(f"there is no job {job_id}")
        return job

    # -- stop

    def stop(self) -> None:
        """End everything; data, logs and credentials stay."""
        if self._supervisor is not None:
            with _deaf_to_signals():
                self._supervisor.stop()
            self._supervisor = None
            self.file.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
