"""Every setting, read once from ``STEMLINE_…`` variables.

Names, defaults, units and effects are told by the fields themselves; ``docs/settings.md`` is made from them.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "STEMLINE_"


class Credential(BaseModel):
    """A key pair that may sign requests."""

    secret_id: str
    secret_key: SecretStr
    buckets: tuple[str, ...] = ("*",)
    """Bucket names with APPID it may use; ``*`` for all."""
    read_only: bool = False
    token: SecretStr | None = None
    """Session token that must accompany a temporary key."""
    expires_at: int | None = None
    """Unix seconds after which a temporary key is refused."""
    webhook_secrets: tuple[SecretStr, ...] = ()
    """Secrets (``whsec_…``) that sign the callbacks of its jobs; two while rotating."""


class BucketAccess(BaseModel):
    """How one bucket (or ``*``, every other one) is reached over S3."""

    endpoint_url: str | None = None
    """``{region}`` in it becomes the job's region; AWS's own endpoint where not given."""
    access_key: str = ""
    """Empty for what the machine offers: environment, profile or instance role."""
    secret_key: SecretStr = SecretStr("")
    region: str | None = None
    """Region for request signing; the job's region where not given."""
    name: str | None = None
    """The bucket's name at the store where it differs from the wire's."""
    path_style: bool = True


class HostRoute(BaseModel):
    """What a host name that carries no bucket stands for."""

    bucket: str | None = None
    region: str


