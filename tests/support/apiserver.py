"""The real API on a real port, in a thread of the test's process."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import uvicorn

from stemline.api.server import configure
from stemline.deploy.local.ports import free_port
from stemline.jobs.job import OutputFile, Result
from stemline.jobs.store import Store
from stemline.jobs.tenant import Tenant
from stemline.runtime import bootstrap
from stemline.runtime.logging import for_people
from stemline.runtime.settings import Credential, HostRoute, Settings
from stemline.runtime.store import open_store
from tests.support.wire import BUCKET, REGION, SECRET_ID, SECRET_KEY, Client

TENANT = Tenant(BUCKET, REGION)
CREDENTIAL = Credential(secret_id=SECRET_ID, secret_key=SECRET_KEY)


def api_settings(default_redis_url: str, **changes: object) -> Settings:
    """Settings of a server that knows one key and maps plain addresses to the demo bucket."""
    values: dict[str, object] = {
        "redis_url": default_redis_url,
        "credentials": (CREDENTIAL,),
        "hosts": {name: HostRoute(bucket=BUCKET, region=REGION) for name in ("127.0.0.1", "svc.internal")},
        "endpoint_suffixes": {"localhost": REGION, "ci.r.example.test": "ap-test"},
        "rate_limit_per_s": 0,
    }
    return Settings(**(values | changes))


class ApiServer:
    """Serves from its construction until it is closed."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        for_people(logging.ERROR)  # plain tracebacks: structlog's own take seconds
        self.store = open_store(settings)
        self.port = free_port()
        app = bootstrap.api(settings, self.store, clock=clock)
        self._server = uvicorn.Server(configure(app, settings, host="127.0.0.1", port=self.port))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive()
            time.sleep(0.01)

    @property
    def client(self) -> Client:
        """Somebody with the key."""
        return Client(self.port)

    def close(self) -> None:
        """Stop and wait."""
        self._server.should_exit = True
        self._thread.join(30)
        self.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


AUDIO = {"Index": "0", "CodecName": "mp3", "Bitrate": "192.000000", "Duration": "30.040816"}


def finish(store: Store, job_id: str) -> None:
    """Let a job run and succeed, as a worker would."""
    job = store.jobs.claim("test", (2, 1, 0))
    assert job is not None
    assert job_id == job.id
    files = tuple(
        OutputFile(track, job.spec.key(track, job.id), f"{number:032x}", 1000 + number)
        for number, track in enumerate(job.spec.tracks())
    )
    info = {
        "Format": {"FormatName": "mp3", "Bitrate": "192.213000", "Duration": "30.040816"},
        "Stream": {"Audio": [AUDIO for _ in files]},
    }
    store.jobs.succeed(job, Result(files, info))
