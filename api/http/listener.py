"""What the connections of one listening socket share."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.types import ASGIApp

from stemline.api.http.handshakes import Handshakes
from stemline.api.http.registry import ConnectionRegistry
from stemline.api.http.states import State
from stemline.api.http.turns import Turns
from stemline.runtime.compat.uvicorn import ServerState

#: Bytes read from a socket at once.
READ_BYTES: Final = 16_384


@dataclass(slots=True)
class Listener:
    """What all connections of one listening socket share."""

    app: ASGIApp
    registry: ConnectionRegistry
    turns: Turns
    deadlines: Mapping[State, float]
    """Seconds after which a state ends the connection."""
    max_head_bytes: int
    """Most bytes of a request that are not its body."""
    refusal: Callable[[str], bytes]
    """Returns the response to what is not a request, with the reason given."""
    on_forced_end: Callable[[str], None]
    """Counts a connection that the server ended, by reason."""
    state: ServerState
    """uvicorn's: open connections, running tasks, headers of every response."""
    app_state: dict[str, Any]
    """State of the application's lifespan."""
    tls: ssl.SSLContext | None = None
    handshakes: Handshakes = field(default_factory=Handshakes)
    buffer: bytearray = field(default_factory=lambda: bytearray(READ_BYTES))
    """Where sockets are read into; emptied before the next one is read."""