class Settings(BaseSettings):
    """What an operator can turn; one instance per process."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=None,
        frozen=True,
        extra="forbid",
        # What was refused may be a secret.
        hide_input_in_errors=True,
    )

    # -- where things are
    home: Annotated[
        Path, Field(description="Folder of the local stack: data, logs, generated credentials.")
    ] = Path(".stemline")
    redis_url: Annotated[SecretStr, Field(description="Valkey or Redis that holds the jobs.")] = SecretStr(
        "redis://127.0.0.1:6379/0"
    )
    broker_url: Annotated[
        SecretStr | None,
        Field(description="Valkey or Redis that carries Celery's messages; redis_url if not set."),
    ] = None
    key_prefix: Annotated[str, Field(description="First part of every key in the job store.")] = "stemline"

    # -- the wire
    region: Annotated[str, Field(description="Region of hosts that name none.")] = "ap-chongqing"
    endpoint_suffixes: Annotated[
        dict[str, str],
        Field(
            description="Endpoint suffix to region, JSON: `<bucket>.<suffix>` is that bucket in that region."
        ),
    ] = {}
    hosts: Annotated[
        dict[str, HostRoute],
        Field(description='Other host names to bucket and region, JSON; `"*"` for every unknown host.'),
    ] = {}
    credentials: Annotated[
        tuple[Credential, ...], Field(description="Key pairs that may sign, JSON list.")
    ] = ()
    credentials_file: Annotated[Path | None, Field(description="A JSON file with more of them.")] = None
    anonymous_access: Annotated[bool, Field(description="Accept requests without a signature.")] = False
    require_signed_host: Annotated[bool, Field(description="Refuse signatures that do not cover Host.")] = (
        False
    )
    clock_tolerance_s: Annotated[
        int, Field(ge=0, description="How far in the future a signature may begin, s.")
    ] = 900
    tls_certificate: Annotated[
        Path | None, Field(description="PEM certificate chain; the API then speaks https.")
    ] = None
    tls_key: Annotated[Path | None, Field(description="PEM key of the certificate.")] = None
    auto_open: Annotated[bool, Field(description="Open the service for a bucket at its first use.")] = True
    cancel_running: Annotated[
        bool, Field(description="Cancel stops running jobs too; the vendor refuses that.")
    ] = True

    # -- limits
    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest request body, bytes.")] = 1 << 20
    body_timeout_s: Annotated[float, Field(gt=0, description="Longest time a request body may take, s.")] = (
        10.0
    )
    max_header_bytes: Annotated[
        int, Field(ge=1024, description="Largest request line and headers together, bytes.")
    ] = 32_768
    header_timeout_s: Annotated[
        float, Field(gt=0, description="Longest time a request's headers may take, s.")
    ] = 10.0
    max_connections: Annotated[
        int, Field(ge=1, description="Connections the API keeps open at a time; further ones are closed.")
    ] = 2000
    rate_limit_per_s: Annotated[
        float, Field(ge=0, description="Requests per second and credential; 0 is no limit.")
    ] = 20.0
    rate_limit_burst: Annotated[
        int, Field(ge=1, description="Requests above the rate that are let through.")
    ] = 1000
    queue_max_size: Annotated[int, Field(ge=1, description="Waiting jobs a new queue may hold.")] = 10_000
    queue_max_concurrent: Annotated[int, Field(ge=1, description="Jobs of a new queue that run at once.")] = (
        10
    )
    templates_per_bucket: Annotated[int, Field(ge=1, description="Templates a bucket may hold.")] = 200
    buckets_per_region: Annotated[int, Field(ge=1, description="Buckets that may be opened in a region.")] = (
        1000
    )
    source_max_bytes: Annotated[int, Field(ge=1, description="Largest source object, bytes.")] = 5 << 30
    source_max_duration_s: Annotated[float, Field(gt=0, description="Longest source, seconds of audio.")] = (
        5 * 3600.0
    )

    # -- storage
    buckets: Annotated[
        dict[str, BucketAccess],
        Field(description='How buckets are reached, JSON by bucket name; `"*"` for all the others.'),
    ] = {}
    buckets_file: Annotated[Path | None, Field(description="A JSON file with more of them.")] = None
    storage_patience_s: Annotated[
        float,
        Field(gt=0, description="How long an attempt waits for a store that is down or answers 5xx, s."),
    ] = 120.0
    scratch_dir: Annotated[
        Path | None,
        Field(description="Where workers keep files while they work; the system's place if not set."),
    ] = None

    # -- jobs
    lease_s: Annotated[
        float, Field(gt=0, description="How long a claim holds without a sign of life, s.")
    ] = 20.0
    heartbeat_s: Annotated[float, Field(gt=0, description="How often a worker gives a sign of life, s.")] = (
        2.0
    )
    sweep_interval_s: Annotated[float, Field(gt=0, description="How often lost work is looked for, s.")] = 5.0
    max_attempts: Annotated[
        int, Field(ge=1, description="Claims before a job whose workers die is Failed.")
    ] = 3
    level_ageing_s: Annotated[
        float,
        Field(
            ge=0, description="After each such time a waiting job counts one JobLevel higher, s; 0 is never."
        ),
    ] = 0.0
    retention_days: Annotated[float, Field(gt=0, description="How long ended jobs are kept, days.")] = 90.0
    idempotency_hours: Annotated[
        float, Field(gt=0, description="How long an Idempotency-Key is remembered, hours.")
    ] = 24.0

    # -- workers
    worker_levels: Annotated[
        tuple[int, ...], Field(description="JobLevels a separation worker serves, JSON list.")
    ] = (2, 1, 0)
    worker_concurrency: Annotated[
        int, Field(ge=1, description="Jobs that one worker runs at a time, each with an engine of its own.")
    ] = 1
    worker_grace_s: Annotated[
        float,
        Field(ge=0, description="On a stop, how long a running job may go on before it is given back, s."),
    ] = 120.0
    retry_window_hours: Annotated[
        float,
        Field(
            ge=0,
            description="Age up to which waiting for a bucket that is away costs no attempt, hours.",
        ),
    ] = 24.0
    retry_delay_s: Annotated[float, Field(ge=0, description="Pause before such a job is tried again, s.")] = (
        15.0
    )
    job_time_limit_s: Annotated[float, Field(gt=0, description="Longest one attempt may take, s.")] = (
        6 * 3600.0
    )
    engine: Annotated[Literal["onnxruntime", "tensorflow"], Field(description="What runs the networks.")] = (
        "onnxruntime"
    )
    device: Annotated[
        Literal["auto", "cpu", "cuda", "tensorrt"],
        Field(description="Where; one that is asked for and missing is an error."),
    ] = "auto"
    threads: Annotated[int, Field(ge=0, description="Cores an engine uses; 0 is all there are.")] = 0
    models_dir: Annotated[
        Path | None, Field(description="Folder of verified weights; the user's cache if not set.")
    ] = None
    models_mirror: Annotated[
        str | None, Field(description="Own mirror of the weights, an http(s) or s3 URL.")
    ] = None
    preload_models: Annotated[
        tuple[str, ...], Field(description="Models that a worker loads at its start, JSON list.")
    ] = ("2stems",)
    mask_extension: Annotated[
        Literal["average", "zeros"],
        Field(description="What happens above 11 kHz: kept by the average mask, or cut as Spleeter does."),
    ] = "average"
    context_frames: Annotated[
        int, Field(ge=0, le=256, description="Frames of context around each segment; 0 is exactly Spleeter.")
    ] = 0

    # -- callbacks
    callback_timeout_s: Annotated[
        float, Field(gt=0, description="Longest time one delivery may take in all, s.")
    ] = 10.0
    callback_schedule_s: Annotated[
        tuple[float, ...],
        Field(
            min_length=1, description="Wait before each try, s, JSON list; its length is the number of tries."
        ),
    ] = (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    callback_jitter: Annotated[
        float, Field(ge=0, le=1, description="Share by which waits are spread at random.")
    ] = 0.1
    callback_allow_networks: Annotated[
        tuple[str, ...],
        Field(
            description="Networks (CIDR) that callbacks may reach although they are not public, JSON list."
        ),
    ] = ()
    callback_per_host: Annotated[int, Field(ge=1, description="Deliveries to one host at a time.")] = 4
    callback_concurrency: Annotated[
        int, Field(ge=1, description="Deliveries at a time in one callback worker.")
    ] = 128
    callback_proxy: Annotated[
        str | None, Field(description="Proxy for Url callbacks; the environment's are not used.")
    ] = None
    webhook_secrets: Annotated[
        tuple[SecretStr, ...],
        Field(
            description="Secrets (`whsec_…`) that sign callbacks where the credential has none, JSON list."
        ),
    ] = ()
    queue_webhook_secrets: Annotated[
        dict[str, tuple[SecretStr, ...]],
        Field(description="Queue id to secrets that sign its jobs' callbacks before any others, JSON."),
    ] = {}
    dead_letter_days: Annotated[
        float, Field(gt=0, description="How long callbacks that failed for good are kept, days.")
    ] = 30.0
    tdmq_endpoints: Annotated[
        dict[str, str],
        Field(
            description="MqRegion (`*`: others) to endpoint, JSON: http(s) for CMQ, amqp or redis by Kombu."
        ),
    ] = {}
    tdmq_max_bytes: Annotated[int, Field(ge=1, description="Largest TDMQ message, bytes.")] = 65_536
    tdmq_secret_id: Annotated[str, Field(description="SecretId for CMQ.")] = ""
    tdmq_secret_key: Annotated[SecretStr, Field(description="SecretKey for CMQ.")] = SecretStr("")
    tdmq_signature: Annotated[
        Literal["HmacSHA1", "HmacSHA256"], Field(description="Signature method for CMQ.")
    ] = "HmacSHA1"

    # -- what is told
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least level that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["json", "console"], Field(description="Log lines for machines or for people.")
    ] = "json"
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port of a worker's /metrics; 0 is none.")
    ] = 0
    metrics_host: Annotated[
        str, Field(description="Address on which a worker serves /metrics; 0.0.0.0 in a container.")
    ] = "127.0.0.1"
    metrics_queues: Annotated[
        int,
        Field(ge=0, description="Queues with metrics of their own, the fullest first; the rest are summed."),
    ] = 100
    metrics_token: Annotated[
        SecretStr | None,
        Field(description="The API's /metrics asks for this bearer token; open to all if not set."),
    ] = None
    alive_file: Annotated[
        Path | None,
        Field(description="File a worker or the clock writes while it does its work, for `stemline health`."),
    ] = None
    otlp_endpoint: Annotated[
        str | None, Field(description="OpenTelemetry collector (OTLP over http); none if not set.")
    ] = None
    flower_url: Annotated[str | None, Field(description="Where people reach Flower, for links.")] = None

    @field_validator("redis_url", "broker_url", "otlp_endpoint", "callback_proxy")
    @classmethod
    def _are_urls(cls, given: SecretStr | str | None, info: ValidationInfo) -> SecretStr | str | None:
        """A slip in a URL would otherwise show in the middle of the work; the URL itself is never told."""
        if given is None:
            return given
        schemes = ("redis", "rediss") if info.field_name in {"redis_url", "broker_url"} else ("http", "https")
        try:
            parts = urlsplit(given.get_secret_value() if isinstance(given, SecretStr) else given)
            whole = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
        except ValueError:
            whole = False
        if not whole:
            raise ValueError(
                f"this is no {' or '.join(f'{scheme}://' for scheme in schemes)} URL with host and port; "
                "special characters in its password must be percent-encoded"
            )
        return given

    @field_validator("callback_allow_networks")
    @classmethod
    def _are_networks(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            ipaddress.ip_network(text, strict=False)
        return texts

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        """A misspelt variable would otherwise be a setting that has no effect."""
        known = {PREFIX + name.upper() for name in cls.model_fields}
        wrong = []
        for name in sorted(os.environ):
            if name.startswith(PREFIX) and name not in known:
                near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
                wrong.append(f"{name} is no setting" + (f"; did you mean {near[0]}?" if near else ""))
        if wrong:
            raise ValueError(", ".join(wrong))
        return values

    @property
    def broker(self) -> str:
        """URL of Celery's broker."""
        return (self.broker_url or self.redis_url).get_secret_value()
