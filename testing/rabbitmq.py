"""A RabbitMQ broker with its own node, ports on loopback and data; it leaves an installed one alone."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import kombu

from stemline.deploy.local.ports import free_port

PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""Debian's; the program on PATH requires its own user and folders."""
START_S = 180
LOOPBACK_AND_ONE_CORE = "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none"


class RabbitMq:
    """A broker that can be stopped and started again with the same data."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._epmd_port = free_port()
        self._dist_port = free_port()
        self._epmd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    @staticmethod
    def available() -> bool:
        """Return whether RabbitMQ is installed."""
        return PROGRAM.exists() and shutil.which("epmd") is not None

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises:
            RuntimeError: It does not; holds the end of its output.
        """
        environment = os.environ | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_MAX_PORTS": "1024",
            "RABBITMQ_NODENAME": f"stemline-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": LOOPBACK_AND_ONE_CORE,
        }
        (self.folder / "plugins").write_text("[].")
        (self.folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 1MB\n")
        if self._epmd is None:
            arguments = ["epmd", "-address", "127.0.0.1", "-port", str(self._epmd_port)]
            self._epmd = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with (self.folder / "out.txt").open("ab") as out:
            # A session of its own: the script starts Erlang as a child, and both must end together.
            self._server = subprocess.Popen(
                [str(PROGRAM)], env=environment, stdout=out, stderr=out, start_new_session=True
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "out.txt").read_text()[-2000:])
            time.sleep(0.2)

    def stop(self) -> None:
        """Stop the broker; its data stays."""
        if self._server is not None:
            os.killpg(self._server.pid, signal.SIGTERM)
            try:
                self._server.wait(120)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, signal.SIGKILL)
                self._server.wait()
            self._server = None

    def close(self) -> None:
        """Stop the broker and its port mapper."""
        self.stop()
        if self._epmd is not None:
            self._epmd.terminate()
            self._epmd.wait()

    def _answers(self) -> bool:
        try:
            with kombu.Connection(self.url, connect_timeout=1) as connection:
                connection.connect()
        except OSError:
            return False
        return True
