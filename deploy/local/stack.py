"""The whole service on one machine, started and stopped together: servers, API, workers, beat and Flower."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import redis
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import SecretStr

from stemline.deploy.local.addresses import Addresses
from stemline.deploy.local.certificates import Certificates, issue
from stemline.deploy.local.credentials import Credentials
from stemline.deploy.local.errors import ProcessEnded, StackError
from stemline.deploy.local.home import Home
from stemline.deploy.local.ports import Reservation, is_free
from stemline.deploy.local.processes import Processes, Program
from stemline.deploy.local.servers import REGION, SeaweedServer, Server, ValkeyServer
from stemline.deploy.local.services import service_environment, service_programs
from stemline.jobs.job import Job
from stemline.jobs.reasons import reason_of
from stemline.runtime.settings import Settings
from stemline.runtime.store import connect, open_store

__all__ = ["Addresses", "ProcessEnded", "Stack", "StackError"]

BUCKET = "media-1250000000"
_PORTS = {"api": 8787, "flower": 5555, "valkey": 6390, "s3": 8333, "master": 9333, "volume": 9340}
_PORTS |= {"filer": 8888, "admin": 23646}


class Stack:
    """One local stack; used as a context manager, it runs for the length of the block.

    Args:
        home: Folder of its data, logs, credentials and ``stack.json``.
        report: Is called with messages about progress, one line each.
        tls: Serve the API over https, with a certificate of the stack's own authority.

    Attributes:
        addresses: Addresses of the running stack.
    """

    addresses: Addresses

    def __init__(
        self, home: Path, *, report: Callable[[str], None] = lambda _: None, tls: bool = False
    ) -> None:
        self.home = Home(home)
        self._report = report
        self._tls = tls
        self._ports: dict[str, int] = {}
        self._reserved = Reservation()
        self._s3: SeaweedServer | None = None
        self._processes: Processes | None = None

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

    def start(self) -> None:
        """Start everything and return when all of it is ready.

        Raises:
            StackError: Something cannot be started; the message names its log.
        """
        try:
            lock = self.home.lock(self._report)
            self.home.rotate_logs()
            while True:
                try:
                    self._start(lock)
                except ProcessEnded as error:
                    self._stop_processes()
                    if not self._lost_a_port(error.name):
                        raise
                    self._report(f"Another program took a port of {error.name}; choosing other ports ...")
                else:
                    return
        except StackError:
            raise
        except (BotoCoreError, ClientError, OSError, RuntimeError, ValueError) as error:
            raise StackError(_reason(error)) from error

    def _lost_a_port(self, name: str) -> bool:
        """Whether another program listens on a port that was chosen for one of ours."""
        wanted = SeaweedServer.components if name == SeaweedServer.name else (name,)
        return any(not is_free(self._ports[each]) for each in wanted if each in self._ports)

    def _start(self, lock: int) -> None:
        credentials = self.home.credentials()
        self._ports = self.home.choose_ports(
            _PORTS, paired=SeaweedServer.components, reservation=self._reserved
        )
        servers: list[Server] = []
        redis_url = os.environ.get("REDIS_URL", "")
        if redis_url:
            _require_redis(redis_url)
        else:
            valkey = ValkeyServer(
                self.home.data("valkey"),
                port=self._ports["valkey"],
                password=credentials.valkey_password,
                appendfsync="always",
            )
            servers.append(valkey)
            redis_url = valkey.url
        self._s3 = s3 = SeaweedServer(
            self.home.data("seaweedfs"),
            listen={name: self._ports[name] for name in SeaweedServer.components},
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
        )
        servers.append(s3)
        certificates = issue(self.home.data("tls"), REGION) if self._tls else None
        self.addresses = self._addresses(credentials, redis_url, s3.endpoint_url, certificates)
        environment = {**os.environ, **service_environment(self.addresses, str(self.home.path))}
        if certificates is not None:
            environment |= certificates.variables
        self._processes = Processes(environment, self.home.log, pass_fds=[lock])
        self._run(
            [
                Program(each.name, each.prepare(), each.is_ready, port=each.port, is_server=True)
                for each in servers
            ]
        )
        s3.create_bucket(BUCKET)
        self._run(service_programs(self.addresses))
        self._write_stack_file()

    def _addresses(
        self,
        credentials: Credentials,
        redis_url: str,
        s3_endpoint_url: str,
        certificates: Certificates | None,
    ) -> Addresses:
        # The user's own certificate may be set as well.
        is_https = certificates is not None or bool(os.environ.get("STEMLINE_TLS_CERTIFICATE"))
        return Addresses(
            api=f"{'https' if is_https else 'http'}://127.0.0.1:{self._ports['api']}",
            region=REGION,
            bucket=BUCKET,
            secret_id=credentials.secret_id,
            secret_key=credentials.secret_key,
            s3_endpoint_url=s3_endpoint_url,
            s3_access_key=credentials.s3_access_key,
            s3_secret_key=credentials.s3_secret_key,
            redis_url=redis_url,
            flower_url=f"http://127.0.0.1:{self._ports['flower']}",
            flower_user=credentials.flower_user,
            flower_password=credentials.flower_password,
            webhook_secret=_webhook_secret(credentials),
            ca_file=str(certificates.authority) if certificates else "",
        )

    def _run(self, programs: list[Program]) -> None:
        """Start programs and wait until all of them are ready."""
        processes = self._running()
        processes.start(programs)
        for program in programs:
            processes.wait_ready(program, self._report)

    def _running(self) -> Processes:
        if self._processes is None:
            raise StackError("the stack is not running")
        return self._processes

    def check(self) -> None:
        """Restart the processes that have ended; call this about twice a second.

        Raises:
            StackError: A process ends again and again, or cannot be restarted.
        """
        try:
            restarted = self._running().restart_ended()
        except OSError as error:
            raise StackError(_reason(error)) from error
        for ended in restarted:
            self._report(f"{ended}; restarted")
        if restarted:
            self._write_stack_file()

    def _write_stack_file(self) -> None:
        pids = {"stack": os.getpid(), **self._running().pids}
        self.home.write_stack_file(self.addresses.document(pids))

    def s3_client(self) -> Any:
        """Return a boto3 client of the stack's S3.

        Raises:
            StackError: The stack is not running.
        """
        if self._s3 is None:
            raise StackError("the stack is not running")
        return self._s3.client()

    def job(self, job_id: str) -> Job:
        """Return a job's record, with its times in microseconds.

        Raises:
            StackError: There is no such job.
        """
        settings = Settings(redis_url=SecretStr(self.addresses.redis_url))
        job = open_store(settings).jobs.find(job_id)
        if job is None:
            raise StackError(f"there is no job {job_id}")
        return job

    def stop(self) -> None:
        """Stop everything; data, logs and credentials stay."""
        self._stop_processes()
        self.home.unlock()

    def _stop_processes(self) -> None:
        if self._processes is not None:
            self._processes.stop()
            self._processes = None
            self.home.remove_stack_file()
        self._reserved.close()


def _reason(error: Exception) -> str:
    """Return what went wrong, with the file that the system names."""
    named = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
    return f"{named}{reason_of(error)}"


def _webhook_secret(credentials: Credentials) -> str:
    """Return the secret that signs callbacks: the first one of the user's settings, or the stack's own."""
    given = Settings().callbacks.webhook_secrets
    return given[0].get_secret_value() if given else credentials.webhook_secret


def _require_redis(url: str) -> None:
    """Raise an error unless the user's own Redis answers; never with the URL, which may hold a password."""
    try:
        with connect(Settings().store, url, timeout_s=5) as client:
            client.ping()
    except (redis.exceptions.RedisError, ValueError) as error:
        raise StackError(f"the Redis of REDIS_URL does not answer: {reason_of(error)}") from error
