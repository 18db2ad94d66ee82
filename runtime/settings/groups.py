"""Every setting, in groups by what it concerns: type, default, unit, bounds, effect.

A setting is read from the variable ``STEMLINE_<NAME>``, where the name is that of the field, or the one given
as ``variable``. ``docs/settings.md`` is made from these classes.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from stemline.runtime.settings.values import (
    BucketAccess,
    HostRoute,
    HttpUrl,
    KeyPairs,
    Network,
    RedisUrl,
    Region,
)


def setting(default: Any, description: str, *, variable: str | None = None, **bounds: Any) -> Any:
    """Describe one setting.

    Args:
        default: value if the variable is not set.
        description: what it does, with its unit.
        variable: name of the variable in lower case, without prefix; the field's name if not given.
        bounds: as :func:`pydantic.Field` takes them, such as ``ge`` and ``gt``.
    """
    named: Any = {"variable": variable} if variable else None
    return Field(default, description=description, json_schema_extra=named, **bounds)


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LocalSettings(Group):
    """The local stack."""

    home: Path = setting(Path(".stemline"), "Folder of the local stack: data, logs, generated credentials.")


class ClientSettings(Group):
    """The commands that call a service, and the Python client: which one, and with which key pair."""

    api: str = setting("", "URL of the API.")
    secret_id: str = setting("", "SecretId that requests are signed with.")
    secret_key: SecretStr = setting(SecretStr(""), "Its SecretKey.")
    session_token: SecretStr = setting(SecretStr(""), "Token of a temporary key.")
    bucket: str = setting("", "Bucket whose jobs these are; its region is that of STEMLINE_REGION.")
    profile: str = setting("", "Profile of `stemline login` to use.")


class StoreSettings(Group):
    """The job store and Celery's broker."""

    url: RedisUrl = setting(
        SecretStr("redis://127.0.0.1:6379/0"),
        "Valkey or Redis that holds the jobs: `redis://`, `rediss://` with TLS, or the Sentinels of its "
        "primary as `sentinel://:password@host1:26379,host2:26379/0?master=name` (`sentinels://` with TLS).",
        variable="redis_url",
    )
    broker_url: RedisUrl | None = setting(
        None, "Valkey or Redis that carries Celery's messages; redis_url if not set."
    )
    tls_ca: Path | None = setting(
        None,
        "PEM file of the authorities that may sign the certificate of a server with TLS, of store and "
        "broker; the system's if not set.",
        variable="redis_ca",
    )
    tls_certificate: Path | None = setting(
        None,
        "PEM certificate chain that this process shows to a server with TLS.",
        variable="redis_certificate",
    )
    tls_key: Path | None = setting(None, "PEM key of that certificate.", variable="redis_key")
    key_prefix: str = setting("stemline", "First part of every key in the job store.")
    durability: Literal["process", "disk", "replica"] = setting(
        "process",
        "What an answered change survives: `process` a kill of any process of the service, `disk` also a "
        "crash of the store's machine (`WAITAOF`), `replica` also its loss (`WAIT`).",
    )

    durability_replicas: int = setting(
        1,
        "How many replicas at least must have a change before it is answered, with `replica`. Behind "
        "Sentinels all must that may be promoted; set it where an address follows the primary instead.",
        ge=1,
    )

    @property
    def broker(self) -> str:
        """URL of Celery's broker."""
        return (self.broker_url or self.url).get_secret_value()


class HostSettings(Group):
    """Which bucket and region a host name stands for."""

    region: Region = setting("ap-chongqing", "The installation's own region.")
    regions: tuple[Region, ...] = setting(
        (), "Further regions that clients may name, besides those of endpoint_suffixes and hosts, JSON list."
    )
    suffixes: dict[str, Region] = setting(
        {},
        "Endpoint suffix to region, JSON: `<bucket>.<suffix>` is that bucket in that region.",
        variable="endpoint_suffixes",
    )
    routes: dict[str, HostRoute] = setting(
        {}, 'Other host names to bucket and region, JSON; `"*"` for every unknown host.', variable="hosts"
    )

    @cached_property
    def allowed_regions(self) -> frozenset[str]:
        """Every region that a client may name."""
        routes = (route.region for route in self.routes.values())
        return frozenset({self.region, *self.regions, *self.suffixes.values(), *routes})


