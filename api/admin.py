"""Metrics and readiness, on an address of their own that only operators reach."""

from __future__ import annotations

import hmac
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from stemline.api.connections import prepare
from stemline.api.metrics import ApiMetrics
from stemline.jobs.store.server_errors import UNREACHABLE
from stemline.runtime.compat.uvicorn import ProtocolFactory, listen
from stemline.runtime.settings import Settings
from stemline.runtime.store import open_store, probe, probe_durability
from stemline.runtime.store_metrics import StoreCollector
from stemline.runtime.threads import in_thread

MAX_CONNECTIONS: Final = 64
_TIMEOUT_S: Final = 2.0
READY_S: Final = 3.0
"""How long ``/readyz`` waits for its checks, s: less than `stemline health` and Kubernetes' probes do."""
_STOP_S: Final = 5.0


@contextmanager
def serving(settings: Settings, metrics: ApiMetrics, *, public: tuple[str, int]) -> Iterator[None]:
    """Serve ``/healthz``, ``/readyz`` and ``/metrics`` in a thread, if the settings name a port for them.

    Args:
        settings: Address of that port, store and broker.
        metrics: Metrics of the API.
        public: Address and port of the API.
    """
    if not settings.metrics.port:
        yield
        return
    store = open_store(settings)
    collector = StoreCollector(store.statistics, max_queues=settings.metrics.queues)
    config = configure(create_app(settings, lambda: metrics.page(collector), public=public), settings)
    listening = listen(config, "STEMLINE_METRICS_PORT")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), name="admin", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(_STOP_S)
        store.close()


def configure(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves operators: without TLS, to few connections."""
    limits = settings.with_changes(
        max_connections=MAX_CONNECTIONS, max_connections_per_client=0, tls_certificate=None, tls_key=None
    )
    http: Any = ProtocolFactory(partial(prepare, limits))
    return uvicorn.Config(
        app,
        host=settings.metrics.host,
        port=settings.metrics.port,
        http=http,
        ws="none",
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
    )


def create_app(
    settings: Settings,
    metrics_page: Callable[[], Response],
    *,
    public: tuple[str, int],
    ready_s: float = READY_S,
) -> Starlette:
    """Return the application that operators ask.

    Args:
        settings: Store and broker to ask for, and the token of ``/metrics``.
        metrics_page: Returns the metrics.
        public: Address and port of the API.
        ready_s: How long ``/readyz`` waits for store and broker, s.
    """

    def healthz(_: Request) -> Response:
        """Answer as long as the process runs."""
        return JSONResponse({"status": "ok"})

    def readyz(_: Request) -> Response:
        """Report whether the API accepts connections and store and broker take writes, or why not."""
        store = settings.store
        asked: dict[str, Callable[[], str]] = {
            "api": lambda: _connect(*public),
            "store": lambda: probe(store, store.url.get_secret_value()),
            "broker": lambda: probe(store, store.broker),
        }
        if store.durability != "process":
            asked["durability"] = lambda: probe_durability(store)
        found = _ask_all(asked, ready_s)
        ready = set(found.values()) == {"ok"}
        if ready:
            return JSONResponse({"status": "ok", **found})
        return JSONResponse({"status": "unavailable", **found}, status_code=503, headers={"Retry-After": "1"})

    def metrics(request: Request) -> Response:
        """Return the metrics in Prometheus format; requires the metrics token if one is set."""
        token = settings.metrics.token
        if token is not None:
            given = request.headers.get("authorization", "").encode("latin-1")
            if not hmac.compare_digest(given, f"Bearer {token.get_secret_value()}".encode()):
                return Response(status_code=403)
        return metrics_page()

    return Starlette(
        routes=[Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    )


def _ask_all(asked: Mapping[str, Callable[[], str]], timeout_s: float) -> dict[str, str]:
    """Ask all servers at once; return their answers by name, ``unreachable`` for those that are late."""
    end = time.monotonic() + timeout_s
    answers = {name: in_thread(ask, name=f"ready-{name}") for name, ask in asked.items()}
    found = {}
    for name, answer in answers.items():
        try:
            found[name] = answer.result(max(0.0, end - time.monotonic()))
        except TimeoutError:
            found[name] = UNREACHABLE
    return found


def reachable(host: str) -> str:
    """Return the address at which to reach a server that listens on another one, which may be a wildcard."""
    return {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _connect(host: str, port: int) -> str:
    """Return ``ok`` if a server accepts connections, else what the operating system says."""
    try:
        socket.create_connection((reachable(host), port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return "ok"
