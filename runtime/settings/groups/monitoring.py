"""Log lines, metrics, probes and traces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from stemline.runtime.settings.groups.group import Group, setting
from stemline.runtime.settings.values import HttpUrl


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
