"""A primary, its replicas and three Sentinels, as processes that can be killed or hung."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import redis

from stemline.deploy.local.ports import free_port
from stemline.deploy.local.servers import Server, ValkeyServer, valkey_program
from stemline.testing.processes import eventually

MASTER: Final = "stemline"
PASSWORD: Final = "data-password"  # noqa: S105 - of servers that a test starts
SENTINEL_PASSWORD: Final = "sentinel-password"  # noqa: S105
_COUNT: Final = 3
_DOWN_MS: Final = 1000
"""How long a server must be silent before a Sentinel holds it to be down, ms."""


class SentinelServer(Server):
    """One Sentinel on loopback."""

    name = "sentinel"

    def __init__(self, folder: Path, primary_port: int) -> None:
        """Describe a Sentinel; nothing is started yet.

        Args:
            folder: For its configuration, which it changes itself, and its log.
            primary_port: Port of the primary at first.
        """
        super().__init__(folder)
        self.port = free_port()
        self._primary_port = primary_port

    def prepare(self) -> list[str]:
        """Write ``sentinel.conf`` unless the Sentinel has changed it already, and return the command line."""
        config = self.folder / "sentinel.conf"
        if not config.exists():
            lines = [
                f"port {self.port}",
                "bind 127.0.0.1",
                f"dir {self.folder}",
                f"requirepass {SENTINEL_PASSWORD}",
                f"sentinel monitor {MASTER} 127.0.0.1 {self._primary_port} 2",
                f"sentinel auth-pass {MASTER} {PASSWORD}",
                f"sentinel sentinel-pass {SENTINEL_PASSWORD}",
                f"sentinel down-after-milliseconds {MASTER} {_DOWN_MS}",
                f"sentinel failover-timeout {MASTER} 6000",
            ]
            config.write_text("\n".join(lines) + "\n")
        return [valkey_program(), str(config), "--sentinel"]

    @property
    def client(self) -> redis.Redis:
        """A client of this Sentinel."""
        return redis.Redis("127.0.0.1", self.port, password=SENTINEL_PASSWORD, decode_responses=True)

    def is_ready(self) -> bool:
        """Whether it answers PING."""
        try:
            with self.client as client:
                return bool(client.ping())
        except redis.exceptions.RedisError:
            return False


class DataServer(ValkeyServer):
    """A Valkey that announces to Sentinels a port at which others reach it."""

    def __init__(self, folder: Path, reached_at: Callable[[int], int]) -> None:
        """Describe a server; nothing is started yet.

        Args:
            folder: For its data, configuration and log.
            reached_at: From its own port to that at which others reach it, as that of a proxy.
        """
        super().__init__(folder, password=PASSWORD)
        self.announced_port = reached_at(self.port)
        self.options = {"masterauth": PASSWORD, "replica-announce-port": str(self.announced_port)}


class SentinelGroup:
    """The servers of one primary."""

    def __init__(self, servers: list[DataServer], sentinels: list[SentinelServer]) -> None:
        """Hold servers and Sentinels that run."""
        self.servers = servers
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        """The URL for the service, passwords included."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels)
        return f"sentinel://:{PASSWORD}@{hosts}/0?master={MASTER}&sentinel_password={SENTINEL_PASSWORD}"

    def primary(self) -> DataServer:
        """Return the primary, as the first Sentinel that runs knows it."""
        for sentinel in self.sentinels:
            try:
                with sentinel.client as client:
                    found: Any = client.sentinel_master(MASTER)
            except redis.exceptions.RedisError:
                continue
            return next(each for each in self.servers if each.announced_port == found["port"])
        raise RuntimeError("no Sentinel answers")

    def kill_primary(self) -> DataServer:
        """Kill the primary and wait until the Sentinels have another; return the killed one."""
        killed = self.primary()
        killed.kill()
        self.await_another_than(killed)
        return killed

    @contextmanager
    def hung_primary(self) -> Iterator[DataServer]:
        """Stop the primary's process until the block ends; the Sentinels have another when it begins."""
        hung = self.primary()
        if hung.process is None:
            raise RuntimeError("the primary does not run")
        os.kill(hung.process.pid, signal.SIGSTOP)
        try:
            self.await_another_than(hung)
            yield hung
        finally:
            os.kill(hung.process.pid, signal.SIGCONT)

    def restart(self, server: DataServer) -> None:
        """Start a killed server, and wait until it is a replica that has caught up."""
        server.start()
        self.await_replicas()

    def await_replicas(self) -> None:
        """Wait until every server but the primary of the moment is a replica that has caught up."""

        def are_replicas() -> bool:
            primary = self.primary()
            return all(_has_caught_up(each) for each in self.servers if each is not primary)

        eventually(are_replicas, 180, "the replicas")

    def demote_primary(self, *, coordinated: bool = True) -> DataServer:
        """Have a Sentinel replace the primary, which runs, without losing writes; return the former one.

        Args:
            coordinated: Let the primary hand over, which Valkey can from 9.0 on; else pause its writes first.
        """
        demoted = self.primary()
        words = ["SENTINEL", "FAILOVER", MASTER, *(["COORDINATED"] if coordinated else [])]
        with self.sentinels[0].client as client, redis.Redis.from_url(demoted.url) as primary:
            if not coordinated:
                primary.client_pause(10_000, all=False)
            eventually(lambda: _is_accepted(client, words), 180, "a failover that is possible")
            self.await_another_than(demoted)
            if not coordinated:
                primary.client_unpause()
        return demoted

    def await_another_than(self, server: DataServer) -> None:
        """Wait until the Sentinels have another primary."""
        eventually(lambda: self.primary() is not server, 180, "the failover")


