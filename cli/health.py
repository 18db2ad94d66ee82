"""`stemline health`: the health probe of images, Kubernetes and systemd."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from stemline.cli.examples import command_with
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

#: A worker whose liveness file is older than this no longer consumes messages, s.
_MAX_AGE_S = 30.0
#: For processes that serve HTTP: default port and path.
_HTTP = {"api": (8787, "/healthz"), "flower": (5555, "/healthcheck")}
_TIMEOUT_S = 4.0


@command_with("stemline health api", "stemline health worker --live")
@click.argument("process", type=click.Choice(["api", "beat", "flower", "worker"]))
@click.option("--live", is_flag=True, help="Fail only if a restart would help, not if the broker is down.")
@click.option("--port", type=int, help="Port of the api or flower, if not the default one.")
def health(process: str, *, live: bool, port: int | None) -> None:
    """Probe a process on this machine.

    The exit status is 0 if it is healthy, else 1. Run it with the same settings as the process.
    """
    from stemline.runtime.settings import Settings

    settings = Settings()
    if process in _HTTP:
        default, path = _HTTP[process]
        tls = process == "api" and settings.server.tls_certificate is not None
        fault = _http_fault(f"http{'s' if tls else ''}://127.0.0.1:{port or default}{path}")
        if process == "api" and not fault and not live and settings.metrics.port:
            fault = _http_fault(f"http://{_reachable(settings.metrics.host)}:{settings.metrics.port}/readyz")
    else:
        fault = _liveness_fault(settings)
        if fault and live and not _broker_answers(settings):
            click.echo(f"{fault}; the broker does not answer either, so a restart would not help")
            return
    click.echo(fault or "ok")
    sys.exit(1 if fault else 0)


def _reachable(host: str) -> str:
    """Return where a server is reached that listens on an address, which may stand for all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104 - it is not listened on


def _http_fault(url: str) -> str:
    """Return what is wrong with an HTTP server, or an empty text."""
    from stemline.runtime import loopback

    try:
        with loopback.opener().open(url, timeout=_TIMEOUT_S):
            return ""
    except OSError as error:
        return f"{url}: {reason_of(error)}"


def _liveness_fault(settings: Settings) -> str:
    """Return what is wrong with a worker or Celery beat, or an empty text."""
    from stemline.workers.liveness import age_s

    file = settings.monitoring.liveness_file
    if file is None:
        return "STEMLINE_ALIVE_FILE is not set; without it the probe knows nothing of the process"
    age = age_s(file)
    if age is None:
        return f"{file} has not been written yet"
    limit = max(_MAX_AGE_S, 3 * settings.jobs.sweep_interval_s)
    return f"{file} was last written {age:.0f} s ago, more than {limit:g} s" if age > limit else ""


def _broker_answers(settings: Settings) -> bool:
    from kombu.exceptions import OperationalError

    from stemline.workers.app import create_app

    app = create_app(settings)
    try:
        with app.connection_for_read(connect_timeout=_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, timeout=_TIMEOUT_S)
            connection.default_channel.client.ping()
    except (OperationalError, OSError, *app.connection().connection_errors):
        return False
    return True
