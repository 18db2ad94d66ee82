"""Every setting reaches what it is for, and nothing else: each is given a value of its own.

A row names a setting, its value, what a process makes with the settings, and where the value has to be found.
Settings that a function reads when it needs them are shown by the tests that `ELSEWHERE` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stemline.callbacks.delivery import RESERVATION_TIMEOUTS
from stemline.jobs.store.durability import Durability
from stemline.runtime.settings import Settings, groups_by_name
from stemline.runtime.settings.variables import variable_name
from tests.paths import REPOSITORY
from tests.support.made import (
    Made,
    Recorder,
    made_admin,
    made_api,
    made_buckets,
    made_celery,
    made_deliveries,
    made_engine,
    made_listener,
    made_policy,
    made_store,
    made_upload,
)

ROWS: list[tuple[str, Any, Callable[[Settings, Recorder], Made], str, Any]] = [
    # setting, value, what is made, where it is found, what is found there if not the value
    ("store.key_prefix", "other", made_store, "key_prefix", None),
    ("store.durability", "disk", made_store, "durability", Durability("disk")),
    ("store.durability_replicas", 7, made_store, "replicas", None),
    ("store.url", "redis://10.0.0.7:1/7", made_store, "open_client.url", None),
    ("store.broker_url", "redis://10.0.0.8:1/8", made_celery, "broker", None),
    ("tenants.auto_open", False, made_store, "auto_open", None),
    ("tenants.buckets_per_region", 71, made_store, "buckets_per_region", None),
    ("tenants.queue_max_size", 72, made_store, "queue_max_size", None),
    ("tenants.queue_max_concurrent", 73, made_store, "queue_max_concurrent", None),
    ("tenants.max_templates", 74, made_store, "templates_per_bucket", None),
    ("tenants.batches_per_bucket", 75, made_store, "batches_per_bucket", None),
    ("tenants.batch_rows_per_bucket", 76, made_store, "batch_rows_per_bucket", None),
    ("tenants.batch_bytes_per_bucket", 77 << 20, made_store, "batch_bytes_per_bucket", None),
    ("tenants.job_bytes_per_bucket", 78 << 20, made_store, "job_bytes_per_bucket", None),
    ("tenants.queue_max_size_limit", 770_000, made_policy, "max_size", None),
    ("tenants.queue_max_concurrent_limit", 771, made_policy, "max_concurrent", None),
    ("tenants.queue_weight_limit", 772, made_policy, "weight", None),
    ("access.models", ("htdemucs",), made_policy, "models", None),
    ("store.key_prefix", "other", made_policy, "key_prefix", None),
    ("jobs.reuse", True, made_policy, "reuse", None),
    ("access.nonces_per_credential", 1234, made_store, "nonces_per_credential", None),
    ("access.rate_limit_per_s", 7.5, made_api, "RateLimit.rate_per_s", None),
    ("access.rate_limit_burst", 17, made_api, "RateLimit.burst", None),
    ("jobs.cancel_running", False, made_store, "cancel_running", None),
    ("jobs.lease_s", 31.0, made_store, "lease_s", None),
    ("jobs.level_ageing_s", 32.0, made_store, "level_ageing_s", None),
    ("jobs.idempotency_hours", 33.0, made_store, "idempotency_hours", None),
    ("jobs.retention_days", 34.0, made_store, "retention_days", None),
    ("callbacks.dead_letter_days", 35.0, made_store, "dead_letter_days", None),
    ("workers.model_limits", {"htdemucs": 3}, made_store, "model_limits", None),
    ("jobs.sweep_interval_s", 3.5, made_celery, "sweep", None),
    ("jobs.sweep_interval_s", 3.5, made_celery, "expires", 7.0),
    ("workers.grace_s", 77.0, made_celery, "grace", 92.0),
    ("workers.job_time_limit_s", 12_345.0, made_celery, "time_limit", 12_645),
    ("monitoring.liveness_file", Path("/run/alive"), made_celery, "liveness_file", None),
    ("listeners.limit", 701, made_api, "EventHub.limit", None),
    ("listeners.limit_per_credential", 702, made_api, "EventHub.limit_per_credential", None),
    ("server.body_memory_bytes", 703 << 20, made_api, "BodyBudget.limit", None),
    ("server.max_header_bytes", 16_384, made_listener, "max_head_bytes", None),
    ("server.header_timeout_s", 21.0, made_listener, "HEAD", None),
    ("server.header_timeout_s", 21.0, made_listener, "HANDSHAKE", None),
    ("server.idle_timeout_s", 22.0, made_listener, "IDLE", None),
    ("server.answer_timeout_s", 23.0, made_listener, "QUEUED", None),
    ("server.answer_timeout_s", 23.0, made_listener, "HANDLING", None),
    ("server.body_timeout_s", 24.0, made_listener, "BODY", 29.0),
    ("server.event_stream_s", 2500.0, made_listener, "STREAMING", 2560.0),
    ("server.write_timeout_s", 26.0, made_listener, "WRITING", None),
    ("server.max_connections", 27, made_listener, "ConnectionRegistry.limit", None),
    ("server.max_connections_per_client", 28, made_listener, "ConnectionRegistry.limit_per_client", None),
    ("server.connection_memory_bytes", 99 << 20, made_listener, "ConnectionRegistry.memory_limit", None),
    ("server.tls_certificate", Path("cert.pem"), made_listener, "server_context.certificate", None),
    ("server.tls_key", Path("key.pem"), made_listener, "server_context.key", None),
    ("callbacks.schedule_s", (0.0, 1.0, 2.5), made_deliveries, "Schedule.waits_s", None),
    ("callbacks.jitter", 0.45, made_deliveries, "Schedule.jitter", None),
    ("callbacks.timeout_s", 4.5, made_deliveries, "UrlSender.timeout_s", None),
    ("callbacks.timeout_s", 4.5, made_deliveries, "CmqSender.timeout_s", None),
    ("callbacks.timeout_s", 4.5, made_deliveries, "BrokerSender.timeout_s", None),
    ("callbacks.timeout_s", 4.5, made_deliveries, "reservation", RESERVATION_TIMEOUTS * 4.5),
    ("callbacks.allow_networks", ("10.7.0.0/16",), made_deliveries, "allowing.networks", None),
    ("callbacks.per_host", 6, made_deliveries, "per_host", None),
    ("callbacks.concurrency", 66, made_deliveries, "HostHealth.threads", None),
    ("callbacks.proxy", "http://10.0.0.9:1", made_deliveries, "UrlSender.proxy", None),
    ("callbacks.webhook_secrets", ("whsec_c2VjcmV0c2VjcmV0",), made_deliveries, "webhook_secrets", None),
    ("tdmq.secret_id", "an id", made_deliveries, "CmqSender.secret_id", None),
    ("tdmq.secret_key", "a key of tdmq", made_deliveries, "CmqSender.secret_key", None),
    ("tdmq.signature", "HmacSHA256", made_deliveries, "CmqSender.method", None),
    ("source.decode_memory_bytes", 777 << 20, made_engine, "DecodingLimits.memory_bytes", None),
    ("source.decode_cpu_s", 778, made_engine, "DecodingLimits.cpu_s", None),
    ("source.decode_start_cpu_s", 79, made_engine, "DecodingLimits.start_cpu_s", None),
    ("source.decode_open_s", 80.0, made_engine, "DecodingLimits.open_s", None),
    ("engine.name", "tensorflow", made_engine, "load_engine.engine", None),
    ("engine.device", "cuda", made_engine, "load_engine.device", None),
    ("engine.threads", 7, made_engine, "load_engine.threads", None),
    ("engine.batch_wait_ms", 12.0, made_engine, "load_engine.batch_wait_s", 0.012),
    ("engine.gpu_transform", "host", made_engine, "load_engine.transform", None),
    ("engine.kernels", "off", made_engine, "load_engine.kernels", None),
    ("engine.models_dir", Path("models"), made_engine, "load_engine.directory", None),
    ("workers.concurrency", 9, made_engine, "load_engine.songs", None),
    ("storage.retry_budget_s", 44.0, made_buckets, "StemUploads.retry_budget_s", None),
    ("storage.upload_prefix", "incoming/", made_upload, "prefix", None),
    ("hosts.region", "ap-beijing", made_buckets, "region", None),
    ("metrics.queues", 45, made_admin, "StoreCollector.max_queues", None),
    ("metrics.host", "10.0.0.4", made_admin, "Config.host", None),
    ("metrics.port", 4646, made_admin, "Config.port", None),
]

ELSEWHERE = {
    "local.home": "integration/deploy/test_up.py",
    "client.api": "unit/client/test_target.py",
    "client.secret_id": "unit/client/test_target.py",
    "client.secret_key": "unit/client/test_target.py",
    "client.session_token": "unit/client/test_target.py",
    "client.bucket": "unit/client/test_target.py",
    "client.profile": "integration/cli/test_jobs.py",
    "store.tls_ca": "integration/jobs/test_tls.py",
    "store.tls_certificate": "integration/jobs/test_tls.py",
    "store.tls_key": "integration/jobs/test_tls.py",
    "hosts.regions": "integration/api/test_queues.py",
    "hosts.suffixes": "unit/api/test_hosts.py",
    "hosts.routes": "unit/api/test_hosts.py",
    "access.credentials": "integration/api/test_access.py",
    "access.credentials_file": "integration/api/test_events.py",
    "access.anonymous": "integration/api/test_access.py",
    "access.require_signed_host": "security/test_signatures.py",
    "access.signature_max_span_s": "security/test_signatures.py",
    "access.clock_tolerance_s": "security/test_signatures.py",
    "server.max_body_bytes": "integration/api/test_batches.py",
    "listeners.max_wait_s": "integration/api/test_events.py",
    "listeners.heartbeat_s": "integration/api/test_events.py",
    "jobs.heartbeat_s": "integration/workers/test_separate.py",
    "jobs.max_attempts": "unit/workers/test_attempt_faults.py",
    "source.max_bytes": "unit/workers/test_attempt.py",
    "source.max_duration_s": "unit/workers/test_attempt.py",
    "source.max_pause_s": "unit/workers/test_attempt.py",
    "source.keep_video_origin": "unit/workers/test_attempt.py",
    "storage.buckets": "integration/storage/test_buckets.py",
    "storage.buckets_file": "integration/storage/test_buckets.py",
    "storage.scratch_dir": "integration/workers/test_separate.py",
    "storage.scratch_bytes": "unit/workers/test_attempt_faults.py",
    "workers.levels": "unit/workers/test_separate.py",
    "workers.retry_window_hours": "unit/workers/test_attempt_faults.py",
    "workers.retry_delay_s": "unit/workers/test_attempt_faults.py",
    "workers.retry_delay_max_s": "unit/workers/test_attempt_faults.py",
    "workers.memory_reserve_bytes": "unit/workers/test_memory_wait.py",
    "workers.memory_wait_s": "unit/workers/test_memory_wait.py",
    "workers.model_time_limits_s": "unit/workers/test_lease_keeper.py",
    "engine.models_mirror": "unit/workers/test_engines.py",
    "engine.models_fetch": "unit/workers/test_engines.py",
    "engine.preload_models": "unit/workers/test_process_init.py",
    "engine.mode_models": "integration/workers/test_models.py",
    "engine.mask_extension": "unit/workers/test_attempt.py",
    "engine.context_frames": "unit/workers/test_attempt.py",
    "engine.refine": "unit/workers/test_attempt.py",
    "callbacks.queue_webhook_secrets": "unit/callbacks/test_webhook_secrets.py",
    "tdmq.endpoints": "integration/callbacks/test_mq.py",
    "tdmq.max_bytes": "integration/callbacks/test_mq.py",
    "logging.level": "integration/observe/conftest.py",
    "logging.format": "unit/runtime/test_logging.py",
    "metrics.token": "integration/observe/test_metrics.py",
    "monitoring.otlp_endpoint": "integration/observe/test_traces.py",
    "monitoring.flower_url": "integration/api/test_console_data.py",
}
"""Tests that set the other settings and see what comes of it."""


def variable_of(setting: str) -> str:
    group, name = setting.split(".")
    return variable_name(groups_by_name()[group], name)


def plain(value: Any) -> Any:
    """A value as it is written."""
    if isinstance(value, tuple):
        return tuple(plain(each) for each in value)
    return value.get_secret_value() if hasattr(value, "get_secret_value") else value


@pytest.mark.parametrize(("setting", "value", "make", "place", "found"), ROWS)
def test_a_setting_reaches_what_it_is_for(
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    value: Any,
    make: Callable[[Settings, Recorder], Made],
    place: str,
    found: Any,
) -> None:
    """It is found there when it is set, and not when it is not."""
    needed = {"tls_certificate": Path("c.pem"), "tls_key": Path("k.pem")} if make is made_listener else {}
    with monkeypatch.context() as patch:
        before = plain(make(Settings(**needed), Recorder(patch)).get(place))
    wanted = value if found is None else found
    assert wanted != before
    made = make(Settings(**{**needed, variable_of(setting): value}), Recorder(monkeypatch))
    assert wanted == plain(made[place])


def test_every_setting_is_shown_to_reach_something() -> None:
    """In a row above, or in the test that is named, which sets it; and in one of the two alone."""
    rows = {setting for setting, *_ in ROWS}
    known = {f"{group}.{name}" for group, model in groups_by_name().items() for name in model.model_fields}
    assert known == rows | ELSEWHERE.keys()
    assert set() == rows & ELSEWHERE.keys()


@pytest.mark.parametrize("setting", ELSEWHERE)
def test_the_named_test_sets_it(setting: str) -> None:
    """By its name, or by the name of its variable."""
    name = variable_of(setting)
    text = (REPOSITORY / "tests" / ELSEWHERE[setting]).read_text()
    assert re.search(rf"\b{name}=|\bSTEMLINE_{name.upper()}\b|['\"]{name}['\"]", text)