class AccessSettings(Group):
    """Who may send requests, and how many."""

    credentials: KeyPairs = setting((), "Key pairs that may sign, JSON list.")
    credentials_file: Path | None = setting(
        None, "A JSON file with more of them; it is read again when it changes."
    )
    anonymous: bool = setting(False, "Accept requests without a signature.", variable="anonymous_access")
    require_signed_host: bool = setting(
        True, "Refuse signatures that do not cover Host; the Python SDK's `SignHost=False` needs false."
    )
    signature_max_span_s: int = setting(86400, "Longest time for which a signature may be valid, s.", ge=60)
    clock_tolerance_s: int = setting(900, "How far in the future a signature may begin, s.", ge=0)
    nonces_per_credential: int = setting(
        250_000, "Nonces of a credential that are remembered until their signatures have expired.", ge=1
    )
    models: tuple[str, ...] = setting(
        (),
        "Patterns of the models that jobs and templates may name (`Model`), JSON list; a credential may have "
        "its own.",
        variable="request_models",
    )
    rate_limit_per_s: float = setting(20.0, "Requests per second and credential; 0 is no limit.", ge=0)
    rate_limit_burst: int = setting(1000, "Requests above the rate that are let through.", ge=1)


class ServerSettings(Group):
    """The API's HTTP server."""

    tls_certificate: Path | None = setting(None, "PEM certificate chain; the API then speaks https.")
    tls_key: Path | None = setting(None, "PEM key of the certificate.")
    max_body_bytes: int = setting(1 << 20, "Largest request body, bytes.", ge=1024)
    body_timeout_s: float = setting(10.0, "Longest time a request body may take, s.", gt=0)
    body_memory_bytes: int = setting(
        16 << 20,
        "Request bodies held in memory at a time by one API process, bytes; further ones are answered 503. "
        "A credential may hold as much as is still free.",
        ge=1024,
    )
    max_header_bytes: int = setting(
        32768,
        "Largest request without its body: request line, headers, chunk sizes, trailers, bytes.",
        ge=1024,
    )
    header_timeout_s: float = setting(
        10.0, "Longest time a TLS handshake, and then a request's headers, may take, s.", gt=0
    )
    idle_timeout_s: float = setting(75.0, "How long a connection may wait for its next request, s.", gt=0)
    answer_timeout_s: float = setting(120.0, "Longest time the API may take to answer a request, s.", gt=0)
    write_timeout_s: float = setting(
        30.0, "How long a client may leave an answer unread before it is disconnected, s.", gt=0
    )
    event_stream_s: float = setting(
        3600.0, "How long a stream of events lasts; its client then asks for the rest, s.", gt=0
    )
    max_connections: int = setting(
        2000,
        "Open connections of one API process; beyond it, the client with most of them loses the one that has "
        "waited longest.",
        ge=1,
    )
    max_connections_per_client: int = setting(
        200,
        "The same for one client address (IPv6: one /64 network); 0 is no limit, for use behind a proxy.",
        ge=0,
    )
    connection_memory_bytes: int = setting(
        40 << 20,
        "Memory that the connections of one API process may take for TLS, unfinished requests and unread "
        "answers, bytes; beyond it, the client with most of them loses the one that has waited longest.",
        ge=1 << 20,
    )


class ListenerSettings(Group):
    """Clients that listen to events, or wait for the end of a job."""

    limit: int = setting(
        2000, "Listening and waiting requests of one API process.", variable="listeners", ge=1
    )
    limit_per_credential: int = setting(
        500, "The same for one credential.", variable="listeners_per_credential", ge=1
    )
    max_wait_s: int = setting(60, "Longest wait by `Prefer: wait`, s.", variable="max_wait_s", ge=1, le=60)
    heartbeat_s: float = setting(
        15.0, "Longest silence in a stream of events, s.", variable="event_heartbeat_s", gt=0
    )


