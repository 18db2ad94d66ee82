"""A client of server-sent events over a plain socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from stemline.testing.client import Client


@dataclass(frozen=True, slots=True)
class Received:
    """One event."""

    kind: str
    data: Mapping[str, Any]
    id: str = ""


class EventStream:
    """A stream of events that is read until it is closed; iterating ends with the stream."""

    def __init__(
        self, client: Client, target: str, headers: Mapping[str, str] | None = None, *, timeout_s: float = 30
    ) -> None:
        """Ask for a stream.

        Args:
            client: Signs the request.
            target: Path and query.
            headers: Further ones, such as ``Last-Event-ID``.
            timeout_s: Longest silence before a read fails, s.
        """
        self._connection = socket.create_connection(("127.0.0.1", client.port), timeout=timeout_s)
        self._connection.sendall(client.raw("GET", target, headers=headers))
        self._file = self._connection.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        self._events = self._read()
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value

    def lines(self) -> Iterator[str]:
        """Yield the lines of the body."""
        rest = b""
        while size := int(self._file.readline() or b"0", 16):
            *lines, rest = (rest + self._file.read(size)).split(b"\n")
            self._file.readline()
            yield from (line.decode() for line in lines)

    def __iter__(self) -> Iterator[Received]:
        """Return the events that are still to come; comments are left out."""
        return self._events

    def _read(self) -> Iterator[Received]:
        fields: dict[str, str] = {}
        for line in self.lines():
            if not line and "data" in fields:
                yield Received(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            if not line:
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.partition(": ")
                fields[name] = value

    def close(self) -> None:
        """Leave."""
        self._file.close()
        self._connection.close()

    def __enter__(self) -> Self:
        """Return the stream."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave."""
        self.close()
