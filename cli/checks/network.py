"""Checks of connections to others: callback receivers, proxy and trace collector."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stemline.cli.checks.findings import TIMEOUT_S, CheckContext, Finding, address_of, fail, ok, skip, warn
from stemline.jobs.reasons import reason_of

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings


def callbacks(context: CheckContext) -> Iterator[Finding]:
    """Check the networks that callbacks may reach, their signatures, the proxy and one receiver."""
    import ipaddress

    settings = context.settings
    for text in settings.callbacks.allow_networks:
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen < (8 if network.version == 4 else 16):
            fix = "allow only the networks of your receivers"
            yield warn("callbacks", f"{network} lets clients call nearly every private address", fix)
        elif network.is_loopback:
            fix = "allow it on one machine only: clients can call the other services of this machine"
            yield warn("callbacks", f"callbacks to {network} are allowed", fix)
        else:
            yield ok("callbacks", f"callbacks to {network} are allowed")
    options = settings.callbacks
    secrets = [options.webhook_secrets, options.queue_webhook_secrets, settings.access.credentials_file]
    if any(secrets) or any(each.webhook_secrets for each in settings.access.credentials):
        yield ok("callbacks", "callbacks are signed")
    else:
        fix = "set STEMLINE_WEBHOOK_SECRETS, so that receivers can detect forged callbacks"
        yield warn("callbacks", "callbacks are not signed", fix)
    if settings.callbacks.proxy:
        yield _connect("callbacks", "the proxy", settings.callbacks.proxy, "STEMLINE_CALLBACK_PROXY")
    if context.receiver:
        yield _connect_to_receiver(settings, context.receiver)


def _connect_to_receiver(settings: Settings, url: str) -> Finding:
    try:
        import httpcore

        from stemline.callbacks.address_guard import AddressGuard, AddressRefused
        from stemline.callbacks.connection import Deadline, NameNotFound, checked_addresses
        from stemline.callbacks.http import BadUrl, parse_url
    except ModuleNotFoundError:
        return skip("callbacks", "the extra `callbacks` is not installed here")
    try:
        target = parse_url(url)
        deadline = Deadline(settings.callbacks.timeout_s)
        guard = AddressGuard.allowing(settings.callbacks.allow_networks)
        family, address = checked_addresses(target.host, target.port, guard, deadline)[0]
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(deadline.left())
            connection.connect(address)
    except BadUrl as error:
        return fail("callbacks", str(error), "use a URL such as https://receiver.example/hook")
    except AddressRefused as error:
        fix = "add its network to STEMLINE_CALLBACK_ALLOW_NETWORKS if it is yours"
        return fail("callbacks", f"{target.host}: {error}", fix)
    except NameNotFound:
        return fail("callbacks", f"{target.host} has no address", "check the name, and DNS on this machine")
    except (OSError, httpcore.TimeoutException) as error:
        fix = "check the receiver, and the firewall of this network"
        return fail("callbacks", f"cannot connect to {target.host}: {reason_of(error)}", fix)
    return ok("callbacks", f"can connect to {target.host}")


def telemetry(context: CheckContext) -> Iterator[Finding]:
    """Connect to the trace collector, if one is set."""
    from stemline.runtime import telemetry as traces
    from stemline.runtime.errors import TelemetryMissing

    endpoint = context.settings.monitoring.otlp_endpoint
    if not endpoint:
        yield skip("telemetry", "no trace collector is set")
        return
    try:
        traces.check(context.settings)
    except TelemetryMissing as error:
        yield fail("telemetry", str(error), "install stemline[otel]")
    else:
        yield _connect("telemetry", "the trace collector", endpoint, "STEMLINE_OTLP_ENDPOINT")


def _connect(check: str, what: str, url: str, setting: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT_S).close()
    except OSError as error:
        message = f"cannot connect to {what} at {address_of(url)}: {reason_of(error)}"
        return fail(check, message, f"start it, or correct {setting}")
    return ok(check, f"can connect to {what} at {address_of(url)}")
