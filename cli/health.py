"""`stemline health`: the probes of images, Kubernetes and other supervisors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings

#: A sign of life that is older than this shows that a worker takes no messages, s.
_OLDEST_S = 30.0
#: Port and path of what is asked over HTTP: whether it can work, and whether it lives.
_HTTP = {"api": (8787, "/readyz", "/healthz"), "flower": (5555, "/healthcheck", "/healthcheck")}
_TIMEOUT_S = 4.0


@click.command()
@click.argument("part", type=click.Choice(["api", "beat", "flower", "worker"]))
@click.option("--live", is_flag=True, help="Only what a restart would mend: the broker may be away.")
@click.option("--port", type=int, help="Where api or flower listens on this machine.")
def health(part: str, *, live: bool, port: int | None) -> None:
    """Tell by the exit status whether PART of this machine, started from the same settings, does its work."""
    from stemline.runtime.settings import Settings

    settings = Settings()
    if part in _HTTP:
        standard, ready, alive = _HTTP[part]
        tls = part == "api" and settings.server.tls_certificate is not None
        scheme = "https" if tls else "http"
        fault = _asked(f"{scheme}://127.0.0.1:{port or standard}{alive if live else ready}")
    else:
        fault = _sign_of_life(settings)
        if fault and live and not _broker_answers(settings):
            click.echo(f"{fault}; the broker is away, which a restart does not mend")
            return
    click.echo(fault or "ok")
    sys.exit(1 if fault else 0)


def _asked(url: str) -> str:
    """What is wrong with an HTTP server, or nothing."""
    import ssl
    import urllib.request

    # The certificate bears the public name, not 127.0.0.1.
    unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S, context=unchecked):  # noqa: S310 - our own URL
            return ""
    except OSError as error:
        return f"{url}: {error}"


def _sign_of_life(settings: Settings) -> str:
    """What is wrong with a worker or the clock, or nothing."""
    from stemline.workers.liveness import age_s

    if settings.monitoring.liveness_file is None:
        return "STEMLINE_ALIVE_FILE is not set, so nothing can be told"
    age = age_s(settings.monitoring.liveness_file)
    if age is None:
        return f"{settings.monitoring.liveness_file}: no sign of life yet"
    oldest = max(_OLDEST_S, 3 * settings.jobs.sweep_interval_s)
    return f"{settings.monitoring.liveness_file}: no sign of life for {age:.0f} s" if age > oldest else ""


def _broker_answers(settings: Settings) -> bool:
    from celery import Celery
    from kombu.exceptions import OperationalError

    app = Celery(broker=settings.store.broker, set_as_current=False)
    try:
        with app.connection_for_read(connect_timeout=_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, timeout=_TIMEOUT_S)
            connection.default_channel.client.ping()
    except (OperationalError, OSError, *app.connection().connection_errors):
        return False
    return True
