"""The API's HTTP server, and its clients that listen."""

from __future__ import annotations

from pathlib import Path

from stemline.runtime.settings.groups.group import Group, setting


class ServerSettings(Group):
    """The API's HTTP server."""

    tls_certificate: Path | None = setting(None, "PEM certificate chain; the API then speaks https.")
    tls_key: Path | None = setting(None, "PEM key of the certificate.")
    max_body_bytes: int = setting(1 << 20, "Largest request body, bytes.", ge=1024)
    body_timeout_s: float = setting(10.0, "How long a request body may be waited for in total, s.", gt=0)
    body_memory_bytes: int = setting(
        16 << 20,
        "Request bodies held in memory at a time by one API process, bytes; further ones are answered 503. "
        "A credential may hold as much as is still free.",
        ge=1024,
    )
    max_header_bytes: int = setting(
        32768,
        "Largest request without its body: request line, headers, chunk sizes, trailers, bytes.",
        ge=1024,
    )
    header_timeout_s: float = setting(
        10.0, "Longest time a TLS handshake, and then a request's headers, may take, s.", gt=0
    )
    idle_timeout_s: float = setting(75.0, "How long a connection may wait for its next request, s.", gt=0)
    answer_timeout_s: float = setting(120.0, "Longest time the API may take to answer a request, s.", gt=0)
    write_timeout_s: float = setting(
        30.0, "How long a client may leave an answer unread before it is disconnected, s.", gt=0
    )
    event_stream_s: float = setting(
        3600.0, "How long a stream of events lasts; its client then asks for the rest, s.", gt=0
    )
    max_connections: int = setting(
        2000,
        "Open connections of one API process; beyond it, the client with most of them loses the one that has "
        "waited longest.",
        ge=1,
    )
    max_connections_per_client: int = setting(
        200,
        "The same for one client address (IPv6: one /64 network); 0 is no limit, for use behind a proxy.",
        ge=0,
    )
    connection_memory_bytes: int = setting(
        40 << 20,
        "Memory that the connections of one API process may take for TLS, unfinished requests and unread "
        "answers, bytes; beyond it, the client with most of them loses the one that has waited longest.",
        ge=1 << 20,
    )


class ListenerSettings(Group):
    """Clients that listen to events, or wait for the end of a job."""

    limit: int = setting(
        2000, "Listening and waiting requests of one API process.", variable="listeners", ge=1
    )
    limit_per_credential: int = setting(
        500, "The same for one credential.", variable="listeners_per_credential", ge=1
    )
    max_wait_s: int = setting(60, "Longest wait by `Prefer: wait`, s.", variable="max_wait_s", ge=1, le=60)
    heartbeat_s: float = setting(
        15.0, "Longest silence in a stream of events, s.", variable="event_heartbeat_s", gt=0
    )
