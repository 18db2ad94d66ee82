"""Requests to this machine itself: never through a proxy, and without a check of the certificate's name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import urllib.request

HOSTS: Final = ("localhost", "127.0.0.1", "::1")
_NAMES: Final = ("no_proxy", "NO_PROXY")


def no_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that exempt this machine from the proxies of `environment`.

    HTTP clients differ in which spelling they prefer, so both are set.
    """
    given = next((environment[name] for name in _NAMES if environment.get(name)), "")
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    value = ",".join([*hosts, *(host for host in HOSTS if host not in hosts)])
    return dict.fromkeys(_NAMES, "*" if "*" in hosts else value)


def exempt_from_proxies() -> None:
    """Have this process and its children reach this machine without a proxy."""
    os.environ.update(no_proxy(os.environ))


def opener() -> urllib.request.OpenerDirector:
    """Return an opener for URLs of this machine; a certificate is for the public name, not for 127.0.0.1."""
    import ssl  # noqa: PLC0415 - not for every command
    import urllib.request  # noqa: PLC0415

    unchecked = ssl.create_default_context()
    unchecked.check_hostname = False
    unchecked.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=unchecked)
    )
