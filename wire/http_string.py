"""The HttpString of a request: the text that its signature covers (docs/wire/wire.md, 2.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from urllib.parse import unquote

from stemline.jobs.errors import SignatureDoesNotMatch
from stemline.wire.authorization import Authorization
from stemline.wire.signed_request import SignedRequest
from stemline.wire.spelling import encode, spelled


def http_strings(request: SignedRequest, carried: Authorization) -> Iterator[str]:
    """Yield the HttpString of a request, once for each way in which a client may have spelled the host.

    Raises:
        SignatureDoesNotMatch: The request lacks an item that the signature lists.
    """
    params = _canonical(carried.param_list, _grouped((spelled(n), v) for n, v in request.params))
    headers = _grouped((spelled(name), value) for name, value in request.headers)
    head = f"{request.method.lower()}\n{request.path}\n{params}\n"
    if "host" not in carried.header_list:
        yield f"{head}{_canonical(carried.header_list, headers)}\n"
        return
    hosts = headers.get("host", [])
    if len(hosts) != 1:
        raise SignatureDoesNotMatch("The request does not have exactly one Host header.")
    for host in _host_variants(hosts[0]):
        yield f"{head}{_canonical(carried.header_list, headers | {'host': [host]})}\n"


def _grouped(items: Iterable[tuple[str, str | bytes]]) -> dict[str, list[str | bytes]]:
    groups: dict[str, list[str | bytes]] = {}
    for name, value in items:
        groups.setdefault(name, []).append(value)
    return groups


def _canonical(names: Iterable[str], groups: Mapping[str, Sequence[str | bytes]]) -> str:
    pairs: list[str] = []
    for name in names:
        if name not in groups:
            raise SignatureDoesNotMatch(f"The request lacks {unquote(name)!r}, which its signature lists.")
        pairs += sorted(f"{name}={encode(value)}" for value in groups[name])
    return "&".join(pairs)


def _host_variants(host: str | bytes) -> tuple[str, ...]:
    """Return the host as received, in lower case, without port, and both."""
    text = host if isinstance(host, str) else host.decode("latin-1")
    name = re.sub(r":\d*$", "", text)
    return tuple(dict.fromkeys((text, text.lower(), name, name.lower())))
