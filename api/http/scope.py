"""The ASGI scope of a request, from which an application reads it."""

from __future__ import annotations

from starlette.types import Scope

from stemline.api.http.channel import Channel
from stemline.api.http.listener import Listener
from stemline.api.http.reader import RequestHead


def scope_of(head: RequestHead, channel: Channel, listener: Listener) -> Scope:
    """Return the scope of a request.

    Args:
        head: Its request line and headers; the host of an absolute-form target becomes the state's
            ``authority``.
        channel: Where it came from.
        listener: Listener whose application gets it.
    """
    state = dict(listener.app_state)
    if head.authority is not None:
        state["authority"] = head.authority
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": head.version,
        "scheme": channel.scheme,
        "client": channel.client,
        "server": channel.server,
        "method": head.method,
        "root_path": "",
        "path": head.path,
        "raw_path": head.raw_path,
        "query_string": head.query,
        "headers": head.headers,
        "state": state,
    }