class TenantSettings(Group):
    """What a bucket may have: queues, waiting jobs, templates."""

    auto_open: bool = setting(True, "Open a bucket at its first job, template or change of its queue.")
    buckets_per_region: int = setting(1000, "Buckets that may be opened in a region.", ge=1)
    queue_max_size: int = setting(10000, "Waiting jobs a new queue may hold.", ge=1)
    queue_max_concurrent: int = setting(10, "Jobs of a new queue that run at the same time.", ge=1)
    queue_max_size_limit: int = setting(
        100_000, "Highest MaxSize that a client may set; a credential may have its own.", ge=1
    )
    queue_max_concurrent_limit: int = setting(
        100, "Highest MaxConcurrent that a client may set; a credential may have its own.", ge=1
    )
    queue_weight_limit: int = setting(
        100, "Highest Weight that a client may set; a credential may have its own.", ge=1, le=1000
    )
    max_templates: int = setting(200, "Templates a bucket may hold.", variable="templates_per_bucket", ge=1)
    batches_per_bucket: int = setting(
        20, "Batches of a bucket that may have rows which are not jobs yet.", ge=1, le=1000
    )
    batch_rows_per_bucket: int = setting(200_000, "Such rows of all batches of a bucket.", ge=1)
    batch_bytes_per_bucket: int = setting(128 << 20, "Bytes of such rows in the job store.", ge=1)
    job_bytes_per_bucket: int = setting(
        4 << 30,
        "Bytes that the records of a bucket's jobs may take in the job store. Beyond, those that have ended "
        "are deleted before their retention, the oldest first; 0 is no limit.",
        ge=0,
    )


class JobSettings(Group):
    """Leases, attempts and retention of jobs."""

    cancel_running: bool = setting(True, "Cancel stops running jobs too; the vendor refuses that.")
    lease_s: float = setting(20.0, "How long a claim is valid without a heartbeat, s.", gt=0)
    heartbeat_s: float = setting(2.0, "How often a worker extends its lease, s.", gt=0)
    sweep_interval_s: float = setting(5.0, "How often the sweeper looks for lost work, s.", gt=0)
    max_attempts: int = setting(3, "Attempts before a job whose workers die is Failed.", ge=1)
    level_ageing_s: float = setting(
        0.0,
        "A waiting job is treated one JobLevel higher after each such interval, s; 0 turns this off.",
        ge=0,
    )
    reuse: bool = setting(
        False, "Copy the stems of an equal job of the same bucket instead of separating again."
    )
    retention_days: float = setting(90.0, "How long ended jobs are kept, days.", gt=0)
    idempotency_hours: float = setting(24.0, "How long an Idempotency-Key is remembered, hours.", gt=0)


class SourceSettings(Group):
    """Limits of the media to separate."""

    max_bytes: int = setting(5 << 30, "Largest source object, bytes.", variable="source_max_bytes", ge=1)
    max_duration_s: float = setting(
        5 * 3600.0, "Longest source, seconds of audio.", variable="source_max_duration_s", gt=0
    )
    max_pause_s: float = setting(
        3600.0,
        "Longest pause in a recording that becomes silence, s; a longer one fails the job.",
        variable="source_max_pause_s",
        gt=0,
    )
    decode_memory_bytes: int = setting(
        512 << 20, "Memory that opening and decoding one source may take, bytes.", ge=64 << 20
    )
    decode_cpu_s: int = setting(900, "Processor time that opening and decoding one source may take, s.", ge=1)
    decode_open_s: float = setting(120.0, "Time that opening one source may take, s.", gt=0)
    keep_video_origin: bool = setting(
        False, "Begin stems where the video begins: silence precedes audio that starts later."
    )


