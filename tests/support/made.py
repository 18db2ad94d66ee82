"""What the processes of Stemline make with their settings, and which values arrive where."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn

from stemline.api import admin, app, connections, hub, uploads
from stemline.api import bodies as api_bodies
from stemline.api import limits as api_limits
from stemline.api.credentials import Principals
from stemline.callbacks import delivery, mq_sender
from stemline.callbacks.address_guard import AddressGuard
from stemline.runtime import bootstrap, store
from stemline.runtime.credentials import CredentialFiles
from stemline.runtime.settings import Settings
from stemline.storage import buckets
from stemline.testing import InMemoryStore
from stemline.workers import engines
from stemline.workers.app import create_app
from stemline.workers.metrics import WorkerMetrics

Made = dict[str, Any]
"""What a process made, by names such as ``Schedule.jitter``: the argument of that name."""


class Recorder:
    """Records what classes and functions are called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: Made = {}
        self._monkeypatch = monkeypatch

    def watch(self, place: Any, name: str, result: Any = None) -> None:
        """Have a class or function of a module recorded; called nevertheless without a result."""
        real = getattr(place, name)

        def recorded(*args: Any, **options: Any) -> Any:
            given = inspect.signature(real).bind(*args, **options).arguments
            self.made |= {f"{name}.{each}": value for each, value in given.items()}
            return real(*args, **options) if result is None else result

        self.replace(place, name, recorded)

    def replace(self, place: Any, name: str, value: Any) -> None:
        """Replace an attribute of a module for the time of the test."""
        self._monkeypatch.setattr(place, name, value)


def made_store(settings: Settings, recorder: Recorder) -> Made:
    options = store.store_options(settings)
    recorder.watch(store, "open_client", SimpleNamespace())
    recorder.watch(store, "RedisStore", SimpleNamespace())
    store.open_store(settings)
    made = {name: getattr(options, name) for name in type(options).__dataclass_fields__}
    return {**made, "replicas": options.required_replicas(), **recorder.made}


def made_api(settings: Settings, recorder: Recorder) -> Made:
    recorder.watch(api_limits, "RateLimit")
    recorder.watch(api_bodies, "BodyBudget")
    recorder.watch(hub, "EventHub")
    recorder.watch(app, "create_app")
    bootstrap.api(settings, InMemoryStore())
    return recorder.made


def made_listener(settings: Settings, recorder: Recorder) -> Made:
    recorder.watch(connections, "ConnectionRegistry")
    recorder.watch(connections, "server_context", SimpleNamespace())
    nothing: Any = None
    made = connections.listener(settings, nothing, nothing, {})
    deadlines = {state.name: seconds for state, seconds in made.deadlines.items()}
    return {**recorder.made, **deadlines, "max_head_bytes": made.max_head_bytes}


def made_policy(settings: Settings, _: Recorder) -> Made:
    policy = Principals(CredentialFiles.of(settings).key_pairs, settings).anonymous.policy
    ceilings = policy.ceilings
    return {
        **{name: getattr(policy, name) for name in ("models", "key_prefix", "reuse")},
        **{name: getattr(ceilings, name) for name in type(ceilings).__dataclass_fields__},
    }


def made_deliveries(settings: Settings, recorder: Recorder) -> Made:
    for name in ("Schedule", "HostHealth", "UrlSender", "WebhookSecrets"):
        recorder.watch(delivery, name)
    recorder.watch(AddressGuard, "allowing")
    recorder.watch(mq_sender, "CmqSender")
    recorder.watch(mq_sender, "BrokerSender")
    service: Any = delivery.DeliveryService(InMemoryStore(), settings)
    asked: list[float] = []
    service._store = SimpleNamespace(outbox=SimpleNamespace(reserve=lambda _, seconds: asked.append(seconds)))
    service.deliver("d1")
    options = recorder.made.pop("WebhookSecrets.settings", recorder.made.pop("WebhookSecrets.options", None))
    secrets = {"webhook_secrets": options.webhook_secrets, "queue_secrets": options.queue_webhook_secrets}
    return {**recorder.made, **secrets, "per_host": service._per_host, "reservation": asked[0]}


def made_engine(settings: Settings, recorder: Recorder) -> Made:
    recorder.watch(engines, "DecodingLimits")
    recorder.watch(engines, "load_engine", SimpleNamespace(device="cpu"))
    recorder.watch(engines, "WeightStore")
    engines.create_decoder(settings)
    engines.Engines(settings, WorkerMetrics())._load("2stems")
    return recorder.made


def made_celery(settings: Settings, _: Recorder) -> Made:
    conf = create_app(settings).conf
    sweep = conf.beat_schedule["sweep"]
    return {
        "broker": conf.broker_url,
        "liveness_file": conf.liveness_file,
        "grace": conf.worker_soft_shutdown_timeout,
        "time_limit": conf.task_time_limit,
        "visibility": conf.broker_transport_options["visibility_timeout"],
        "sweep": sweep["schedule"],
        "expires": sweep["options"]["expires"],
    }


def made_buckets(settings: Settings, recorder: Recorder) -> Made:
    recorder.watch(buckets, "Clients")
    recorder.watch(buckets, "StemUploads")
    made: Any = buckets.Buckets(settings)
    _ = made.stems
    files = CredentialFiles.of(settings)
    return {**recorder.made, "region": made._region, "buckets": {**files.buckets.entries()}}


def made_admin(settings: Settings, recorder: Recorder) -> Made:
    recorder.watch(admin, "open_store", SimpleNamespace(statistics=None, close=lambda: None))
    recorder.watch(admin, "StoreCollector")
    recorder.watch(admin, "create_app", SimpleNamespace())
    recorder.watch(admin, "listen", SimpleNamespace())
    recorder.watch(uvicorn, "Config", SimpleNamespace())
    recorder.watch(uvicorn, "Server", SimpleNamespace(run=lambda *_, **__: None))
    metrics: Any = SimpleNamespace(page=lambda _: b"")
    with admin.serving(
        settings.with_changes(metrics_port=settings.metrics.port or 1), metrics, public=("", 0)
    ):
        return recorder.made


def made_upload(settings: Settings, recorder: Recorder) -> Made:
    fields = {"name": "a.wav", "size": 1, "content_type": "audio/wav"}
    recorder.watch(uploads, "_answer", SimpleNamespace())
    recorder.replace(uploads, "UPLOAD_REQUEST", SimpleNamespace(read=lambda _: fields))
    keys: list[str] = []
    incoming = SimpleNamespace(begin=lambda _region, _bucket, key, *_: keys.append(key))
    context: Any = SimpleNamespace(
        settings=settings,
        fields=dict,
        query={},
        tenant=SimpleNamespace(region="", bucket=""),
        services=SimpleNamespace(buckets=SimpleNamespace(incoming=incoming)),
    )
    uploads._create(context)
    query = {"key": keys[0], "size": 1, "upload_id": "u"}
    recorder.replace(uploads, "UPLOADS", SimpleNamespace(read_parameters=lambda _: query))
    assert keys[0] == uploads._named(context).key
    return {"prefix": keys[0].partition("/")[0] + "/"}
