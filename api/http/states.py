"""The states of a connection."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What a connection is waiting for."""

    HANDSHAKE = "the client's part of the TLS handshake"
    IDLE = "the first byte of a request"
    HEAD = "the rest of its head"
    QUEUED = "its turn"
    BODY = "its body, which the application waits for"
    HANDLING = "the application"
    STREAMING = "the application to send the next event"
    WRITING = "the client to read what was sent"
    DRAINING = "the client to read an early response; what it still sends is thrown away"
    CLOSING = "the last bytes to be sent"
