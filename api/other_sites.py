"""What a page of another site may have a browser send to an API that asks for no signature: nothing.

A browser that can reach the API sends requests for every page that it shows, also for a stranger's. Such a
page cannot sign, so only unsigned requests need these rules. Programs send none of the headers looked at.
"""

from __future__ import annotations

import ipaddress
from contextlib import suppress

from starlette.datastructures import Headers

from stemline.api.hosts import HostTable, normalise_host
from stemline.jobs.errors import Forbidden

_OWN = frozenset({"same-origin", "none"})
"""Values of Sec-Fetch-Site for a page of the same scheme, host and port, and for what the user typed."""
_DEFAULT_PORT = {"http": ":80", "https": ":443"}


def check_host(hosts: HostTable, host: str) -> None:
    """Refuse an unsigned request under a name that anybody may have made to mean this machine.

    Whoever owns a name can let it mean the address of the API while a browser shows their page. To the
    browser, API and page are one site then (DNS rebinding): only the name differs.

    Raises:
        Forbidden: The name is only covered by the rule for all hosts, and could be a stranger's.
    """
    if not hosts.names(host) and not _is_local(normalise_host(host)):
        raise Forbidden(
            "Requests without a signature are not served under this host name: name it in STEMLINE_HOSTS."
        )


def check_origin(headers: Headers) -> None:
    """Refuse an unsigned change that a browser sends for a page of another site.

    Raises:
        Forbidden: It does.
    """
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    own = set(sites) <= _OWN if sites else all(_is_origin(each, headers["host"]) for each in origins)
    if not own:
        raise Forbidden("A page of another site may change nothing without a signature.")


def _is_origin(origin: str, host: str) -> bool:
    """Return whether an origin is the host that was asked."""
    scheme, _, authority = origin.strip().lower().partition("://")
    port = _DEFAULT_PORT.get(scheme)
    return port is not None and authority.removesuffix(port) == host.strip().lower().removesuffix(port)


def _is_local(name: str) -> bool:
    """Return whether a host name is an address, this machine's, or one that no public DNS server answers."""
    with suppress(ValueError):
        ipaddress.ip_address(name.strip("[]"))
        return True
    return "." not in name or name.endswith(".localhost")
