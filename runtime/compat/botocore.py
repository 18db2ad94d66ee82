"""Botocore: the HTTP session of a client, to send requests that the client cannot make itself."""

from __future__ import annotations

from typing import Any


def http_session(client: Any) -> Any:
    """Return the session through which a client sends: its connections, proxies, authorities and timeouts.

    A client signs with headers, so that a request has no lifetime of its own. A presigned one must be sent by
    other means, and botocore makes a session's proxies and authorities known nowhere else.

    Args:
        client: any client of boto3.

    Returns:
        An object whose ``send`` takes a prepared ``AWSRequest``.
    """
    return vars(client)["_endpoint"].http_session
