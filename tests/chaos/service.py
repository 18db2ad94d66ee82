"""The whole service, as processes that can be killed and restarted one by one."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import SeaweedServer, ValkeyServer
from stemline.runtime.settings import BucketAccess, Settings
from stemline.testing.s3_proxy import FaultyProxy
from tests.chaos.fork_server import ForkServer
from tests.support.processes import alive, children

BUCKET = "media-1250000000"
REGION = "ap-chongqing"
USER, PASSWORD = "stemline", "secret"


class Service:
    """Valkey, SeaweedFS, API, separation workers, callback worker and beat."""

    def __init__(
        self,
        folder: Path,
        *,
        workers: int = 2,
        faulty_s3: bool = False,
        rights: Sequence[str] = (),
        **settings: object,
    ) -> None:
        """Describe the service; nothing is started yet.

        Args:
            folder: For all its files.
            workers: Number of separation workers.
            faulty_s3: Whether a proxy that can inject faults stands before S3.
            rights: The rules of a user of Valkey that all processes log in as; everything by default.
            settings: By the names of their variables.
        """
        self.folder = folder
        # As deployments have it: with `everysec` a kill during a sync loses what was answered meanwhile.
        self.valkey = ValkeyServer(self._folder("valkey"), appendfsync="always")
        self.s3 = SeaweedServer(self._folder("s3"))
        self.port = free_port()
        self.proxy = FaultyProxy(self.s3.endpoint_url) if faulty_s3 else None
        access = {
            "endpoint_url": (self.proxy or self.s3).endpoint_url,
            "access_key": self.s3.access_key,
            "secret_key": self.s3.secret_key,
        }
        limited = f"redis://{USER}:{PASSWORD}@127.0.0.1:{self.valkey.port}/0"
        chosen: dict[str, Any] = {
            "redis_url": limited if rights else self.valkey.url,
            "home": str(folder / "home"),
            "buckets": {"*": access},
            "hosts": {"*": {"bucket": BUCKET, "region": REGION}},
            "anonymous_access": True,
            "rate_limit_per_s": 0,
            "callback_allow_networks": ["127.0.0.0/8"],
            "scratch_dir": str(self._folder("scratch")),
            "log_level": "info",
            "models_fetch": True,  # the stand-in for the engine needs no weights
            **settings,
        }
        self._env = {
            f"STEMLINE_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
            for name, value in chosen.items()
        }
        self.settings = Settings(**{**chosen, "buckets": {"*": BucketAccess(**access)}})
        self.parts: dict[str, list[str]] = {
            "api": ["api", "--host", "127.0.0.1", "--port", str(self.port)],
            **{f"worker-{n}": ["worker", "separate"] for n in range(1, workers + 1)},
            "callbacks": ["worker", "callbacks"],
            "beat": ["beat"],
        }
        self._rights = rights
        self.pids: dict[str, int] = {}
        self._fork_server: ForkServer | None = None

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True)
        return folder

    def start(self) -> None:
        """Start everything."""
        self.valkey.start()
        if self._rights:
            with redis.Redis.from_url(self.valkey.url) as client:
                client.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORD}", *self._rights)
        self.s3.start()
        self.s3.create_bucket(BUCKET)
        self._fork_server = ForkServer(self._env, self.folder / "fork-server.log")
        for name in self.parts:
            self.restart(name)

    def restart(self, name: str) -> None:
        """Start a part again."""
        if name == "valkey":
            self.valkey.start()
            return
        assert self._fork_server is not None
        self.pids[name] = self._fork_server.start(self.parts[name], self.folder / f"{name}.log")

    def kill(self, name: str) -> bool:
        """Send SIGKILL to a part, or with ``engine-N`` to the process in which worker N's job runs."""
        if name == "valkey":
            self.valkey.kill()
            return True
        if name.startswith("engine-"):
            found = children(self.pids[name.replace("engine", "worker")])
            for pid in found[:1]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return bool(found)
        pid = self.pids[name]
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        while alive(pid):
            time.sleep(0.002)
        return True

    def exited(self) -> list[str]:
        """Return the parts that are not running."""
        return [name for name, pid in self.pids.items() if not alive(pid)]

    def _processes(self) -> Iterator[int]:
        """Yield the processes that were started with this service's environment, and their children.

        Their ids are not recorded: that of a process that has ended may belong to another one by now.
        """
        home = f"STEMLINE_HOME={self._env['STEMLINE_HOME']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if home in (process / "environ").read_bytes().split(b"\0"):
                    yield int(process.name)

    def stop(self) -> None:
        """Kill everything, also children of killed parents."""
        for pid in self.pids.values():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self._fork_server is not None:
            self._fork_server.close()
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.proxy is not None:
            self.proxy.close()
        self.s3.kill()
        self.valkey.kill()
