"""Whom this machine reaches: receivers of callbacks, the collector of traces."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stemline.cli.checks.findings import TIMEOUT_S, Finding, Patient, address_of, bad, ok, skipped, warning

if TYPE_CHECKING:
    from stemline.runtime.settings import Settings


def callbacks(patient: Patient) -> Iterator[Finding]:
    """Whom callbacks may reach, what signs them, and whether a receiver can be reached."""
    import ipaddress

    settings = patient.settings
    for text in settings.callbacks.allow_networks:
        network = ipaddress.ip_network(text, strict=False)
        if network.prefixlen < (8 if network.version == 4 else 16):
            mend = "allow only the networks of your receivers"
            yield warning("callbacks", f"{network} opens nearly every private address to clients", mend)
        elif network.is_loopback:
            mend = "right for one machine; elsewhere clients could call its own services"
            yield warning("callbacks", f"{network} may be called", mend)
        else:
            yield ok("callbacks", f"{network} may be called")
    options = settings.callbacks
    held = [options.webhook_secrets, options.queue_webhook_secrets, settings.access.credentials_file]
    if any(held) or any(each.webhook_secrets for each in settings.access.credentials):
        yield ok("callbacks", "secrets to sign them are set")
    else:
        mend = "set STEMLINE_WEBHOOK_SECRETS, so that receivers can tell them from forged ones"
        yield warning("callbacks", "they are not signed", mend)
    if settings.callbacks.proxy:
        yield _reach("callbacks", "the proxy", settings.callbacks.proxy, "STEMLINE_CALLBACK_PROXY")
    if patient.receiver:
        yield _receiver(settings, patient.receiver)


def _receiver(settings: Settings, url: str) -> Finding:
    try:
        import httpcore

        from stemline.callbacks.address_guard import AddressGuard, AddressRefused
        from stemline.callbacks.connection import Deadline, NameNotFound, checked_addresses
        from stemline.callbacks.http import BadUrl, parse_url
    except ModuleNotFoundError:
        return skipped("callbacks", "what delivers callbacks is not installed here")
    try:
        target = parse_url(url)
        deadline = Deadline(settings.callbacks.timeout_s)
        guard = AddressGuard.allowing(settings.callbacks.allow_networks)
        found = checked_addresses(target.host, target.port, guard, deadline)
        family, address = found[0]
        with socket.socket(family, socket.SOCK_STREAM) as connection:
            connection.settimeout(deadline.left())
            connection.connect(address)
    except BadUrl as error:
        return bad("callbacks", str(error), "give a URL such as https://receiver.example/hook")
    except AddressRefused as error:
        mend = "add its network to STEMLINE_CALLBACK_ALLOW_NETWORKS if it is yours"
        return bad("callbacks", f"{target.host}: {error}", mend)
    except NameNotFound:
        return bad("callbacks", f"{target.host} has no address", "look at the name, and at DNS here")
    except (OSError, httpcore.TimeoutException) as error:
        mend = "look at the receiver, and at what lets connections out of this network"
        return bad("callbacks", f"{target.host} cannot be reached ({type(error).__name__})", mend)
    return ok("callbacks", f"{target.host} can be reached")


def telemetry(patient: Patient) -> Iterator[Finding]:
    """The trace collector, where one is set."""
    from stemline.runtime import telemetry as traces

    endpoint = patient.settings.monitoring.otlp_endpoint
    if not endpoint:
        yield skipped("telemetry", "no trace collector is set")
        return
    try:
        traces.check(patient.settings)
    except traces.TelemetryMissing as error:
        yield bad("telemetry", str(error), "install stemline[otel]")
    else:
        yield _reach("telemetry", "the trace collector", endpoint, "STEMLINE_OTLP_ENDPOINT")


def _reach(part: str, what: str, url: str, setting: str) -> Finding:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=TIMEOUT_S).close()
    except OSError as error:
        found = f"{what} at {address_of(url)} cannot be reached ({type(error).__name__})"
        return bad(part, found, f"start it, or correct {setting}")
    return ok(part, f"{what} at {address_of(url)} can be reached")
