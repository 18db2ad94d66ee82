"""SeaweedFS from its Python package, or from PATH."""

from __future__ import annotations

import json
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import boto3
import botocore.client
from botocore.exceptions import BotoCoreError, ClientError

from stemline.deploy.local import ports
from stemline.deploy.local.files import write_private
from stemline.deploy.local.servers.server import START_TIMEOUT_S, Server, ServerFailed, ServerMissing

REGION = "ap-chongqing"


def weed_program() -> str:
    """Return the path of SeaweedFS: of the installed package, else from PATH.

    Raises:
        ServerMissing: It is not installed.
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
            ServerFailed: It did not in time.
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
