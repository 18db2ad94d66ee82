"""The API on a real port, in a thread of the test's process; needs the extra ``api``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from stemline.testing.extras import ExtraMissing

try:
    import uvicorn

    from stemline.api.server import configure
except ImportError as error:
    raise ExtraMissing(__name__, "api") from error

from stemline.deploy.local.ports import free_port
from stemline.jobs.job import OutputFile, Result
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.runtime import bootstrap
from stemline.runtime.logging import configure_console
from stemline.runtime.settings import Credential, HostRoute, Settings
from stemline.runtime.store import open_store
from stemline.testing.client import BUCKET, REGION, SECRET_ID, SECRET_KEY, Client

TENANT = Tenant(BUCKET, REGION)
CREDENTIAL = Credential(secret_id=SECRET_ID, secret_key=SECRET_KEY)


def api_settings(**changes: object) -> Settings:
    """Return settings of a server that knows one key pair and takes plain addresses for one bucket.

    Args:
        changes: Settings by the name of their variable.
    """
    values: dict[str, object] = {
        "credentials": (CREDENTIAL,),
        "hosts": {name: HostRoute(bucket=BUCKET, region=REGION) for name in ("127.0.0.1", "svc.internal")},
        "endpoint_suffixes": {"localhost": REGION, "ci.r.example.test": "ap-test"},
        "regions": ("ap-beijing",),
        "rate_limit_per_s": 0,
    }
    return Settings(**(values | changes))


class ApiServer:
    """An API server that runs until it is closed.

    Attributes:
        settings: Settings of the server.
        store: Where it keeps jobs.
        port: On loopback.
    """

    def __init__(
        self, settings: Settings, store: Store | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Start serving.

        Args:
            settings: Such as those of :func:`api_settings`.
            store: Where jobs are kept; the one of the settings if not given.
            clock: Unix seconds by which signatures are checked.

        Raises:
            RuntimeError: The server does not start.
        """
        self.settings = settings
        configure_console(logging.ERROR)  # plain tracebacks: structlog's own take seconds
        self.store: Store = open_store(settings) if store is None else store
        self.port = free_port()
        app = bootstrap.api(settings, self.store, clock=clock)
        self._server = uvicorn.Server(configure(app, settings, host="127.0.0.1", port=self.port))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the API server did not start")
            time.sleep(0.01)

    @property
    def client(self) -> Client:
        """A client with the key pair of :func:`api_settings`."""
        return Client(self.port)

    def close(self) -> None:
        """Stop serving and wait for the end."""
        self._server.should_exit = True
        self._thread.join(180)
        self.store.close()

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the server."""
        self.close()


AUDIO = {"Index": "0", "CodecName": "mp3", "Bitrate": "192.000000", "Duration": "30.040816"}


def finish(store: Store, job_id: str) -> None:
    """Claim the best waiting job and let it succeed, as a worker would.

    Raises:
        ValueError: The best waiting job is another one.
    """
    job = store.attempts.claim("test", (2, 1, 0))
    if job is None or job.id != job_id:
        raise ValueError(f"{job_id} is not the next job")
    files = tuple(
        OutputFile(track, job.spec.key(track, job.id), f"{number:032x}", 1000 + number)
        for number, track in enumerate(job.spec.tracks())
    )
    info = {
        "Format": {"FormatName": "mp3", "Bitrate": "192.213000", "Duration": "30.040816"},
        "Stream": {"Audio": [AUDIO for _ in files]},
    }
    store.attempts.succeed(job, Result(files, info))