class StorageSettings(Group):
    """The buckets that hold sources and stems."""

    buckets: dict[str, BucketAccess] = setting(
        {}, 'How buckets are reached, JSON by bucket name; `"*"` for all the others.'
    )
    buckets_file: Path | None = setting(
        None, "A JSON file with more of them; it is read again when it changes."
    )
    retry_budget_s: float = setting(
        120.0,
        "How long an attempt retries when a bucket's store is unreachable or answers 5xx, s.",
        variable="storage_patience_s",
        gt=0,
    )
    upload_prefix: str = setting(
        "uploads/",
        "Beginning of the keys of sources that clients upload through the API; a folder of their own each.",
        pattern=r"^([A-Za-z0-9._-]+/)+$",
    )
    scratch_dir: Path | None = setting(
        None, "Where workers keep files while they work; the system's temporary folder if not set."
    )


#: Jobs of one worker that share a GPU, so that its batches are full.
_SONGS_PER_GPU = 8


class WorkerSettings(Group):
    """Separation workers."""

    levels: tuple[int, ...] = setting(
        (2, 1, 0), "JobLevels a separation worker serves, JSON list.", variable="worker_levels"
    )
    concurrency: int = setting(
        0,
        "Jobs that one worker runs at the same time; 0: one on CPUs, where each has an engine of its own, "
        "and eight with `STEMLINE_DEVICE=cuda`, where they share one.",
        variable="worker_concurrency",
        ge=0,
    )
    grace_s: float = setting(
        120.0,
        "On shutdown, how long a running job may continue before it is released, s.",
        variable="worker_grace_s",
        ge=0,
    )
    retry_window_hours: float = setting(
        24.0, "Age of a job up to which an unreachable bucket costs it no attempt, hours.", ge=0
    )
    retry_delay_s: float = setting(
        15.0, "Delay before such a job is tried again, s; it doubles with each attempt.", ge=0
    )
    retry_delay_max_s: float = setting(900.0, "Longest such delay, s.", ge=0)
    job_time_limit_s: float = setting(6 * 3600.0, "Longest one attempt may take, s.", gt=0)

    def slots(self, device: str) -> int:
        """Return how many jobs a worker with this engine's device runs at the same time."""
        return self.concurrency or (_SONGS_PER_GPU if device == "cuda" else 1)


class EngineSettings(Group):
    """The networks and what runs them."""

    name: Literal["onnxruntime", "tensorflow"] = setting(
        "onnxruntime", "Library that runs the networks.", variable="engine"
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto", "Where the networks run; a device that is asked for and missing is an error."
    )
    threads: int = setting(0, "Cores an engine uses; 0 uses all.", ge=0)
    batch_wait_ms: float = setting(
        5.0, "On a GPU, how long a segment waits for others before an incomplete batch runs, ms.", ge=0
    )
    models_dir: Path | None = setting(None, "Folder of verified weights; the user's cache if not set.")
    models_mirror: str | None = setting(None, "Base URL of your own mirror of the weights, http(s) or s3.")
    models_fetch: bool = setting(False, "Whether a worker fetches weights that it needs and lacks.")
    preload_models: tuple[str, ...] = setting(
        ("2stems",), "Models that a worker loads at its start, JSON list."
    )
    mode_models: dict[Literal["AudioAndBackground", "MusicMode"], str] = setting(
        {},
        "Model that answers a mode, JSON; IsAudio and IsBackground follow AudioAndBackground. Without one, "
        "`2stems` and `4stems`.",
    )
    mask_extension: Literal["average", "upper", "zeros"] = setting(
        "average",
        "Above 11 kHz: `average` keeps it by the frame's average mask, `upper` by that from 7.5 to 11 kHz,"
        " `zeros` removes it as Spleeter does.",
    )
    context_frames: int = setting(
        0, "Frames of context around each segment; 0 is exactly Spleeter.", ge=0, le=256
    )
    refine: bool = setting(
        False, "Whether a multichannel Wiener filter follows the networks (docs/quality.md)."
    )


