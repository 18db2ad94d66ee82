"""Several hosts on one machine: network namespaces with addresses of their own, behind one bridge.

Needs root and iproute2. Where those are missing, a host is only a process.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError

from stemline.deploy.local.servers import SeaweedServer, ValkeyServer

_BRIDGE = "stembench"
_NETWORK = "10.77.0"


class BridgeFailed(RuntimeError):
    """The namespaces could not be made."""


def ip(*words: str) -> None:
    """Run iproute2.

    Raises:
        BridgeFailed: It refused.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BridgeFailed(f"ip {' '.join(words)}: {done.stderr.strip()}")


class Hosts:
    """The bridge with the servers' address, and a namespace for each host; gone at the end."""

    def __init__(self, count: int, *, wanted: bool = True) -> None:
        self.count = count
        self.separate = wanted and os.geteuid() == 0 and shutil.which("ip") is not None
        self.address = f"{_NETWORK}.1" if self.separate else "127.0.0.1"

    def __enter__(self) -> Self:
        if self.separate:
            try:
                self._build()
            except BridgeFailed as error:
                print(f"no network namespaces here ({error}): workers are processes of one host")
                self._remove()
                self.separate, self.address = False, "127.0.0.1"
        return self

    def __exit__(self, *_: object) -> None:
        if self.separate:
            self._remove()

    def command(self, host: int) -> list[str]:
        """What goes in front of a command that runs on a host."""
        return ["ip", "netns", "exec", f"{_BRIDGE}{host}"] if self.separate else []

    def _build(self) -> None:
        ip("link", "add", _BRIDGE, "type", "bridge")
        ip("addr", "add", f"{self.address}/24", "dev", _BRIDGE)
        ip("link", "set", _BRIDGE, "up")
        for host in range(self.count):
            space, outer, inner = f"{_BRIDGE}{host}", f"sbo{host}", f"sbi{host}"
            ip("netns", "add", space)
            ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space)
            ip("link", "set", outer, "master", _BRIDGE, "up")
            ip("-n", space, "addr", "add", f"{_NETWORK}.{host + 2}/24", "dev", inner)
            ip("-n", space, "link", "set", inner, "up")
            ip("-n", space, "link", "set", "lo", "up")

    def _remove(self) -> None:
        for host in range(self.count):
            subprocess.run(["ip", "netns", "del", f"{_BRIDGE}{host}"], capture_output=True, check=False)
            subprocess.run(["ip", "link", "del", f"sbo{host}"], capture_output=True, check=False)
        subprocess.run(["ip", "link", "del", _BRIDGE], capture_output=True, check=False)


class Valkey(ValkeyServer):
    """Valkey where the hosts reach it."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder, password=os.urandom(8).hex())
        self.address = address

    @property
    def url(self) -> str:
        """Where clients find it."""
        return super().url.replace("127.0.0.1", self.address)

    def prepare(self) -> list[str]:
        """Write ``valkey.conf`` with another address to bind."""
        command = super().prepare()
        config = Path(command[-1])
        config.write_text(config.read_text().replace("127.0.0.1", self.address))
        return command


class Seaweed(SeaweedServer):
    """SeaweedFS where the hosts reach it."""

    def __init__(self, folder: Path, address: str) -> None:
        super().__init__(folder)
        self.address = address

    @property
    def endpoint_url(self) -> str:
        """Where S3 clients find it."""
        return super().endpoint_url.replace("127.0.0.1", self.address)

    def prepare(self) -> list[str]:
        """The command with another address to bind."""
        return [word.replace("127.0.0.1", self.address) for word in super().prepare()]

    def is_ready(self) -> bool:
        """Whether it lists buckets for our keys."""
        client = self.client()
        try:
            client.list_buckets()
        except (BotoCoreError, ClientError):
            return False
        finally:
            client.close()
        return True
