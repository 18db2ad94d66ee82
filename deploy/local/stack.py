"""The whole service on one machine: servers, API, workers, beat and Flower, started and ended together."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from stemline.deploy.local import services
from stemline.deploy.local.addresses import Addresses
from stemline.deploy.local.credentials import Credentials
from stemline.deploy.local.errors import PartEnded, StackError
from stemline.deploy.local.home import Home
from stemline.deploy.local.ports import is_free
from stemline.deploy.local.servers import REGION, SeaweedServer, Server, ValkeyServer
from stemline.deploy.local.supervise import Program, Supervisor
from stemline.jobs.job import Job
from stemline.jobs.store import Store
from stemline.runtime.settings import Settings

__all__ = ["Addresses", "PartEnded", "Stack", "StackError"]

BUCKET = "media-1250000000"
#: A part may end this often within :data:`RESTART_WINDOW_S` and is started again; once more ends the stack.
RESTARTS = 3
RESTART_WINDOW_S = 60.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PORTS = {"api": 8787, "flower": 5555, "valkey": 6390, "s3": 8333, "master": 9333, "volume": 9340}
_PORTS |= {"filer": 8888, "admin": 23646}


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Impatience must not leave half of the stack running; a part that hangs is killed anyhow."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, signal.SIG_IGN) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


class Stack:
    """One local stack; its data, logs, credentials and ``stack.json`` live in ``home``."""

    def __init__(self, home: Path, *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.home = Home(home)
        self._tell = tell
        self._supervisor: Supervisor | None = None
        self._listen: dict[str, int] = {}
        self._servers: list[Server] = []
        self._parts: dict[str, services.Part] = {}
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
        try:
            lock = self.home.take(self._tell)
            while True:
                try:
                    self._start(lock)
                except PartEnded as error:
                    if not self._lost_a_port(error.name):
                        raise
                    self._tell(f"{error.name} lost its port to another program; choosing others ...")
                else:
                    return
        except StackError:
            raise
        except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:
            raise StackError(str(error)) from error

    def _lost_a_port(self, name: str) -> bool:
        """Whether, all of ours ended, somebody else has a port that the part was to have."""
        self._end()
        self._servers.clear()
        wanted = SeaweedServer.parts if name == SeaweedServer.name else (name,)
        return any(not is_free(self._listen[each]) for each in wanted if each in self._listen)

    def _start(self, lock: int) -> None:
        credentials = self.home.credentials()
        self._listen = listen = self.home.choose_ports(_PORTS, paired=SeaweedServer.parts)
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
        self._parts = {part.name: part for part in services.of(self.addresses)}
        environment = {**os.environ, **services.environment(self.addresses, self.home.path)}
        self._supervisor = Supervisor(self.home.logs, [*self._server_programs(), *self._part_programs()])
        self._supervisor.start(environment, hold=[lock])
        self._start_servers(s3)
        self._start_parts()
        self._write_file()

    def _plan_servers(self, credentials: Credentials, listen: dict[str, int]) -> str:
        """Decide which servers are ours; where Redis is."""
        redis_url = os.environ.get("REDIS_URL", "")
        if not redis_url:
            valkey = ValkeyServer(
                self.home.data("valkey"), port=listen["valkey"], password=credentials.valkey_password
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
                self.home.data("seaweedfs"),
                listen={part: listen[part] for part in SeaweedServer.parts},
                access_key=credentials.s3_access_key,
                secret_key=credentials.s3_secret_key,
            )
        )
        return redis_url

    def _server_programs(self) -> list[Program]:
        return [
            Program(server.name, server.prepare(), self.home.log(server.name), server=True)
            for server in self._servers
        ]

    def _part_programs(self) -> list[Program]:
        return [
            Program(part.name, part.command, self.home.log(part.name), stop_wait_s=part.stop_wait_s)
            for part in self._parts.values()
        ]

    def _start_servers(self, s3: SeaweedServer) -> None:
        for server in self._servers:
            self._running().run(server.name)
        for server in self._servers:
            self._tell(f"Waiting for {server.name} ...")
            self._wait(server.name, server.is_ready, 60.0)
        s3.create_bucket(BUCKET)

    def _start_parts(self) -> None:
        for name in self._parts:
            self._running().run(name)
        for name, part in self._parts.items():
            self._tell(f"Waiting for {name} ...")
            self._wait(name, part.is_ready, part.start_timeout_s)

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise StackError("the stack is not running")
        return self._supervisor

    def _wait(self, name: str, is_ready: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not is_ready():
            for each, status in self._running().status().items():
                if not status.running:
                    raise PartEnded(each, status.exit_code, self.home.log(each))
            if time.monotonic() > deadline:
                raise StackError(
                    f"{name} was not ready after {timeout_s:g} s; its log is {self.home.log(name)}"
                )
            time.sleep(0.05)

    # -- while it runs

    def check(self) -> None:
        """Look after the parts: one that ended is started again, unless it does so too often.

        Raises:
            PartEnded: it does; the message names its log.
        """
        try:
            self._look_after()
        except StackError:
            raise
        except (OSError, RuntimeError) as error:
            raise StackError(str(error)) from error

    def _look_after(self) -> None:
        for name, each in self._running().status().items():
            if each.running:
                continue
            ending = PartEnded(name, each.exit_code, self.home.log(name))
            endings = self._endings.setdefault(name, deque(maxlen=RESTARTS))
            now = time.monotonic()
            if len(endings) == RESTARTS and now - endings[0] < RESTART_WINDOW_S:
                raise ending
            endings.append(now)
            self._tell(f"{ending}; started again")
            self._running().run(name)
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
        self.home.announce(self.addresses.document(self._pids))

    def s3_client(self) -> Any:
        """A boto3 client of the stack's S3."""
        return next(server for server in self._servers if isinstance(server, SeaweedServer)).client()

    def job(self, job_id: str) -> Job:
        """A job's record, with its times to the microsecond.

        Raises:
            StackError: there is none.
        """
        settings = Settings(redis_url=SecretStr(self.addresses.redis_url))
        job = Store.open(settings).jobs.find(job_id)
        if job is None:
            raise StackError(f"there is no job {job_id}")
        return job

    # -- stop

    def stop(self) -> None:
        """End everything; data, logs and credentials stay."""
        self._end()
        self.home.release()

    def _end(self) -> None:
        if self._supervisor is not None:
            with _deaf_to_signals():
                self._supervisor.stop()
            self._supervisor = None
            self.home.withdraw()