class CallbackSettings(Group):
    """Delivery of callbacks."""

    timeout_s: float = setting(
        10.0, "Longest time one delivery may take in total, s.", variable="callback_timeout_s", gt=0
    )
    schedule_s: tuple[float, ...] = setting(
        (0, 5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
        "Delay before each attempt, s, JSON list; its length is the number of attempts.",
        variable="callback_schedule_s",
        min_length=1,
    )
    jitter: float = setting(
        0.1, "Share by which delays are spread at random.", variable="callback_jitter", ge=0, le=1
    )
    allow_networks: tuple[Network, ...] = setting(
        (),
        "Networks (CIDR) that callbacks may reach although they are not public, JSON list.",
        variable="callback_allow_networks",
    )
    per_host: int = setting(4, "Deliveries to one host at the same time.", variable="callback_per_host", ge=1)
    concurrency: int = setting(
        128, "Deliveries at the same time in one callback worker.", variable="callback_concurrency", ge=1
    )
    proxy: HttpUrl | None = setting(
        None, "Proxy for Url callbacks; the environment's are not used.", variable="callback_proxy"
    )
    webhook_secrets: tuple[SecretStr, ...] = setting(
        (), "Secrets (`whsec_…`) that sign callbacks where the credential has none, JSON list."
    )
    queue_webhook_secrets: dict[str, tuple[SecretStr, ...]] = setting(
        {}, "Queue id to secrets that sign its jobs' callbacks before any others, JSON."
    )
    dead_letter_days: float = setting(30.0, "How long callbacks that failed for good are kept, days.", gt=0)


class TdmqSettings(Group):
    """Callbacks to message queues."""

    endpoints: dict[str, str] = setting(
        {},
        "MqRegion (`*`: others) to endpoint, JSON: http(s) for CMQ, amqp or redis by Kombu.",
        variable="tdmq_endpoints",
    )
    max_bytes: int = setting(65536, "Largest TDMQ message, bytes.", variable="tdmq_max_bytes", ge=1)
    secret_id: str = setting("", "SecretId for CMQ.", variable="tdmq_secret_id")
    secret_key: SecretStr = setting(SecretStr(""), "SecretKey for CMQ.", variable="tdmq_secret_key")
    signature: Literal["HmacSHA1", "HmacSHA256"] = setting(
        "HmacSHA1", "Signature method for CMQ.", variable="tdmq_signature"
    )


class LoggingSettings(Group):
    """Log lines."""

    level: Literal["debug", "info", "warning", "error"] = setting(
        "info", "Lowest level that is logged.", variable="log_level"
    )
    format: Literal["json", "console"] = setting(
        "json", "Log lines for machines or for people.", variable="log_format"
    )


class MetricsSettings(Group):
    """Prometheus metrics."""

    port: int = setting(
        0,
        "Port of /metrics, and of the API's /readyz; 0 turns it off. Each process needs its own.",
        variable="metrics_port",
        ge=0,
        le=65535,
    )
    host: str = setting(
        "127.0.0.1",
        "Address of that port; 0.0.0.0 in a container.",
        variable="metrics_host",
    )
    queues: int = setting(
        100,
        "Queues with metrics of their own, the fullest first; the rest are summed.",
        variable="metrics_queues",
        ge=0,
    )
    token: SecretStr | None = setting(
        None,
        "Bearer token that the API's /metrics requires; open to whoever reaches the port if not set.",
        variable="metrics_token",
    )


class MonitoringSettings(Group):
    """Probes, traces and links for operators."""

    liveness_file: Path | None = setting(
        None,
        "File that a worker or Celery beat touches while it works, for `stemline health`.",
        variable="alive_file",
    )
    otlp_endpoint: HttpUrl | None = setting(
        None, "OpenTelemetry collector (OTLP over http); no traces if not set."
    )
    flower_url: str | None = setting(None, "Where operators reach Flower, for links.")
