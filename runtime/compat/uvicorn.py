"""uvicorn: a protocol of our own, and several processes started from objects."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState
from uvicorn.supervisors import Multiprocess

from stemline.runtime.errors import AddressUnusable

__all__ = ["ProtocolFactory", "ServerState", "listen", "serve"]

ACCEPTS_A_ROUND: Final = 16

Connect = Callable[[asyncio.AbstractEventLoop], asyncio.BaseProtocol]
"""Makes the protocol of a new connection."""


class ProtocolFactory:
    """Stands where uvicorn expects a protocol class.

    Its own classes limit neither the size of a request's head nor the time it may take (Kludex/uvicorn#157).
    How it calls a class, and that it closes connections through ``ServerState``, is not documented. The
    annotation of ``Config(http=…)`` knows classes only.
    """

    def __init__(self, prepare: Callable[[ASGIApp, ServerState, dict[str, Any]], Connect]) -> None:
        """Make connections with what ``prepare(app, server state, app state)`` returns, once per server."""
        self._prepare = prepare
        self._state: ServerState | None = None
        self._connect: Connect

    def __call__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> asyncio.BaseProtocol:
        """Return the protocol of a new connection."""
        if self._state is not server_state:
            self._connect = self._prepare(config.loaded_app, server_state, app_state)
            self._state = server_state
        return self._connect(_loop or asyncio.get_running_loop())


def serve(config: uvicorn.Config) -> None:
    """Serve until a signal, with as many processes as the configuration names.

    ``uvicorn.run`` takes several processes only with an application named by import path. What it then does
    also works with objects that can be pickled, so that the processes need not read their settings again.

    SIGINT and SIGTERM end it with status 0: uvicorn raises them once more when it has stopped.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    if config.workers == 1:
        uvicorn.Server(config).run(_sockets(config))
    else:
        Multiprocess(config, _sockets(config)).run()


def listen(config: uvicorn.Config, chosen_by: str) -> socket.socket:
    """Return a socket that is bound to the address of a configuration.

    Args:
        config: With host and port.
        chosen_by: The option or variable that sets the port, for the error.

    Raises:
        AddressUnusable: It cannot be bound. uvicorn's own function would end the process and name no port.
    """
    listening = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise AddressUnusable(chosen_by, config.host, config.port, error.strerror or str(error)) from error
    listening.set_inheritable(True)
    return listening


def _sockets(config: uvicorn.Config) -> list[socket.socket]:
    """Return the socket to listen on, several times.

    libuv accepts one connection of each in a round of the loop (libuv/libuv#3696). While rounds are long
    because of many requests, a new client would wait for as many rounds as there are others before it.
    """
    first = listen(config, "--port")
    return [first, *(first.dup() for _ in range(ACCEPTS_A_ROUND - 1))]