@contextmanager
def sentinel_group(
    folder: Path, *, replicas: int = 1, reached_at: Callable[[int], int] = lambda port: port
) -> Iterator[SentinelGroup]:
    """Run a primary, replicas and three Sentinels while the block runs.

    Args:
        folder: For their data and logs.
        replicas: How many.
        reached_at: From a server's port to that at which others reach it.
    """
    with ExitStack() as stack:
        servers = [DataServer(_made(folder / f"valkey-{n}"), reached_at) for n in range(1 + replicas)]
        for server in servers:
            server.start()
            stack.callback(server.stop)
        for replica in servers[1:]:
            with redis.Redis.from_url(replica.url) as client:
                client.replicaof("127.0.0.1", servers[0].announced_port)
        sentinels = [
            SentinelServer(_made(folder / f"sentinel-{n}"), servers[0].announced_port) for n in range(_COUNT)
        ]
        for sentinel in sentinels:
            sentinel.start()
            stack.callback(sentinel.stop)
        group = SentinelGroup(servers, sentinels)
        group.await_replicas()
        eventually(lambda: all(_knows_all(each, replicas) for each in sentinels), 180, "the Sentinels")
        yield group


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _has_caught_up(server: DataServer) -> bool:
    try:
        with redis.Redis.from_url(server.url, decode_responses=True, socket_timeout=5) as client:
            found: Any = client.info("replication")
    except redis.exceptions.RedisError:
        return False
    return bool(found["role"] == "slave" and found["master_link_status"] == "up")


def _knows_all(sentinel: SentinelServer, replicas: int) -> bool:
    with sentinel.client as client:
        found: Any = client.sentinel_master(MASTER)
    return bool((found["num-other-sentinels"], found["num-slaves"]) == (_COUNT - 1, replicas))


def _is_accepted(client: redis.Redis, words: list[str]) -> bool:
    """Ask for a failover; refused while another is under way, and while no replica is good enough."""
    try:
        client.execute_command(*words)  # type: ignore[no-untyped-call]
    except redis.exceptions.ResponseError:
        return False
    return True
